from typing import Any

import pytest

from app.marketplaces.contract import FetchedStock, Fulfilment, KnownSize, Page
from app.marketplaces.errors import ScopeMissing, UnexpectedResponse
from tests.marketplaces.keys import make_key
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply
from tests.marketplaces.wildberries.asking import MakeClient, all_items, all_pages, knowing, nobody_asks, sent
from tests.marketplaces.wildberries.examples import BASE_TOKEN_NOT_ALLOWED, SCOPE_NOT_ALLOWED, WAREHOUSE

pytestmark = pytest.mark.anyio

BASE = make_key(acc=1, **{"for": None})
FBS = Fulfilment.SELLER_WAREHOUSE
MUGS = [KnownSize("201000118", "330100901", "", ()), KnownSize("201000118", "330100902", "XL", ())]


def amounts(**of: int) -> Reply:
    return json_reply({"stocks": [{"chrtId": int(size.removeprefix("_")), "amount": amount} for size, amount in of.items()]})


async def test_a_size_that_is_left_out_has_no_stock(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply([WAREHOUSE]), amounts(_330100901=11)]

    stocks = await all_items(make_client(BASE).stock_pages(FBS, knowing(MUGS)))

    assert stocks == [FetchedStock("201000118", "330100901", "501001", "Основной склад", 11, 0, 0)]
    assert [(request.method, request.path) for request in server.requests] == [
        ("GET", "/api/v3/warehouses"),
        ("POST", "/api/v3/stocks/501001"),
    ]
    assert sent_question(server) == {"chrtIds": [330100901, 330100902]}


def sent_question(server: ScriptedServer) -> Any:
    server.requests = server.requests[1:]
    return sent(server)[0]


async def test_each_warehouse_is_asked_but_those_that_are_being_deleted(server: ScriptedServer, make_client: MakeClient) -> None:
    second = {**WAREHOUSE, "id": 501002, "name": None}
    leaving = {**WAREHOUSE, "id": 501003, "isDeleting": True}
    server.replies = [json_reply([WAREHOUSE, leaving, second]), amounts(_330100901=1), amounts(_330100901=2, _330100902=3)]

    stocks = await all_items(make_client(BASE).stock_pages(FBS, knowing(MUGS)))

    assert [(stock.warehouse_id, stock.size_id, stock.quantity) for stock in stocks] == [
        ("501001", "330100901", 1),
        ("501002", "330100901", 2),
        ("501002", "330100902", 3),
    ]


async def test_no_question_names_more_than_a_thousand_sizes(server: ScriptedServer, make_client: MakeClient) -> None:
    sizes = [KnownSize(str(n // 3 + 1), str(n), "", ()) for n in range(1, 2_502)]
    server.replies = [json_reply([WAREHOUSE]), amounts()]

    await all_pages(make_client(BASE).stock_pages(FBS, knowing(sizes[:700], sizes[700:1_400], sizes[1_400:])))

    server.requests = server.requests[1:]
    questions = [body["chrtIds"] for body in sent(server)]
    assert [len(question) for question in questions] == [1000, 1000, 501]
    assert [size for question in questions for size in question] == list(range(1, 2_502))


@pytest.mark.parametrize("nothing", [json_reply([]), json_reply(None), Reply(status=204, content_type=None)])
async def test_a_seller_without_warehouses_has_no_stock_in_them(server: ScriptedServer, make_client: MakeClient, nothing: Reply) -> None:
    server.replies = [nothing]

    pages = await all_pages(make_client(BASE).stock_pages(FBS, nobody_asks))

    assert pages == [Page([], b"")]
    assert len(server.requests) == 1


async def test_nothing_is_asked_where_no_size_is_known(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply([WAREHOUSE])]

    pages = await all_pages(make_client(BASE).stock_pages(FBS, knowing([KnownSize("1", "", "", ())])))

    assert pages == [Page([], b"")]
    assert len(server.requests) == 1


async def test_what_was_not_asked_for_and_what_is_malformed_is_rejected(server: ScriptedServer, make_client: MakeClient) -> None:
    stocks = [{"chrtId": 1, "amount": 5}, {"chrtId": 330100902, "amount": -1}, {"chrtId": 330100901, "amount": 5}]
    server.replies = [json_reply([WAREHOUSE]), json_reply({"stocks": stocks})]

    [page] = await all_pages(make_client(BASE).stock_pages(FBS, knowing(MUGS)))

    assert [stock.quantity for stock in page.items] == [5]
    assert [rejected.external_id for rejected in page.rejected] == ["330100902", "1"]


async def test_a_list_of_warehouses_of_another_shape_is_unexpected(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply([{"name": "no id"}])]

    with pytest.raises(UnexpectedResponse, match="/api/v3/warehouses"):
        await all_pages(make_client(BASE).stock_pages(FBS, nobody_asks))


async def test_a_token_to_which_the_report_is_closed_after_all_asks_by_warehouse(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(BASE_TOKEN_NOT_ALLOWED, 403), json_reply([WAREHOUSE]), amounts(_330100901=11)]

    [stock] = await all_items(make_client().stock_pages(FBS, knowing(MUGS)))

    assert stock.quantity == 11


async def test_the_category_that_only_this_way_needs_is_named(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(SCOPE_NOT_ALLOWED, 401)]

    with pytest.raises(ScopeMissing) as refusal:
        await all_pages(make_client(BASE).stock_pages(FBS, nobody_asks))

    assert refusal.value.scope == "Marketplace"
    assert "Маркетплейс" in refusal.value.detail_ru
