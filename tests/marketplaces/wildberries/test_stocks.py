from collections.abc import Callable

import msgspec
import pytest

from app.marketplaces.contract import FetchedStock, Fulfilment, Page
from app.marketplaces.errors import RateLimited, UnexpectedResponse
from app.marketplaces.wildberries import client as client_module
from app.marketplaces.wildberries.methods import WB_WAREHOUSES
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply
from tests.marketplaces.wildberries.asking import MakeClient, all_items, all_pages, nobody_asks, sent
from tests.marketplaces.wildberries.examples import SELLER_STOCK, TOO_MANY_REQUESTS, WB_STOCK, stock_report

pytestmark = pytest.mark.anyio

MUGS_AT_WILDBERRIES = FetchedStock("201000118", "330100901", "-999999", "Склад WB", 43, 5, 2)
MUGS_AT_HOME = FetchedStock("201000118", "330100901", "501001", "Основной склад", 11, 0, 0)


async def test_the_stock_of_both_kinds_of_warehouse_is_one_list(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(stock_report(WB_STOCK)), json_reply(stock_report(SELLER_STOCK))]

    stocks = await make_client().fetch_stocks()

    assert stocks == [MUGS_AT_WILDBERRIES, MUGS_AT_HOME]
    assert [request.path for request in server.requests] == [
        "/api/analytics/v1/stocks-report/wb-warehouses",
        "/api/analytics/v1/stocks-report/seller-warehouses",
    ]
    assert sent(server) == [{"limit": 250_000, "offset": 0, "nmIds": []}] * 2


@pytest.mark.parametrize(
    "nothing", [Reply(status=204, content_type=None), json_reply(stock_report()), json_reply({"data": {"items": None}})]
)
async def test_no_stock_is_one_empty_page(server: ScriptedServer, make_client: MakeClient, nothing: Reply) -> None:
    server.replies = [nothing]

    pages = await all_pages(make_client().stock_pages(Fulfilment.SELLER_WAREHOUSE, nobody_asks))

    assert pages == [Page([], b"")]


@pytest.fixture
def rows_per_page(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes a page of the reports smaller than it is."""

    def make(rows: int) -> None:
        monkeypatch.setattr(client_module, "WB_WAREHOUSES", msgspec.structs.replace(WB_WAREHOUSES, page_size=rows))

    return make


async def test_a_long_report_is_walked_by_offset(
    rows_per_page: Callable[[int], None], server: ScriptedServer, make_client: MakeClient
) -> None:
    rows_per_page(5)
    rows = [{**WB_STOCK, "chrtId": chrt_id} for chrt_id in range(1, 11)]
    server.replies = [json_reply(stock_report(*rows[:5])), json_reply(stock_report(*rows[5:])), Reply(status=204, content_type=None)]

    pages = await all_pages(make_client().stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, nobody_asks))

    assert [stock.size_id for page in pages for stock in page.items] == [str(row["chrtId"]) for row in rows]
    assert [(body["limit"], body["offset"]) for body in sent(server)] == [(5, 0), (5, 5), (5, 10)]


async def test_a_large_report_is_handed_on_in_slices(server: ScriptedServer, make_client: MakeClient) -> None:
    rows = [{**WB_STOCK, "chrtId": chrt_id} for chrt_id in range(1, 20_001)]
    server.replies = [json_reply(stock_report(*rows))]

    pages = await all_pages(make_client().stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, nobody_asks))

    assert len(pages) > 3
    assert [stock.size_id for page in pages for stock in page.items] == [str(row["chrtId"]) for row in rows]


async def test_a_large_report_that_breaks_off_is_asked_for_again_before_a_row_is_used(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    whole = msgspec.json.encode(stock_report(*({**WB_STOCK, "chrtId": chrt_id} for chrt_id in range(1, 20_001))))
    server.replies = [Reply(body=whole[:-200]), Reply(body=whole, cut_after=len(whole) - 5), Reply(body=whole)]

    stocks = await all_items(make_client().stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, nobody_asks))

    assert len(stocks) == 20_000
    assert len(server.requests) == 3


async def test_a_report_that_repeats_itself_ends_with_an_error(
    rows_per_page: Callable[[int], None], server: ScriptedServer, make_client: MakeClient
) -> None:
    rows_per_page(1)
    server.replies = [json_reply(stock_report(WB_STOCK))]

    with pytest.raises(UnexpectedResponse, match="would never end"):
        await all_pages(make_client().stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, nobody_asks))

    assert len(server.requests) == 2


async def test_the_second_page_of_a_report_is_worth_a_longer_wait_than_the_first(
    rows_per_page: Callable[[int], None], server: ScriptedServer, make_client: MakeClient, slept_s: list[float]
) -> None:
    rows_per_page(1)
    wait = json_reply(TOO_MANY_REQUESTS, 429, **{"X-Ratelimit-Retry": "20"})
    server.replies = [json_reply(stock_report(WB_STOCK)), wait, Reply(status=204, content_type=None), wait]
    client = make_client()

    stocks = await all_items(client.stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, nobody_asks))
    with pytest.raises(RateLimited):
        await all_pages(client.stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, nobody_asks))

    assert stocks == [MUGS_AT_WILDBERRIES]
    assert len(slept_s) == 1


async def test_a_malformed_row_costs_itself_only(server: ScriptedServer, make_client: MakeClient) -> None:
    bad = [{**WB_STOCK, "quantity": -1}, {**WB_STOCK, "quantity": 2**31}, {**WB_STOCK, "chrtId": None}, {**WB_STOCK, "nmId": [1]}]
    server.replies = [json_reply(stock_report(*bad, WB_STOCK))]

    [page] = await all_pages(make_client().stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, nobody_asks))

    assert page.items == [MUGS_AT_WILDBERRIES]
    assert [rejected.external_id for rejected in page.rejected] == ["201000118", "201000118", "201000118", None]


@pytest.mark.parametrize("body", [b"[]", b'{"items": []}', b'{"data": null}', b'{"data": {"items": [1, 2]}}', b'{"data": {"items": {}}}'])
async def test_a_report_of_another_shape_is_unexpected(server: ScriptedServer, make_client: MakeClient, body: bytes) -> None:
    server.replies = [Reply(body=body)]

    with pytest.raises(UnexpectedResponse, match="wb-warehouses"):
        await all_pages(make_client().stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, nobody_asks))

    assert len(server.requests) == 1


async def test_a_warehouse_nobody_heard_of_is_data_like_any_other(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(stock_report({**WB_STOCK, "warehouseId": 507, "warehouseName": "Коледино", "inWayToClient": None}))]

    [page] = await all_pages(make_client().stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, nobody_asks))

    assert page.items == [FetchedStock("201000118", "330100901", "507", "Коледино", 43, 0, 2)]
