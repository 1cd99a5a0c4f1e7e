"""Reports that come, break off, are closed, or are still being made. The client is scripted: the seam at which marketplaces meet the stage."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from app.database import tenant_scope
from app.marketplaces.contract import FetchedStock, Fulfilment, KnownSizes, Marketplace, Page, Rejected
from app.marketplaces.errors import (
    MarketplaceDown,
    MarketplaceError,
    MethodGone,
    RateLimited,
    ReportNotReady,
    ScopeMissing,
    UnexpectedResponse,
)
from app.products.store import write_products
from app.runs.lease import Lease, claim
from app.runs.schemas import StageReport
from app.runs.tables import Stage
from app.stocks import service
from app.stocks.service import StockService
from tests.factories import claimed, create_tenant, product

pytestmark = pytest.mark.anyio

FBW, FBS = Fulfilment.MARKETPLACE_WAREHOUSE, Fulfilment.SELLER_WAREHOUSE
CLOSED = ScopeMissing("Tick Analytics.", scope="Analytics", detail_ru="Отметьте «Аналитика».")


def shelf(product_id: int, quantity: int, warehouse_id: str = "-999999") -> FetchedStock:
    return FetchedStock(f"{product_id}", f"{product_id}-0", warehouse_id, "Склад", quantity, 0, 0)


class ScriptedClient:
    """Gives for each kind of warehouse what it was told to: pages, then perhaps an error."""

    def __init__(self, **reports: list[Page[FetchedStock] | MarketplaceError]) -> None:
        self.reports = {FBW: reports.get("fbw", [Page([], b"")]), FBS: reports.get("fbs", [Page([], b"")])}
        self.asked: list[tuple[Fulfilment, bytes]] = []

    async def stock_pages(self, fulfilment: Fulfilment, known_sizes: KnownSizes, after: bytes = b"") -> AsyncIterator[Page[FetchedStock]]:
        self.asked.append((fulfilment, after))
        for step in self.reports[fulfilment]:
            if isinstance(step, MarketplaceError):
                raise step
            yield step


def page(*shelves: FetchedStock, rejected: int = 0) -> Page[FetchedStock]:
    return Page(list(shelves), b"", tuple(Rejected(None, "It is odd.") for _ in range(rejected)))


async def tenant_with_products(*ids: int) -> UUID:
    tenant = await create_tenant()
    async with tenant_scope(tenant) as connection:
        await write_products(connection, tenant, Marketplace.WILDBERRIES, [product(f"{number}") for number in ids])
    return tenant


async def sync(lease: Lease, client: ScriptedClient, report: StageReport | None = None) -> StageReport:
    report = report or next(stage for stage in lease.stages if stage.name is Stage.STOCKS)
    await StockService(lease.tenant_id, client).sync(lease, report, Marketplace.WILDBERRIES)  # type: ignore[arg-type]  # a part of the protocol
    return report


async def stored(tenant: UUID) -> dict[str, int]:
    async with tenant_scope(tenant) as connection:
        rows = await connection.fetch("SELECT fulfilment || ' ' || size_id AS place, quantity FROM stocks ORDER BY 1")
    return {row["place"]: row["quantity"] for row in rows}


async def test_a_report_that_breaks_off_changes_nothing(clean_database):
    lease = await claimed(await tenant_with_products(1, 2))
    await sync(lease, ScriptedClient(fbw=[page(shelf(1, 5), shelf(2, 6))], fbs=[page(shelf(1, 9, "501"))]))
    before = await stored(lease.tenant_id)

    with pytest.raises(MarketplaceDown):
        await sync(
            lease,
            ScriptedClient(fbw=[page(shelf(1, 1)), MarketplaceDown("Cut short.")], fbs=[page(shelf(1, 9, "501"))]),
            await new_report(lease),
        )

    assert await stored(lease.tenant_id) == before


async def test_a_report_of_which_nothing_at_all_came_is_not_believed(clean_database):
    lease = await claimed(await tenant_with_products(1))
    await sync(lease, ScriptedClient(fbw=[page(shelf(1, 5))]))

    with pytest.raises(UnexpectedResponse):
        await sync(lease, ScriptedClient(fbw=[]), await new_report(lease))

    assert await stored(lease.tenant_id) == {"marketplace_warehouse 1-0": 5}


async def test_a_report_that_is_gone_does_not_hold_up_the_other(clean_database):
    lease = await claimed(await tenant_with_products(1))

    with pytest.raises(MethodGone):
        await sync(lease, ScriptedClient(fbw=[MethodGone("Removed.")], fbs=[page(shelf(1, 9, "501"))]))

    assert await stored(lease.tenant_id) == {"seller_warehouse 1-0": 9}


async def test_a_report_that_is_closed_to_the_key_leaves_the_other_one_and_says_so(clean_database):
    lease = await claimed(await tenant_with_products(1))

    report = await sync(lease, ScriptedClient(fbw=[page(shelf(1, 5))], fbs=[CLOSED]))

    assert await stored(lease.tenant_id) == {"marketplace_warehouse 1-0": 5}
    assert (report.error.code, report.error.detail) == ("scope_missing", "Отметьте «Аналитика».")
    with pytest.raises(ScopeMissing):
        await sync(lease, ScriptedClient(fbw=[CLOSED], fbs=[CLOSED]), await new_report(lease))


async def test_a_report_that_is_being_made_holds_up_nothing_and_is_asked_for_again_by_its_name(clean_database):
    tenant = await tenant_with_products(1, 2)
    lease = await claimed(tenant)
    making = ScriptedClient(fbw=[Page([], b"task-7"), ReportNotReady(timedelta(minutes=15))], fbs=[page(shelf(1, 9, "501"))])

    with pytest.raises(ReportNotReady):
        await sync(lease, making)
    await lease.put_back()
    lease = await claim("another worker", lease.run_id)
    ready = ScriptedClient(fbw=[page(shelf(1, 5), shelf(2, 6), rejected=1)], fbs=[MarketplaceDown("It was read already.")])
    report = await sync(lease, ready)

    assert ready.asked == [(FBW, b"task-7")]
    assert await stored(tenant) == {"marketplace_warehouse 1-0": 5, "marketplace_warehouse 2-0": 6, "seller_warehouse 1-0": 9}
    assert (report.fetched, report.created, report.unchanged, report.rejected) == (4, 3, 0, 1)


async def test_the_first_report_of_a_kind_is_silent_also_where_the_other_one_came_before(clean_database):
    tenant = await tenant_with_products(1, 2)
    lease = await claimed(tenant)
    with pytest.raises(ReportNotReady):
        await sync(lease, ScriptedClient(fbw=[ReportNotReady(timedelta(minutes=15))], fbs=[page(shelf(1, 3, "501"), shelf(2, 40, "501"))]))
    await lease.put_back()
    lease = await claim("another worker", lease.run_id)
    await sync(lease, ScriptedClient(fbw=[page(shelf(1, 100))]))
    first = lease.notices

    lease = await next_run(tenant)
    await sync(lease, ScriptedClient(fbw=[page()], fbs=[page(shelf(1, 3, "501"), shelf(2, 40, "501"))]))

    assert first == {}
    assert {event: noted.total for event, noted in lease.notices.items()} == {"stock.low": 1}


async def test_what_another_run_was_waiting_for_is_asked_for_anew(clean_database):
    tenant = await tenant_with_products(1)
    lease = await claimed(tenant)
    with pytest.raises(RateLimited):
        await sync(lease, ScriptedClient(fbw=[Page([], b"task-7"), ReportNotReady(timedelta(minutes=15))]))
    async with tenant_scope(tenant) as connection:
        await connection.execute("UPDATE sync_runs SET status = 'failed'")

    fresh = ScriptedClient(fbw=[page(shelf(1, 5))], fbs=[page()])
    await sync(await claimed(tenant), fresh)

    assert fresh.asked == [(FBW, b""), (FBS, b"")]


async def test_what_is_written_in_several_transactions_is_recognised_as_a_whole(clean_database, monkeypatch):
    monkeypatch.setattr(service, "PRODUCTS_PER_WRITE", 2)
    lease = await claimed(await tenant_with_products(*range(1, 8)))
    reports = {
        "fbw": [page(*(shelf(number, 5) for number in range(1, 8)))],
        "fbs": [page(*(shelf(number, 9, "501") for number in range(1, 8)))],
    }
    first = await sync(lease, ScriptedClient(**reports))

    second = await sync(lease, ScriptedClient(**reports), await new_report(lease))

    assert (first.created, second.created, second.updated, second.unchanged) == (14, 0, 0, 14)
    async with tenant_scope(lease.tenant_id) as connection:
        [[digests, written_twice]] = await connection.fetch(
            "SELECT count(*) FILTER (WHERE marketplace_stock_digest IS NOT NULL AND seller_stock_digest IS NOT NULL), "
            "count(DISTINCT updated_at) FROM products"
        )
    assert (digests, written_twice) == (7, 4)


async def test_rows_of_products_that_the_catalogue_does_not_show_are_counted_and_left_out(clean_database):
    lease = await claimed(await tenant_with_products(1))

    report = await sync(lease, ScriptedClient(fbw=[page(shelf(1, 5), shelf(77, 6), shelf(78, 1))], fbs=[page()]))

    assert await stored(lease.tenant_id) == {"marketplace_warehouse 1-0": 5}
    assert (report.fetched, report.created, report.rejected, report.unchanged) == (3, 1, 2, 0)


async def test_an_empty_report_takes_all_shelves_away(clean_database):
    lease = await claimed(await tenant_with_products(1, 2))
    await sync(lease, ScriptedClient(fbw=[page(shelf(1, 5), shelf(2, 6))], fbs=[page()]))

    report = await sync(lease, ScriptedClient(fbw=[page()], fbs=[page()]), await new_report(lease))

    assert await stored(lease.tenant_id) == {}
    assert report.archived == 2


async def test_an_empty_report_about_many_products_is_believed_when_it_comes_again(clean_database, monkeypatch):
    monkeypatch.setattr(service, "MOST_EMPTIED", 2)
    tenant = await tenant_with_products(1, 2, 3)
    await sync(await claimed(tenant), ScriptedClient(fbw=[page(shelf(1, 5), shelf(2, 6), shelf(3, 7))], fbs=[page(shelf(1, 9, "501"))]))
    full = await stored(tenant)

    first = await sync(await next_run(tenant), ScriptedClient(fbw=[page()], fbs=[page(shelf(1, 8, "501"))]))
    kept = await stored(tenant)
    second = await sync(await next_run(tenant), ScriptedClient(fbw=[page()], fbs=[page(shelf(1, 8, "501"))]))

    assert kept == {**full, "seller_warehouse 1-0": 8}
    assert (first.error.code, second.error) == ("empty_report", None)
    assert "пустой отчёт" in first.error.detail
    assert await stored(tenant) == {"seller_warehouse 1-0": 8}


async def next_run(tenant: UUID) -> Lease:
    async with tenant_scope(tenant) as connection:
        await connection.execute("UPDATE sync_runs SET status = 'succeeded'")
    return await claimed(tenant)


async def new_report(lease: Lease) -> StageReport:
    """As a run after this one would have it: nothing counted, nothing stored."""
    async with tenant_scope(lease.tenant_id) as connection:
        await connection.execute("DELETE FROM checkpoints")
    lease._checkpoints = {}
    return StageReport(Stage.STOCKS)
