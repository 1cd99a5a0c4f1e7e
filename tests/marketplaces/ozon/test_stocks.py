"""Stock in Ozon's warehouses and in the seller's."""

from typing import Any

import pytest

from app.marketplaces.contract import FetchedStock, Fulfilment
from app.marketplaces.errors import CredentialsRejected, UnexpectedResponse
from app.marketplaces.ozon.client import OzonClient
from tests.marketplaces.ozon import examples
from tests.marketplaces.ozon.conftest import all_pages, known, questions
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply

pytestmark = pytest.mark.anyio

FBO, FBS = Fulfilment.MARKETPLACE_WAREHOUSE, Fulfilment.SELLER_WAREHOUSE
FBO_PATH, FBS_PATH, NAMES_PATH = (
    "/v1/product/info/stocks-by-warehouse/fbo",
    "/v2/product/info/stocks-by-warehouse/fbs",
    "/v1/warehouse/ozon/list",
)
SHIRT = known(("1000001", "900000001"))


async def test_in_ozons_warehouses_what_is_reserved_can_not_be_ordered(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.WAREHOUSES), json_reply(examples.rows(examples.FBO_ROW))]

    [page] = await all_pages(client.stock_pages(FBO, SHIRT))

    assert page.items == [FetchedStock("1000001", "900000001", "1020000000001", "ХОРУГВИНО_РФЦ", 37, 0, 0)]
    assert page.cursor == b""
    assert questions(server)[1] == (FBO_PATH, {"skus": ["900000001"], "cursor": "", "limit": 1000})


async def test_in_the_sellers_warehouses_ozon_says_what_is_free(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.rows(examples.FBS_ROW))]

    [page] = await all_pages(client.stock_pages(FBS, SHIRT))

    assert page.items == [FetchedStock("1000001", "900000001", "22000000000001", "Main FBS", 11, 0, 0)]
    assert questions(server) == [(FBS_PATH, {"sku": ["900000001"], "cursor": "", "limit": 1000})]


@pytest.mark.parametrize(
    ("row", "quantity"), [({"present": 5, "reserved": None}, 5), ({"present": 5, "reserved": 7}, 0), ({"present": "5", "reserved": "2"}, 3)]
)
async def test_what_can_be_ordered_is_never_negative(
    server: ScriptedServer, client: OzonClient, row: dict[str, Any], quantity: int
) -> None:
    server.replies = [json_reply(examples.WAREHOUSES), json_reply(examples.rows({**examples.FBO_ROW, **row}))]

    [page] = await all_pages(client.stock_pages(FBO, SHIRT))

    assert [stock.quantity for stock in page.items] == [quantity]


async def test_a_thousand_skus_go_into_a_question(server: ScriptedServer, client: OzonClient) -> None:
    sizes = known(*((str(product), str(product + 10_000)) for product in range(1, 2502)))
    server.replies = [json_reply(examples.rows())]

    pages = await all_pages(client.stock_pages(FBS, sizes))

    asked = [body["sku"] for _, body in questions(server)]
    assert [len(skus) for skus in asked] == [1000, 1000, 501]
    assert len({sku for skus in asked for sku in skus}) == 2501
    assert all(not page.items for page in pages)


async def test_all_pages_of_an_answer_are_read(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [
        json_reply(examples.rows({**examples.FBS_ROW, "warehouse_id": 1}, cursor="a", has_next=True)),
        json_reply(examples.rows({**examples.FBS_ROW, "warehouse_id": 2}, cursor="b")),
    ]

    pages = await all_pages(client.stock_pages(FBS, SHIRT))

    assert [stock.warehouse_id for page in pages for stock in page.items] == ["1", "2"]
    assert [body["cursor"] for _, body in questions(server)] == ["", "a"]


async def test_no_known_products_are_one_empty_page(server: ScriptedServer, client: OzonClient) -> None:
    pages = await all_pages(client.stock_pages(FBS, known()))

    assert [page.items for page in pages] == [[]]
    assert server.requests == []


@pytest.mark.parametrize(
    "reply", [json_reply(examples.NO_ROLE, 403), json_reply({}, 500), json_reply({}), json_reply(examples.NOT_FOUND, 404)]
)
async def test_without_the_names_of_warehouses_their_ids_serve(server: ScriptedServer, client: OzonClient, reply: Reply) -> None:
    answers = [json_reply(examples.rows(examples.FBO_ROW))]
    server.replies = [reply, reply, *answers] if reply.status == 500 else [reply, *answers]

    [page] = await all_pages(client.stock_pages(FBO, SHIRT))

    assert [stock.warehouse for stock in page.items] == ["1020000000001"]


async def test_the_names_are_asked_for_once(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.WAREHOUSES), json_reply(examples.rows(examples.FBO_ROW))]

    for _ in range(2):
        await all_pages(client.stock_pages(FBO, SHIRT))

    assert [path for path, _ in questions(server)] == [NAMES_PATH, FBO_PATH, FBO_PATH]


async def test_a_key_that_is_rejected_is_not_tried_on_the_stock(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.DEACTIVATED, 403)]

    with pytest.raises(CredentialsRejected):
        await all_pages(client.stock_pages(FBO, SHIRT))

    assert [path for path, _ in questions(server)] == [NAMES_PATH]


async def test_a_malformed_row_and_one_that_nobody_asked_for_are_rejected(server: ScriptedServer, client: OzonClient) -> None:
    malformed, stray = {**examples.FBS_ROW, "free_stock": -1}, {**examples.FBS_ROW, "sku": 5}
    server.replies = [json_reply(examples.rows(examples.FBS_ROW, malformed, stray))]

    [page] = await all_pages(client.stock_pages(FBS, SHIRT))

    assert len(page.items) == 1
    assert [rejected.external_id for rejected in page.rejected] == ["900000001", "5"]


async def test_half_a_report_is_not_believed(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [
        json_reply(examples.rows(examples.FBS_ROW, cursor="a", has_next=True)),
        json_reply(examples.rows(cursor="b", has_next=True)),
    ]

    with pytest.raises(UnexpectedResponse, match="more to follow"):
        await all_pages(client.stock_pages(FBS, SHIRT))


async def test_a_page_that_comes_again_stops_the_report(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.rows(examples.FBS_ROW, cursor="a", has_next=True))]

    with pytest.raises(UnexpectedResponse, match="never end"):
        await all_pages(client.stock_pages(FBS, SHIRT))

    assert len(server.requests) == 2


async def test_all_stock_at_once_is_that_of_products_on_sale(server: ScriptedServer, client: OzonClient) -> None:
    archived = {**examples.INFO, "id": 2, "sku": 5, "is_archived": True}
    server.replies = [
        json_reply(examples.product_list(1000001)),
        json_reply({"items": [examples.INFO]}),
        json_reply(examples.product_list(2)),
        json_reply({"items": [archived]}),
        json_reply(examples.WAREHOUSES),
        json_reply(examples.rows(examples.FBO_ROW)),
        json_reply(examples.rows(examples.FBS_ROW)),
    ]

    stocks = await client.fetch_stocks()

    assert [stock.quantity for stock in stocks] == [37, 11]
    assert [body["skus"] for path, body in questions(server) if path == FBO_PATH] == [["900000001"]]
