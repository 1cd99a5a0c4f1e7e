import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from app.marketplaces.contract import FetchedStock, Fulfilment, KnownSize, Page
from app.marketplaces.errors import MarketplaceDown, RateLimited, ReportNotReady, ScopeMissing, UnexpectedResponse
from app.marketplaces.wildberries.remains import LONGEST_MAKING, Task
from app.secret import Secret
from tests.marketplaces.keys import make_key
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply
from tests.marketplaces.wildberries.asking import MakeClient, all_pages, knowing, nobody_asks
from tests.marketplaces.wildberries.examples import (
    BASE_TOKEN_NOT_ALLOWED,
    NOT_FOUND,
    REMAINS_CREATED,
    REMAINS_ROW,
    SCOPE_NOT_ALLOWED,
    TASK,
    TOO_MANY_REQUESTS,
    WB_STOCK,
    remains_status,
    stock_report,
)

pytestmark = pytest.mark.anyio

BASE = make_key(acc=1, **{"for": None})
MUG = KnownSize("201000118", "330100901", "", ("2040000000017",))
CREATED = json_reply(REMAINS_CREATED)
DONE = json_reply(remains_status("done"))
FBW = Fulfilment.MARKETPLACE_WAREHOUSE


def ordered(ago: timedelta = timedelta(minutes=5)) -> bytes:
    """The cursor of a report that was ordered so long ago."""
    return msgspec.json.encode(Task(TASK, datetime.now(UTC) - ago))


async def stocks_of(server: ScriptedServer, make_client: MakeClient, rows: list[dict[str, Any]], *sizes: KnownSize) -> list[FetchedStock]:
    server.replies = [DONE, json_reply(rows)]
    pages = await all_pages(make_client(BASE).stock_pages(FBW, knowing(list(sizes)), ordered()))
    return [stock for page in pages for stock in page.items]


def row(nm_id: int = 201000118, barcode: str = "2040000000017", size: str = "0", **warehouses: int) -> dict[str, Any]:
    named = [{"warehouseName": name.replace("_", " "), "quantity": quantity} for name, quantity in warehouses.items()]
    return {"nmId": nm_id, "barcode": barcode, "techSize": size, "warehouses": named}


async def test_a_base_token_orders_the_report_and_comes_again(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [CREATED]
    pages = make_client(BASE).stock_pages(FBW, nobody_asks)

    page = await anext(pages)
    with pytest.raises(ReportNotReady) as wait:
        await anext(pages)

    assert page.items == []
    assert msgspec.json.decode(page.cursor, type=Task).task_id == TASK
    assert wait.value.retry_after == timedelta(minutes=2)
    assert [(request.method, request.path) for request in server.requests] == [("GET", "/api/v1/warehouse_remains")]
    assert server.requests[0].query == {name: ["true"] for name in ("groupByNm", "groupBySize", "groupByBarcode", "groupBySa")}


async def test_a_report_that_is_done_is_stock_by_warehouse_and_nothing_is_counted_twice(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    stocks = await stocks_of(server, make_client, [REMAINS_ROW], MUG)

    assert stocks == [
        FetchedStock("201000118", "330100901", "Склад WB РФ", "Склад WB РФ", 40, 0, 0),
        FetchedStock("201000118", "330100901", "Минск", "Минск", 3, 0, 0),
        FetchedStock("201000118", "330100901", "В пути", "В пути", 0, 5, 2),
    ]
    assert [request.path.removeprefix("/api/v1/warehouse_remains/tasks/") for request in server.requests] == [
        f"{TASK}/status",
        f"{TASK}/download",
    ]


@pytest.mark.parametrize(("key", "wait"), [(BASE, timedelta(minutes=15)), (make_key(), timedelta(seconds=15))], ids=["base", "service"])
@pytest.mark.parametrize("status", ["new", "processing"])
async def test_a_report_in_the_making_is_looked_for_as_often_as_the_token_allows(
    server: ScriptedServer, make_client: MakeClient, key: Secret, wait: timedelta, status: str
) -> None:
    server.replies = [json_reply(remains_status(status))]

    with pytest.raises(ReportNotReady) as refusal:
        await all_pages(make_client(key).stock_pages(FBW, nobody_asks, ordered()))

    assert refusal.value.retry_after == wait


@pytest.mark.parametrize(
    "replies",
    [
        [json_reply(remains_status("purged"))],
        [json_reply(remains_status("canceled"))],
        [json_reply(NOT_FOUND, 404)],
        [DONE, json_reply(NOT_FOUND, 404)],
    ],
    ids=["purged", "canceled", "unknown", "gone meanwhile"],
)
async def test_a_report_that_is_lost_is_ordered_again(server: ScriptedServer, make_client: MakeClient, replies: list[Reply]) -> None:
    server.replies = [*replies, json_reply({"data": {"taskId": "another"}})]
    pages = make_client(BASE).stock_pages(FBW, nobody_asks, ordered())

    page = await anext(pages)
    with pytest.raises(ReportNotReady):
        await anext(pages)

    assert msgspec.json.decode(page.cursor, type=Task).task_id == "another"


async def test_a_report_that_was_ordered_hours_ago_is_ordered_again_done_or_not(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [CREATED]

    page = await anext(make_client(BASE).stock_pages(FBW, nobody_asks, ordered(LONGEST_MAKING)))

    assert page.cursor
    assert [request.path for request in server.requests] == ["/api/v1/warehouse_remains"]


async def test_a_removed_method_is_not_a_lost_report(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply({"title": "path not found"}, 404)]

    with pytest.raises(Exception, match="no longer offers"):
        await all_pages(make_client(BASE).stock_pages(FBW, nobody_asks, ordered()))

    assert len(server.requests) == 1


async def test_a_limit_of_hours_is_raised_at_each_step(server: ScriptedServer, make_client: MakeClient) -> None:
    hours = json_reply(TOO_MANY_REQUESTS, 429, **{"X-Ratelimit-Retry": "10299"})
    for replies, after in (([hours], b""), ([hours], ordered()), ([DONE, hours], ordered())):
        server.requests.clear()
        server.replies = replies

        with pytest.raises(RateLimited) as refusal:
            await all_pages(make_client(BASE).stock_pages(FBW, nobody_asks, after))

        assert refusal.value.retry_after == timedelta(seconds=10299)


@pytest.mark.parametrize("nothing", [Reply(status=204, content_type=None), json_reply([])])
async def test_no_stock_is_no_item(server: ScriptedServer, make_client: MakeClient, nothing: Reply) -> None:
    server.replies = [DONE, nothing]

    pages = await all_pages(make_client(BASE).stock_pages(FBW, knowing([MUG]), ordered()))

    assert pages == [Page([], b"")]


async def test_barcodes_of_a_size_are_added_up(server: ScriptedServer, make_client: MakeClient) -> None:
    small = KnownSize("7", "71", "S", ("111", "112"))
    large = KnownSize("7", "72", "L", ("113",))
    rows = [row(7, "111", "S", Минск=3), row(7, "113", "L", Минск=5), row(8, "999", "S", Минск=50), row(7, "112", "S", Минск=4, Казань=1)]

    stocks = await stocks_of(server, make_client, rows, small, large)

    assert {(stock.size_id, stock.warehouse): stock.quantity for stock in stocks} == {
        ("71", "Минск"): 7,
        ("72", "Минск"): 5,
        ("71", "Казань"): 1,
    }
    assert len(stocks) == 3


async def test_a_barcode_that_nobody_knows_is_placed_by_the_name_of_its_size(server: ScriptedServer, make_client: MakeClient) -> None:
    sizes = [KnownSize("7", "71", "S", ()), KnownSize("7", "72", "L", ()), KnownSize("8", "81", "", ())]
    rows = [row(7, "new", "L", Минск=5), row(7, "newer", "XXL", Минск=6), row(8, "newest", "0", Минск=7)]

    stocks = await stocks_of(server, make_client, rows, *sizes)

    assert {(stock.product_external_id, stock.size_id): stock.quantity for stock in stocks} == {
        ("7", "72"): 5,
        ("7", ""): 6,
        ("8", "81"): 7,
    }


@pytest.mark.parametrize(
    ("warehouses", "expected"),
    [
        ({"Всего_находится_на_складах": 9, "Минск": 4, "Казань": 5}, {"Минск": 4, "Казань": 5}),
        ({"Минск": 4, "Казань": 5}, {"Минск": 4, "Казань": 5}),
        ({"Всего_находится_на_складах": 9}, {"Всего находится на складах": 9}),
        ({"Всего_находится_на_складах": 9, "Склад_WB_РФ": 9, "Минск": 4}, {"Всего находится на складах": 9}),
        ({"В_пути_до_получателей": 4}, {"В пути": 0}),
        ({}, {}),
    ],
    ids=["agree", "no total", "total alone", "disagree", "under way only", "nothing"],
)
async def test_the_total_row_is_a_check_and_no_warehouse(
    server: ScriptedServer, make_client: MakeClient, warehouses: dict[str, int], expected: dict[str, int]
) -> None:
    stocks = await stocks_of(server, make_client, [row(201000118, "2040000000017", "0", **warehouses)], MUG)

    assert {stock.warehouse: stock.quantity for stock in stocks} == expected


async def test_a_malformed_row_costs_itself_only(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [DONE, json_reply([{**REMAINS_ROW, "nmId": "x"}, REMAINS_ROW, {"nmId": 5, "warehouses": [{"quantity": 1}]}])]

    pages = await all_pages(make_client(BASE).stock_pages(FBW, knowing([MUG]), ordered()))

    assert sum(stock.quantity for page in pages for stock in page.items) == 43
    assert [item.external_id for page in pages for item in page.rejected] == ["x", "5"]


async def test_a_report_of_any_order_is_matched_with_sizes_of_any_order(server: ScriptedServer, make_client: MakeClient) -> None:
    dice = random.Random(3)
    numbers = list(range(1, 3_001))
    rows = [row(n, str(n), "0", Минск=n) for n in dice.sample(numbers, len(numbers))]
    sizes = [KnownSize(str(n), str(n + 10_000), "", (str(n),)) for n in dice.sample(numbers, len(numbers))]
    server.replies = [DONE, json_reply(rows)]

    pages = await all_pages(make_client(BASE).stock_pages(FBW, knowing(sizes[:1_000], sizes[1_000:]), ordered()))

    found = {stock.product_external_id: (stock.size_id, stock.quantity) for page in pages for stock in page.items}
    assert found == {str(n): (str(n + 10_000), n) for n in numbers}


async def test_a_report_that_breaks_off_is_fetched_again(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [DONE, Reply(body=msgspec.json.encode([REMAINS_ROW])[:-30]), json_reply([REMAINS_ROW])]

    pages = await all_pages(make_client().stock_pages(FBW, knowing([MUG]), ordered()))

    assert sum(stock.quantity for page in pages for stock in page.items) == 43


async def test_a_report_that_never_comes_whole_is_a_bad_day(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [DONE, Reply(body=b'[{"nmId": 1')]

    with pytest.raises(MarketplaceDown, match="cut short"):
        await all_pages(make_client().stock_pages(FBW, nobody_asks, ordered()))


@pytest.mark.parametrize("body", [b"null", b"{}", b'{"data":{}}', b'{"data":{"taskId":""}}'])
async def test_an_order_that_is_not_confirmed_is_unexpected(server: ScriptedServer, make_client: MakeClient, body: bytes) -> None:
    server.replies = [Reply(body=body)]

    with pytest.raises(UnexpectedResponse, match="warehouse_remains"):
        await all_pages(make_client(BASE).stock_pages(FBW, nobody_asks))


# ---- which of the two reports


async def test_a_token_to_which_the_newer_report_is_closed_after_all_takes_this_one(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    server.replies = [json_reply(BASE_TOKEN_NOT_ALLOWED, 403), CREATED]

    page = await anext(make_client().stock_pages(FBW, nobody_asks))

    assert page.cursor
    assert [request.path for request in server.requests] == ["/api/analytics/v1/stocks-report/wb-warehouses", "/api/v1/warehouse_remains"]


async def test_a_registered_service_reads_the_newer_report_with_a_base_token(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(stock_report(WB_STOCK))]

    [page] = await all_pages(make_client(BASE, client_secret=Secret("of-the-service")).stock_pages(FBW, nobody_asks))

    assert [stock.quantity for stock in page.items] == [43]


async def test_a_missing_category_is_no_reason_to_order_a_report(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(SCOPE_NOT_ALLOWED, 401)]

    with pytest.raises(ScopeMissing, match="Analytics"):
        await all_pages(make_client().stock_pages(FBW, nobody_asks))

    assert len(server.requests) == 1


async def test_all_stock_at_once_goes_on_with_the_report_it_ordered(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [CREATED, json_reply(remains_status("processing"))]
    client = make_client(BASE)

    for _ in range(2):
        with pytest.raises(ReportNotReady):
            await client.fetch_stocks()

    assert [request.path for request in server.requests] == ["/api/v1/warehouse_remains", f"/api/v1/warehouse_remains/tasks/{TASK}/status"]


async def test_nothing_in_stock_of_no_products_is_an_empty_page(server: ScriptedServer, make_client: MakeClient) -> None:
    async def no_sizes() -> AsyncIterator[list[KnownSize]]:
        for sizes in ():
            yield sizes

    server.replies = [DONE, json_reply([])]

    pages = await all_pages(make_client(BASE).stock_pages(FBW, no_sizes, ordered()))

    assert pages == [Page([], b"")]
