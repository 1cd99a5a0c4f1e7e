"""Prices are copied as the marketplace tells them, and only what differs is written."""

from decimal import Decimal
from uuid import UUID

import pytest

from app.database import tenant_scope
from app.marketplaces.contract import Marketplace, Rejected
from app.marketplaces.errors import MarketplaceDown
from app.products.prices import PriceService
from app.products.store import write_products
from app.runs.lease import Lease, LeaseLost, claim
from app.runs.schemas import StageReport
from app.runs.sweep import requeue_expired
from app.runs.tables import RunStatus, Stage
from tests.factories import claimed, create_tenant, expire_lease, product
from tests.scripted_client import ScriptedClient, price

pytestmark = pytest.mark.anyio

WILDBERRIES = Marketplace.WILDBERRIES


async def shop(*external_ids: str) -> Lease:
    """A run of a tenant with these products."""
    tenant_id = await create_tenant()
    async with tenant_scope(tenant_id) as connection:
        await write_products(connection, tenant_id, WILDBERRIES, [product(external_id) for external_id in external_ids])
    return await claimed(tenant_id)


async def sync(lease: Lease, client: ScriptedClient) -> StageReport:
    report = StageReport(Stage.PRICES)
    await PriceService(lease.tenant_id, client).sync(lease, report, WILDBERRIES)
    return report


async def another_run(lease: Lease) -> Lease:
    async with tenant_scope(lease.tenant_id) as connection:
        await lease.finish(connection, RunStatus.SUCCEEDED)
    return await claimed(lease.tenant_id)


async def stored(tenant_id: UUID) -> dict[str, tuple[object, ...]]:
    async with tenant_scope(tenant_id) as connection:
        rows = await connection.fetch("SELECT external_id, price, discounted_price, currency FROM products")
    return {row[0]: tuple(row)[1:] for row in rows}


async def versions(tenant_id: UUID) -> list[tuple[object, ...]]:
    """Where each product's row lies, which version it is, and when it last changed."""
    async with tenant_scope(tenant_id) as connection:
        return [
            tuple(row) for row in await connection.fetch("SELECT external_id, ctid::text, xmin::text, updated_at FROM products ORDER BY id")
        ]


def counts(report: StageReport) -> tuple[int, int, int, int, int]:
    return report.fetched, report.created, report.updated, report.unchanged, report.rejected


async def test_prices_are_stored_with_their_currency(clean_database):
    lease = await shop("1", "2")

    report = await sync(lease, ScriptedClient(prices=[[price("1", "100", "90.5"), price("2", "3.10", None, "KZT")]]))

    assert await stored(lease.tenant_id) == {"1": (Decimal("100.00"), Decimal("90.50"), "RUB"), "2": (Decimal("3.10"), None, "KZT")}
    assert counts(report) == (2, 0, 2, 0, 0)


async def test_what_did_not_change_is_not_written_again_and_what_did_moves_its_product(clean_database):
    lease = await shop("1", "2")
    await sync(lease, ScriptedClient(prices=[[price("1"), price("2", "7.777")]]))
    before = await versions(lease.tenant_id)

    lease = await another_run(lease)
    unchanged = await sync(lease, ScriptedClient(prices=[[price("1"), price("2", "7.777")]]))

    assert counts(unchanged) == (2, 0, 0, 2, 0)
    assert await versions(lease.tenant_id) == before
    changed = await sync(await another_run(lease), ScriptedClient(prices=[[price("1", "101"), price("2", "7.777")]]))
    after = await versions(lease.tenant_id)
    assert counts(changed) == (2, 0, 1, 1, 0)
    assert after[0][3] > before[0][3]
    assert after[1] == before[1]


async def test_a_product_that_has_no_price_any_more_keeps_none_and_one_that_is_not_named_keeps_its_own(clean_database):
    lease = await shop("1", "2")
    await sync(lease, ScriptedClient(prices=[[price("1"), price("2")]]))

    report = await sync(await another_run(lease), ScriptedClient(prices=[[price("1", None, None)]]))

    assert await stored(lease.tenant_id) == {"1": (None, None, None), "2": (Decimal("100.00"), Decimal("90.50"), "RUB")}
    assert counts(report) == (1, 0, 1, 0, 0)


async def test_prices_of_products_that_are_not_shown_are_rejected_and_the_first_three_are_named(clean_database):
    lease = await shop("1")
    page = [price("1"), Rejected("8", "price: expected a number"), *(price(str(external_id)) for external_id in range(90, 95))]

    report = await sync(lease, ScriptedClient(prices=[page]))

    assert counts(report) == (7, 0, 1, 0, 6)
    assert report.rejections == [
        "8: price: expected a number",
        "90: no such product in the catalogue",
        "91: no such product in the catalogue",
    ]


async def test_of_a_product_that_comes_twice_the_later_price_counts(clean_database):
    lease = await shop("1")

    await sync(lease, ScriptedClient(prices=[[price("1", "1"), price("1", "2")]]))

    assert (await stored(lease.tenant_id))["1"][0] == Decimal("2.00")


async def test_a_run_that_breaks_off_goes_on_behind_the_last_page_and_another_run_begins_anew(clean_database):
    lease = await shop("1", "2")
    client = ScriptedClient(prices=[[price("1")], MarketplaceDown("away"), [price("2")]])
    with pytest.raises(MarketplaceDown):
        await sync(lease, client)
    assert (await stored(lease.tenant_id))["1"][0] is not None
    await expire_lease(lease.run_id)
    await requeue_expired()
    successor = await claim("successor", lease.run_id)
    assert successor is not None

    await sync(successor, client)
    await sync(await another_run(successor), client)

    assert client.asked == [("prices", b""), ("prices", b"1"), ("prices", b"")]
    assert (await stored(lease.tenant_id))["2"][0] is not None


async def test_a_worker_that_lost_its_lease_changes_no_price(clean_database):
    lease = await shop("1")
    await expire_lease(lease.run_id)
    await requeue_expired()
    assert await claim("successor", lease.run_id) is not None

    with pytest.raises(LeaseLost):
        await sync(lease, ScriptedClient(prices=[[price("1")]]))

    assert (await stored(lease.tenant_id))["1"] == (None, None, None)


async def test_no_price_reaches_another_tenant_or_another_marketplace(clean_database):
    rival = await shop("1")
    lease = await shop("1")
    async with tenant_scope(lease.tenant_id) as connection:
        await write_products(connection, lease.tenant_id, Marketplace.OZON, [product("1")])

    await sync(lease, ScriptedClient(prices=[[price("1")]]))

    async with tenant_scope(lease.tenant_id) as connection:
        rows = await connection.fetch("SELECT marketplace, price FROM products ORDER BY marketplace")
    assert [tuple(row) for row in rows] == [("ozon", None), ("wildberries", Decimal("100.00"))]
    assert (await stored(rival.tenant_id))["1"][0] is None
