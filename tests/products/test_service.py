"""A shop's products are copied as its marketplace tells them."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from app.marketplaces.contract import Marketplace
from app.products import service
from app.runs.lease import claim
from app.runs.schemas import StageReport
from app.runs.tables import Stage
from tests.application import Shop

pytestmark = pytest.mark.anyio

COPIED = "SELECT external_id, title, archived_at IS NOT NULL FROM products WHERE tenant_id = $1 ORDER BY external_id::bigint"


def stage(run: dict[str, Any], name: str = "products") -> dict[str, Any]:
    return next(report for report in run["stages"] if report["name"] == name)


async def first_sync(shop: Shop, products: int) -> dict[str, Any]:
    await shop.give_key(shop.key(products=products))
    return await shop.sync()


async def test_a_first_sync_copies_everything_and_a_second_one_nothing(shop: Shop):
    first = await first_sync(shop, 250)

    second = await shop.sync()

    assert (first["status"], stage(first)["created"]) == ("succeeded", 250)
    assert (stage(second)["created"], stage(second)["updated"]) == (0, 0)
    assert len(await shop.rows(COPIED)) == 250


async def test_a_renamed_and_an_added_product_are_all_that_is_written(shop: Shop, sandbox: httpx.AsyncClient):
    await first_sync(shop, 20)
    external_id = (await shop.rows(COPIED))[3][0]
    await sandbox.patch(f"/shops/{shop.seller_id}/products/{external_id}", json={"title": "Renamed"})
    await sandbox.post(f"/shops/{shop.seller_id}/products", json={"count": 2})

    run = await shop.sync()

    assert (stage(run)["created"], stage(run)["updated"]) == (2, 1)
    assert (external_id, "Renamed", False) in await shop.rows(COPIED)


async def test_a_full_sync_archives_what_is_gone(shop: Shop, sandbox: httpx.AsyncClient):
    await first_sync(shop, 20)
    external_id = (await shop.rows(COPIED))[3][0]
    await sandbox.delete(f"/shops/{shop.seller_id}/products/{external_id}")

    run = await shop.sync(full=True)

    assert (stage(run)["archived"], stage(run)["status"]) == (1, "succeeded")
    assert [row[0] for row in await shop.rows(COPIED) if row[2]] == [external_id]


async def test_a_catalogue_that_is_just_empty_is_not_believed_of_the_smallest_shop(shop: Shop, sandbox: httpx.AsyncClient):
    await first_sync(shop, 3)
    await sandbox.post("/faults", json={"kind": "empty_page", "path": "/content/v2/get/cards/list"})

    run = await shop.sync(full=True)
    recovered = await shop.sync(full=True)

    assert (stage(run)["status"], stage(run)["error"]["code"], stage(run)["archived"]) == ("partial", "too_many_missing", 0)
    assert not any(row[2] for row in await shop.rows(COPIED))
    assert recovered["status"] == "succeeded"


async def test_a_malformed_answer_fails_its_stage_and_keeps_what_was_there(shop: Shop, sandbox: httpx.AsyncClient):
    await first_sync(shop, 5)
    was = await shop.rows(COPIED)
    await sandbox.post("/faults", json={"kind": "undocumented", "times": 20, "path": "/content/v2/get/cards/list"})

    run = await shop.sync()

    assert (run["status"], stage(run)["status"], stage(run, "stocks")["status"]) == ("partial", "failed", "succeeded")
    assert stage(run)["error"]["detail"]
    assert await shop.rows(COPIED) == was


async def test_the_client_is_made_by_the_factory_when_none_is_given(shop: Shop):
    await shop.give_key(shop.key(products=3))
    run_id = UUID((await shop.call("POST", "/sync", json={})).json()["id"])
    lease = await claim("test", run_id)
    report = StageReport(Stage.PRODUCTS)
    assert lease is not None

    await service.ProductService(shop.tenant_id).sync(lease, report, Marketplace.WILDBERRIES)

    assert report.created == 3
