"""Of which new orders the seller hears: noted with the orders, told when the run ends."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.credentials.service import delete_credentials
from app.database import system_scope, tenant_scope
from app.marketplaces.contract import FetchedOrder, Marketplace, OrderStatus
from app.marketplaces.errors import MarketplaceDown
from app.orders.service import OrderService
from app.runs.lease import Lease
from app.runs.schemas import StageReport
from app.runs.tables import Stage
from tests.factories import claimed, create_tenant, create_tenant_with_key
from tests.scripted_client import ORDERED_AT, ScriptedClient, order

pytestmark = pytest.mark.anyio


def made(external_id: str, ago: timedelta = timedelta(hours=1), status: OrderStatus = OrderStatus.CREATED) -> FetchedOrder:
    return order(external_id, status=status, hours=(datetime.now(UTC) - ago - ORDERED_AT) / timedelta(hours=1))


async def sync(tenant: UUID, *pages: Sequence[Any]) -> dict[str, list[str]]:
    """A run in which the marketplace tells of these orders, and no others; which of them are noted, by event type."""
    lease = await begin(tenant)
    try:
        await carry_out(lease, *pages)
    finally:
        async with tenant_scope(tenant) as connection:
            await connection.execute("UPDATE sync_runs SET status = 'succeeded'")
    return await noted(lease)


async def begin(tenant: UUID) -> Lease:
    """The next run; each client has pages of its own, and this one will begin with the first of them."""
    async with tenant_scope(tenant) as connection:
        await connection.execute("UPDATE checkpoints SET cursor = '' WHERE stage = 'orders'")
    return await claimed(tenant)


async def carry_out(lease: Lease, *pages: Sequence[Any]) -> StageReport:
    report = next(stage for stage in lease.stages if stage.name is Stage.ORDERS)
    await OrderService(lease.tenant_id, ScriptedClient(orders=pages)).sync(lease, report, Marketplace.WILDBERRIES)
    return report


async def noted(lease: Lease) -> dict[str, list[str]]:
    async with tenant_scope(lease.tenant_id) as connection:
        names = {row[0]: row[1] for row in await connection.fetch("SELECT id, external_id FROM orders")}
    assert all(notice.total == len(notice.ids) for notice in lease.notices.values())
    return {event_type: sorted(names[order_id] for order_id in notice.ids) for event_type, notice in lease.notices.items()}


async def test_the_first_walk_is_silent_and_the_next_sync_tells(clean_database):
    tenant = await create_tenant()

    first = await sync(tenant, [made("1"), made("2")], [made("3")])
    second = await sync(tenant, [made("3"), made("4"), made("5")])

    assert (first, second) == ({}, {"orders.created": ["4", "5"]})


async def test_a_first_walk_that_breaks_off_is_as_silent_when_the_next_run_goes_on_with_it(clean_database):
    tenant = await create_tenant()
    with pytest.raises(MarketplaceDown):
        await sync(tenant, [made("1")], MarketplaceDown("Cut short."))

    assert await sync(tenant, [made("1")], [made("2")]) == {}
    assert await sync(tenant, [made("3")]) == {"orders.created": ["3"]}


async def test_a_change_of_a_known_order_is_no_new_order(clean_database):
    tenant = await create_tenant()
    await sync(tenant, [made("1")])

    assert await sync(tenant, [made("1", status=OrderStatus.DELIVERED)]) == {}


@pytest.mark.parametrize(
    ("ago", "status", "is_told"),
    [
        (timedelta(days=2, hours=23), OrderStatus.CREATED, True),
        (timedelta(days=3, hours=1), OrderStatus.CREATED, False),
        (timedelta(minutes=1), OrderStatus.DELIVERING, True),
        (timedelta(minutes=1), OrderStatus.CANCELLED, False),
        (timedelta(minutes=1), OrderStatus.RETURNED, False),
    ],
    ids=["young", "old", "under way", "cancelled", "returned"],
)
async def test_what_is_no_news_is_counted_and_not_told(clean_database, ago, status, is_told):
    tenant = await create_tenant()
    await sync(tenant, [made("1")])
    lease = await begin(tenant)

    report = await carry_out(lease, [made("2", ago, status)])

    assert report.created == 1
    assert await noted(lease) == ({"orders.created": ["2"]} if is_told else {})


async def test_a_daily_walk_tells_of_what_it_finds_late_but_not_of_what_is_long_past(clean_database):
    tenant = await create_tenant()
    await sync(tenant, [made("1")])
    async with system_scope() as connection:
        await connection.execute("UPDATE checkpoints SET full_pass_at = full_pass_at - interval '25 hours'")

    told = await sync(tenant, [made("1"), made("2", timedelta(days=2)), made("3", timedelta(days=40))])

    assert told == {"orders.created": ["2"]}


async def test_the_first_walk_of_another_shop_is_silent_again(clean_database):
    tenant = await create_tenant_with_key()
    await sync(tenant, [made("1")])
    await delete_credentials(tenant, "test", "wildberries")

    assert await sync(tenant, [made("2")]) == {}
