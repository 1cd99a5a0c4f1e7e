"""What a run is made of, and what becomes of its pages: the section on stages of the sync engine's design."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from app.database import Database, system_scope
from app.marketplaces.contract import Marketplace, Rejected
from app.marketplaces.errors import MarketplaceDown
from app.marketplaces.read_ahead import MOST_PAGES
from app.marketplaces.wildberries.methods import CARDS_LIST, GOODS_PRICES
from app.runs.lease import Lease
from app.runs.schemas import MOST_REJECTIONS
from app.runs.sweep import requeue_expired
from app.runs.tables import RunStatus, Stage
from app.sandbox.tokens import Category
from tests.application import Shop
from tests.factories import expire_lease, product
from tests.promises.conftest import OpenSeller
from tests.scripted_client import line, order, price, shelf
from tests.scripted_shop import Killed, PlayShop, ScriptedShop, stages
from tests.sync.faults.seller import stage_of
from tests.sync.faults.seller import statuses as statuses_of

pytestmark = pytest.mark.anyio

WHOLE: dict[str, list[Any]] = {
    "products": [[product("1")], [product("2"), product("3")]],
    "prices": [[price("1"), price("2")], [price("3")]],
    "stocks": [[shelf("1", 50), shelf("2", 50)], [shelf("3", 50)]],
    "orders": [[order("A"), order("B", line("2"))], [order("C", line("3"))]],
}

STORED = """
    SELECT 'product', external_id, price::text, stock_total FROM products
     UNION ALL SELECT 'shelf', size_id, warehouse_id, quantity FROM stocks
     UNION ALL SELECT 'change', changed_product.external_id, NULL, marketplace_quantity
                 FROM stock_history JOIN products AS changed_product ON changed_product.id = product_id
     UNION ALL SELECT 'order', external_id, status, NULL FROM orders
     UNION ALL SELECT 'line', orders.external_id, article, quantity FROM order_lines JOIN orders ON orders.id = order_id
     UNION ALL SELECT 'checkpoint', stage, encode(cursor, 'escape'), NULL FROM checkpoints
     ORDER BY 1, 2, 3
"""

VERSIONS = " UNION ALL ".join(
    f"SELECT '{table}', ctid::text, xmin::text FROM {table}" for table in ("products", "stocks", "orders", "order_lines", "stock_history")
)

PRODUCTS = "SELECT external_id FROM products WHERE archived_at IS NULL ORDER BY external_id::int"


# A run is made of stages


async def test_a_run_is_made_of_stages_each_with_its_own_status_counts_retries_and_error(
    shop: Shop, sandbox: httpx.AsyncClient, slept: list[float]
):
    """“A run is made of stages, each with its own status, counts, retries and error.”"""
    await shop.give_key(
        shop.key(products=5, categories=[each for each in Category if each is not Category.ANALYTICS and each is not Category.STATISTICS])
    )
    await sandbox.post("/faults", json={"kind": "unavailable", "path": GOODS_PRICES.path, "times": 2})

    run, on_a_good_day = await shop.sync(), await shop.sync()

    products, prices, stocks, orders = run["stages"]
    assert run["status"] == "partial"
    assert [stage["name"] for stage in run["stages"]] == ["products", "prices", "stocks", "orders"]
    assert (products["status"], products["created"], products["error"]) == ("succeeded", 5, None)
    assert (prices["status"], prices["updated"], prices["error"]) == ("succeeded", 5, None)
    assert prices["requests"] == stage_of(on_a_good_day, "prices")["requests"] + 2
    assert (orders["status"], orders["fetched"], orders["error"]["code"]) == ("skipped", 0, "scope_missing")
    assert stocks["status"] in ("partial", "skipped")
    assert len(slept) == 2


@pytest.mark.parametrize("marketplace", Marketplace)
async def test_products_prices_stocks_and_orders_are_what_the_marketplace_has_sync_after_sync(
    open_seller: OpenSeller, marketplace: Marketplace
):
    """“cards list, ascending by `updatedAt`, incremental from the saved cursor; trash list or full sweep for deletions”, “product list + info in batches”, “list goods |
    prices”, “service rows never counted twice”, “FBO and FBS stocks”, “FBO and FBS postings”, by the sandbox's own figures. Method by method: tests/marketplaces; with
    faults in between: tests/sync/faults."""
    seller = await open_seller(marketplace)
    await seller.copy()
    figures, changes = [await seller.stored() == await seller.truth()], 0

    for _ in range(3):
        await seller.let_time_pass()
        run = await seller.sync()
        assert (run["status"], run["full"]) == ("succeeded", False)
        # Which goods a shop gets anew, and when, differs from shop to shop; that none of its goods moves in three turns can't be.
        changes += sum(stage[count] for stage in run["stages"] for count in ("created", "updated", "archived"))
        figures.append(await seller.stored() == await seller.truth())

    assert changes > 0
    assert figures == [True] * 4


async def test_a_token_that_some_reports_are_closed_to_gets_its_stock_another_way(open_seller: OpenSeller):
    """“FBW and FBS reports; fallbacks by token type.” Each type of token: tests/sync/faults/test_keys.py."""
    seller = await open_seller(Marketplace.WILDBERRIES)
    await seller.give_key(token_type="base")

    run = await seller.sync()
    while run["status"] == "queued":
        run = await seller.go_on(run)

    assert (run["status"], statuses_of(run)) == ("succeeded", ["succeeded"] * 4)
    assert (await seller.stored()).marketplace_units == (await seller.truth()).marketplace_units > 0


async def test_a_token_that_the_order_feed_is_closed_to_gets_its_orders_by_the_older_statistics_methods(open_seller: OpenSeller):
    """“… or the older statistics methods by `lastChangeDate`.”"""
    seller = await open_seller(Marketplace.WILDBERRIES)
    await seller.give_key(categories=[each for each in Category if each is not Category.ANALYTICS])

    run = await seller.sync()

    assert stage_of(run, "orders")["status"] == "succeeded"
    assert (await seller.stored()).orders == (await seller.truth()).orders


async def test_an_order_that_the_marketplace_tells_of_late_is_found_by_the_windows_that_overlap(open_seller: OpenSeller):
    """“Order feed by overlapping windows of status time.”"""
    seller = await open_seller(Marketplace.WILDBERRIES)
    await seller.copy()
    late = (await seller.control("POST", f"/shops/{seller.seller_id}/orders/late", count=3, delay_s=1200))["numbers"]
    await seller.clock.move(timedelta(minutes=15))
    await seller.sync()

    await seller.clock.move(timedelta(minutes=30))
    await seller.sync()

    assert late
    assert (await seller.stored()).orders == (await seller.truth()).orders


# Checkpoints


async def carried_to_the_end(shop: ScriptedShop) -> None:
    """A worker that is killed is followed by another one, until the run has ended."""
    while (await shop.rows("SELECT status FROM sync_runs"))[0][0] in ("queued", "running"):
        await expire_lease(shop.run_id)
        await requeue_expired()
        await shop.go_on()


@pytest.mark.parametrize("stage", Stage)
async def test_a_checkpoint_is_written_with_the_rows_of_its_page_in_the_same_transaction(
    play_shop: PlayShop, monkeypatch: pytest.MonkeyPatch, stage: Stage
):
    """“Each stage has a checkpoint (the marketplace's own cursor) written with the rows of its page, in the same transaction”, and “page
    from the marketplace → decode → bulk write + checkpoint, all of a page in one transaction”: a worker that is killed with all of
    it written, and nothing committed, has written nothing."""
    never = await play_shop(**WHOLE)
    await never.start()
    shop = await play_shop(**WHOLE)
    before: list[tuple[Any, ...]] = []
    written: list[tuple[Any, ...]] = []

    async def held_and_killed(lease: Lease, connection: Any, report: Any, **more: Any) -> None:
        await really(lease, connection, report, **more)
        if report.name is stage and (report.fetched or report.changes):
            written[:] = [tuple(row) for row in await connection.fetch(STORED)]
            raise Killed
        if report.name is not stage:
            before[:] = [tuple(row) for row in await connection.fetch(STORED)]

    really = Lease.hold
    with monkeypatch.context() as patch:
        patch.setattr(Lease, "hold", held_and_killed)
        with pytest.raises(Killed):
            await shop.start()
    [[shop.run_id]] = await shop.rows("SELECT id FROM sync_runs")
    after = await shop.rows(STORED)
    if stage is Stage.PRODUCTS:
        # That a full pass has begun was noted before the first page, which is not told by the cursor.
        after = [row for row in after if row != ("checkpoint", "products", "", None)]

    assert after == before != written
    await carried_to_the_end(shop)
    assert await shop.rows(STORED) == await never.rows(STORED)


async def test_a_killed_run_resumes_at_the_next_page_without_duplicate_rows_or_events(play_shop: PlayShop):
    """“A killed run resumes at the next page, without duplicate rows or events.” At each page of each stage: tests/sync/test_runner.py; at random instructions:
    tests/stories/test_kills.py."""
    never = await play_shop(**WHOLE)
    await never.start()
    shop = await play_shop(**{stage: [pages[0], Killed(), *pages[1:]] for stage, pages in WHOLE.items()})

    kills = 0
    while not await shop.rows("SELECT FROM sync_runs WHERE status = 'succeeded'"):
        try:
            await (shop.go_on() if kills else shop.start())
        except Killed:
            kills += 1
            await expire_lease(shop.run_id)
            await requeue_expired()
            async with system_scope() as connection:
                # Three crashes would end the run.
                await connection.execute("UPDATE sync_runs SET crashes = 0, not_before = now()")

    assert kills == 4
    for stage in ("products", "prices", "orders"):
        assert [place for of, place in shop.client.asked if of == stage][:2] == [b"", b"1"]
        # That a stage has ended may be told with the next write only: its end is looked at once more then, and nothing before it.
        assert shop.client.asked.count((stage, b"")) == shop.client.asked.count((stage, b"1")) == 1
    assert await shop.rows(STORED) == await never.rows(STORED)
    assert [event["type"] for event in await shop.heard()] == ["sync.completed"]


# Incremental and full passes


async def test_products_and_orders_are_incremental_and_a_full_pass_runs_every_24_hours_or_by_wish(play_shop: PlayShop):
    """“Products and orders are incremental; a full pass runs every 24 h or by `full: true`.”"""
    shop = await play_shop(**WHOLE)
    walks: list[list[bytes]] = []

    async def sync(*, full: bool = False, hours_later: float = 0) -> None:
        async with system_scope() as connection:
            await connection.execute("UPDATE checkpoints SET full_pass_at = full_pass_at - $1::interval", timedelta(hours=hours_later))
        shop.client.asked.clear()
        await shop.start(full=full)
        walks.append([after for stage, after in shop.client.asked if stage in ("products", "orders")])

    await sync()
    await sync()
    await sync(hours_later=23.9)
    await sync(hours_later=0.2)
    await sync()
    await sync(full=True)

    begun, behind = [b"", b""], [b"2", b"2"]
    assert walks == [begun, behind, behind, begun, behind, begun]


async def test_only_a_complete_full_pass_marks_what_it_did_not_see_as_archived(play_shop: PlayShop):
    """“Only a *complete* full pass marks what it did not see as archived.”"""
    shop = await play_shop(products=[[product(str(n)) for n in range(1, 11)]])
    await shop.start()
    left: list[int] = []

    async def sync(*pages: Any, full: bool) -> None:
        shop.client.pages["products"] = list(pages)
        await shop.start(Stage.PRODUCTS, full=full)
        left.append(len(await shop.rows(PRODUCTS)))

    most = [product(str(n)) for n in range(1, 9)]
    await sync([product("1")], full=False)
    await sync(most, MarketplaceDown("It went away on the way."), full=True)
    await sync(most, full=True)

    assert left == [10, 10, 8]


@pytest.mark.parametrize(
    ("active", "missing", "archived"),
    [(50, 20, 20), (200, 40, 40), (110, 21, 21), (100, 21, 0), (200, 41, 0)],
    ids=["half-but-not-more-than-20", "exactly-20-percent", "more-than-20-but-few-percent", "more-than-both", "just-more"],
)
async def test_a_full_pass_that_lacks_more_than_20_percent_and_20_products_marks_nothing_and_says_so(
    play_shop: PlayShop, active: int, missing: int, archived: int
):
    """“When that would be more than 20% of the catalogue (and more than 20 products), it marks nothing, ends `partial`, and says so:
    marketplaces have bad days.”"""
    shop = await play_shop(products=[[product(str(n)) for n in range(active)]])
    await shop.start()
    shop.client.pages["products"] = [[product(str(n)) for n in range(active - missing)]]

    run = await shop.start(full=True)

    assert (stages(run)["products"].archived, len(await shop.rows(PRODUCTS))) == (archived, active - archived)
    told = stages(run)["products"].error
    if archived:
        assert (run.status, told) == (RunStatus.SUCCEEDED, None)
    else:
        assert (run.status, told and told.code) == (RunStatus.PARTIAL, "too_many_missing")
        assert told is not None
        assert told.detail in (await shop.event())["message"]


async def test_a_stage_that_the_key_has_no_scope_for_is_skipped_with_what_to_tick_and_the_others_go_on(shop: Shop):
    """“A stage that the key has no scope for is `skipped` with the reason in the seller's words (which category to tick); the others go on. Status `partial`.” Each
    category: tests/sync/faults/test_keys.py."""
    await shop.give_key(shop.key(products=5, categories=[each for each in Category if each is not Category.PRICES]))

    run = await shop.sync()

    assert (run["status"], statuses_of(run)) == ("partial", ["succeeded", "skipped", "succeeded", "succeeded"])
    error = stage_of(run, "prices")["error"]
    assert error["code"] == "scope_missing"
    assert "«Цены и скидки»" in error["detail"]


# Writing


@contextmanager
def counted_statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements of all connections, as PostgreSQL gets them."""
    statements: list[str] = []

    def note(record: asyncpg.connection.LoggedQuery) -> None:
        statements.append(record.query)

    async def acquire(engine: Database) -> Any:
        connection = await really_acquire(engine)
        connection.add_query_logger(note)
        return connection

    async def release(engine: Database, connection: Any) -> None:
        connection.remove_query_logger(note)
        await really_release(engine, connection)

    really_acquire, really_release = Database.acquire, Database.release
    with monkeypatch.context() as patch:
        patch.setattr(Database, "acquire", acquire)
        patch.setattr(Database, "release", release)
        yield statements


async def test_writing_is_set_based_so_a_large_page_takes_as_many_statements_as_a_small_one(
    play_shop: PlayShop, monkeypatch: pytest.MonkeyPatch
):
    """“Writing is set-based: one statement per page.”"""
    counts: list[int] = []

    for size in (2, 300):
        names = [str(n) for n in range(size)]
        shop = await play_shop(
            products=[[product(name) for name in names]], prices=[[price(name) for name in names]],
            stocks=[[shelf(name) for name in names]], orders=[[order(name, line(name)) for name in names]],
        )  # fmt: skip
        with counted_statements(monkeypatch) as statements:
            run = await shop.start()
        assert [stage.fetched for stage in run.stages] == [size] * 4
        counts.append(len(statements))
        for table in ("products", "stocks", "orders", "order_lines", "stock_history"):
            assert sum(f"INSERT INTO {table}" in statement for statement in statements) == 1, table

    assert counts[0] == counts[1]


async def test_unchanged_rows_are_not_touched(play_shop: PlayShop):
    """“Unchanged rows are not touched (no dead tuples).” Against the sandbox: tests/orders/test_service.py, tests/stocks/test_store.py."""
    shop = await play_shop(**WHOLE)
    await shop.start()
    before = await shop.rows(VERSIONS)

    run = await shop.start(full=True)

    assert [(stage.fetched, stage.unchanged) for stage in run.stages] == [(3, 3)] * 4
    assert len(before) > 10
    assert await shop.rows(VERSIONS) == before


async def test_created_updated_and_unchanged_are_told_apart(play_shop: PlayShop):
    """“Created / updated / unchanged are told apart.”"""
    shop = await play_shop(**WHOLE)
    await shop.start()
    shop.says(
        products=[[product("1"), product("2", "Renamed"), product("4")]], prices=[[price("1"), price("2", "1"), price("4")]],
        stocks=[[shelf("1", 50), shelf("2", 49), shelf("3", 50), shelf("4", 50)]],
        orders=[[order("A"), order("B", line("2", quantity=2), changed=1), order("D")]],
    )  # fmt: skip

    run = await shop.start()

    counted = {stage.name.value: (stage.created, stage.updated, stage.unchanged) for stage in run.stages}
    # A price is a fact of a product, so none is created.
    assert counted == {"products": (1, 1, 1), "prices": (0, 2, 1), "stocks": (1, 1, 2), "orders": (1, 1, 1)}


async def test_the_stock_history_gets_a_row_only_when_a_quantity_changed(play_shop: PlayShop):
    """“Stock history gets a row only when a quantity changed.” By days and partitions: tests/stocks/test_history.py."""
    shop = await play_shop(**WHOLE)
    history = "SELECT external_id, marketplace_quantity FROM stock_history JOIN products ON products.id = product_id ORDER BY changed_at, external_id"
    await shop.start()
    first = await shop.rows(history)
    await shop.start()
    shop.says(stocks=[[shelf("1", 50), shelf("2", 49), shelf("3", 50)]], prices=[[price("1", "7")]])

    await shop.start()

    assert first == [("1", 50), ("2", 50), ("3", 50)]
    assert await shop.rows(history) == [*first, ("2", 49)]


async def test_fetching_and_writing_overlap_and_what_is_fetched_ahead_is_bounded(play_shop: PlayShop):
    """“Fetching and writing overlap with a bounded buffer; memory does not grow with the catalogue.” Measured: tests/marketplaces/wildberries/test_memory.py and
    benchmarks."""
    claimed, locked = asyncio.Event(), asyncio.Event()

    async def meet() -> None:
        claimed.set()
        await locked.wait()

    # The first page is written for the full pass to begin with; then all writes wait for the run's row.
    pages = [[product(f"{page:02}{n:02}") for n in range(50)] for page in range(60)]
    shop = await play_shop(products=[meet, *pages])
    running = asyncio.create_task(shop.start(Stage.PRODUCTS))
    async with asyncio.timeout(10):
        await claimed.wait()
    async with system_scope() as connection:
        await connection.execute("SELECT FROM sync_runs FOR UPDATE")
        locked.set()
        ahead = still_for = 0
        async with asyncio.timeout(10):
            while still_for < 20:
                await asyncio.sleep(0.01)
                still_for = still_for + 1 if shop.client.traffic.requests == ahead else 0
                ahead = shop.client.traffic.requests
    run = await running

    assert MOST_PAGES < ahead <= 2 * MOST_PAGES + 2
    assert (run.status, run.stages[0].created) == (RunStatus.SUCCEEDED, 3000)


# Bad pages


async def test_a_page_with_one_malformed_item_fails_that_item_and_not_the_run(shop: Shop, sandbox: httpx.AsyncClient):
    """“A page with one malformed item fails that item, not the run: it is counted as `rejected`.” Each stage of both marketplaces:
    tests/sync/faults/test_odd_answers.py."""
    await shop.give_key(shop.key(products=10))
    await sandbox.post("/faults", json={"kind": "malformed_item", "path": CARDS_LIST.path})

    run = await shop.sync()

    products = stage_of(run, "products")
    assert (run["status"], products["status"], products["created"], products["rejected"]) == ("succeeded", "succeeded", 9, 1)
    assert "got `str`" in products["rejections"][0]


async def test_of_the_malformed_items_the_first_few_reasons_are_kept(play_shop: PlayShop):
    """“… with the first few reasons kept.”"""
    malformed = [Rejected(f"R{n}", "price: expected a number") for n in range(1000)]
    shop = await play_shop(prices=[[price("1"), *malformed[:500]], malformed[500:]])

    run = await shop.start()

    report = stages(run)["prices"]
    assert (run.status, report.rejected, MOST_REJECTIONS) == (RunStatus.SUCCEEDED, 1000, 3)
    assert report.rejections == [f"R{n}: price: expected a number" for n in range(3)]


async def test_a_page_that_is_not_what_the_documentation_says_at_all_fails_the_stage_as_unexpected_response(
    shop: Shop, sandbox: httpx.AsyncClient
):
    """“A page that is not what the documentation says at all fails the stage as `unexpected_response`.” Each method: tests/sync/faults."""
    await shop.give_key(shop.key(products=5))
    await sandbox.post("/faults", json={"kind": "undocumented", "path": GOODS_PRICES.path})

    run = await shop.sync()

    assert (run["status"], statuses_of(run)) == ("partial", ["succeeded", "failed", "succeeded", "succeeded"])
    assert stage_of(run, "prices")["error"]["code"] == "unexpected_response"


async def test_the_first_sync_of_a_tenant_is_silent_about_orders_and_low_stock_but_for_a_summary(play_shop: PlayShop):
    """“The first sync of a tenant is silent about orders and low stock (a summary in `sync.completed` instead): no flood of messages about old facts.”"""
    shop = await play_shop(stocks=[[shelf("1", 0), shelf("2", 2)]], orders=[[order("A"), order("B")]])

    await shop.start()

    [completed] = await shop.heard()
    assert completed["type"] == "sync.completed"
    assert (completed["data"]["low_stock_total"], completed["data"]["counts"]["orders"]) == (2, {"new": 2})
    assert [item["stock"] for item in completed["data"]["low_stock"]] == [0, 2]
