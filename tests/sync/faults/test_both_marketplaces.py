"""A tenant with a key of each marketplace, and what a marketplace says that nobody should read."""

import asyncio
from uuid import UUID

import httpx
import pytest

from app.marketplaces.contract import Marketplace
from app.sync.runner import Runner
from tests.sync.faults.seller import PRODUCTS, OpenShop, SandboxClock, Seller, statuses

pytestmark = pytest.mark.anyio


async def test_both_shops_of_a_tenant_are_copied_at_once_and_nothing_mixes(
    open_shop: OpenShop, sandbox: httpx.AsyncClient, clock: SandboxClock
) -> None:
    at_wildberries = await open_shop(Marketplace.WILDBERRIES)
    at_ozon = Seller(at_wildberries.shop, sandbox, clock, Marketplace.OZON, PRODUCTS)
    await at_wildberries.give_key()
    await at_ozon.give_key()
    asked = [
        await seller.shop.expect(200, "POST", "/sync", json={"marketplace": seller.marketplace}) for seller in (at_wildberries, at_ozon)
    ]

    worker = Runner("test")
    assert await asyncio.gather(*(worker.carry_out_run(UUID(run["id"])) for run in asked)) == [True, True]

    runs = [await at_ozon.shop.expect(200, "GET", f"/sync/{run['id']}") for run in asked]
    assert [run["marketplace"] for run in runs] == ["wildberries", "ozon"]
    assert [(run["status"], statuses(run)) for run in runs] == [("succeeded", ["succeeded"] * 4)] * 2
    assert max(run["started_at"] for run in runs) < min(run["finished_at"] for run in runs)
    for seller in (at_wildberries, at_ozon):
        assert await seller.stored() == await seller.truth()
    wrong = "SELECT count(*) FROM order_lines AS line JOIN orders ON orders.id = line.order_id JOIN products ON products.id = line.product_id WHERE products.tenant_id = $1 AND (products.marketplace <> orders.marketplace OR orders.tenant_id <> $1)"
    assert await at_ozon.shop.rows(wrong) == [(0,)]


async def test_a_fault_of_one_marketplace_does_not_touch_the_other(
    open_shop: OpenShop, sandbox: httpx.AsyncClient, clock: SandboxClock
) -> None:
    at_wildberries = await open_shop(Marketplace.WILDBERRIES)
    at_ozon = Seller(at_wildberries.shop, sandbox, clock, Marketplace.OZON, PRODUCTS)
    for seller in (at_wildberries, at_ozon):
        await seller.copy()
    await at_ozon.let_time_pass()
    await at_wildberries.let_time_pass()
    before = await at_ozon.stored()
    await at_ozon.trouble("key_deactivated", times=99)

    dead, alive = await at_ozon.sync(), await at_wildberries.sync()

    assert (dead["status"], alive["status"]) == ("failed", "succeeded")
    assert (await at_ozon.stored()).price_sum == before.price_sum
    assert await at_wildberries.stored() == await at_wildberries.truth()
    keys = await at_ozon.shop.expect(200, "GET", "/tenants/me/credentials")
    assert {key["provider"]: key["status"] for key in keys if key["configured"]} == {"wildberries": "valid", "ozon": "invalid"}
