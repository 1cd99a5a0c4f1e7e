"""The client speaks as Wildberries describes: every request it makes, and the answers it understands, are held against the official
description and against models that others generated from it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel
from wildberries_sdk.analytics import (
    InventoryRequest,
    InventorySellerResponseItemsInner,
    InventoryWbResponseItemsInner,
    PostV1StocksReportSellerWarehouses200Response,
    PostV1StocksReportWbWarehouses200Response,
)
from wildberries_sdk.general import GetPing200Response, GetPing401Response
from wildberries_sdk.items import PostV2GetCardsList200Response, PostV2GetCardsListRequest
from wildberries_sdk.items.models.post_v2_get_cards_list200_response_cards_inner import PostV2GetCardsList200ResponseCardsInner
from wildberries_sdk.items.models.post_v2_get_cards_list200_response_cards_inner_photos_inner import (
    PostV2GetCardsList200ResponseCardsInnerPhotosInner,
)
from wildberries_sdk.items.models.post_v2_get_cards_list200_response_cards_inner_sizes_inner import (
    PostV2GetCardsList200ResponseCardsInnerSizesInner,
)
from wildberries_sdk.items.models.post_v2_get_cards_list200_response_cursor import PostV2GetCardsList200ResponseCursor
from wildberries_sdk.items.models.post_v2_get_cards_list_request_settings_cursor import PostV2GetCardsListRequestSettingsCursor

from app.marketplaces.contract import Fulfilment, MarketplaceClient
from app.marketplaces.exchange import make_http_client
from app.marketplaces.transport import Transport
from app.marketplaces.wildberries.client import WildberriesClient, WildberriesHosts
from app.marketplaces.wildberries.methods import CARDS_LIST, PING, SELLER_WAREHOUSES, WB_WAREHOUSES, Method
from app.marketplaces.wildberries.wire import Card, CardPhoto, CardsAnswerCursor, CardsCursor, CardSize, StockQuestion, StockRow
from tests.contracts.published_models import check_model, field_names
from tests.contracts.specification import Specification
from tests.marketplaces.keys import make_key
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply, scripted_server
from tests.marketplaces.wildberries import examples

pytestmark = pytest.mark.anyio

FILE_OF = {PING: "01-general.yaml", CARDS_LIST: "02-items.yaml", WB_WAREHOUSES: "11-analytics.yaml", SELLER_WAREHOUSES: "11-analytics.yaml"}
HOST_OF = {PING: "content", CARDS_LIST: "content", WB_WAREHOUSES: "analytics", SELLER_WAREHOUSES: "analytics"}
MANY_CARDS = examples.cards_page(*({**examples.CARD, "nmID": nm_id} for nm_id in range(1, 101)))


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[MarketplaceClient]:
    async with make_http_client() as http:
        hosts = WildberriesHosts(**dict.fromkeys(WildberriesHosts.__struct_fields__, server.url))
        yield WildberriesClient(make_key(), Transport(http), hosts)


async def test_every_request_is_as_described(server: ScriptedServer, client: MarketplaceClient) -> None:
    server.replies = [
        json_reply(examples.PING),
        json_reply(MANY_CARDS),
        json_reply(examples.cards_page()),
        json_reply(examples.stock_report(examples.WB_STOCK)),
        Reply(status=204, content_type=None),
    ]

    await client.verify()
    await client.fetch_products()
    await client.fetch_stocks()

    made = [(request.method, request.path) for request in server.requests]
    assert made == [(method.verb, method.path) for method in (PING, CARDS_LIST, CARDS_LIST, WB_WAREHOUSES, SELLER_WAREHOUSES)]
    file_of = {method.path: file for method, file in FILE_OF.items()}
    for request in server.requests:
        Specification.load(file_of[request.path]).check_request(request.method, request.path, query=request.query, body=request.body)
        assert not request.body or request.headers["content-type"] == "application/json"


async def test_every_request_is_as_the_published_models_have_it(server: ScriptedServer, client: MarketplaceClient) -> None:
    server.replies = [json_reply(MANY_CARDS), json_reply(examples.cards_page()), json_reply(examples.stock_report())]

    await client.fetch_products()
    await client.fetch_stocks()

    first, second, wb, seller = (json.loads(request.body) for request in server.requests)
    assert set(second["settings"]["cursor"]) == {"limit", "updatedAt", "nmID"}
    for question in (first, second):
        check_model(PostV2GetCardsListRequest, question)
    for question in (wb, seller):
        check_model(InventoryRequest, question)


async def test_the_examples_that_the_client_understands_are_as_described(server: ScriptedServer, client: MarketplaceClient) -> None:
    described = [
        (PING, 200, examples.PING, GetPing200Response),
        (CARDS_LIST, 200, examples.cards_page(examples.CARD), PostV2GetCardsList200Response),
        (CARDS_LIST, 200, examples.cards_page(), PostV2GetCardsList200Response),
        (WB_WAREHOUSES, 200, examples.stock_report(examples.WB_STOCK), PostV1StocksReportWbWarehouses200Response),
        (SELLER_WAREHOUSES, 200, examples.stock_report(examples.SELLER_STOCK), PostV1StocksReportSellerWarehouses200Response),
        (CARDS_LIST, 429, examples.TOO_MANY_REQUESTS, GetPing401Response),
        (CARDS_LIST, 401, examples.SCOPE_NOT_ALLOWED, GetPing401Response),
        (WB_WAREHOUSES, 403, examples.BASE_TOKEN_NOT_ALLOWED, GetPing401Response),
    ]
    server.replies = [json_reply(described[1][2]), json_reply(described[3][2]), json_reply(described[4][2])]

    products = await client.fetch_products()
    stocks = await client.fetch_stocks()

    assert [product.external_id for product in products] == ["201000118"]
    assert [stock.quantity for stock in stocks] == [43, 11]
    for method, status, message, model in described:
        problem = "application/problem+json" if status in (401, 429) else "application/json"
        Specification.load(FILE_OF[method]).check_response(
            method.verb, method.path, status, headers={"Content-Type": problem}, body=msgspec.json.encode(message)
        )
        check_model(model, message)


async def test_a_report_without_data_is_described_as_an_empty_answer(server: ScriptedServer, client: MarketplaceClient) -> None:
    server.replies = [Reply(status=204, content_type=None)]

    pages = [page async for page in client.stock_pages(Fulfilment.SELLER_WAREHOUSE)]

    assert [page.items for page in pages] == [[]]
    for method in (WB_WAREHOUSES, SELLER_WAREHOUSES):
        Specification.load(FILE_OF[method]).check_response(method.verb, method.path, 204)


@pytest.mark.parametrize("method", FILE_OF, ids=lambda method: method.path)
def test_every_method_is_where_the_description_has_it(method: Method) -> None:
    host = getattr(WildberriesHosts(), HOST_OF[method])
    servers = Specification.load(FILE_OF[method]).servers(method.path)

    # Each host has a ping; the description names them in a table, and only the first as its server.
    assert method is PING or host in servers


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Card, PostV2GetCardsList200ResponseCardsInner),
        (CardSize, PostV2GetCardsList200ResponseCardsInnerSizesInner),
        (CardPhoto, PostV2GetCardsList200ResponseCardsInnerPhotosInner),
        (CardsAnswerCursor, PostV2GetCardsList200ResponseCursor),
        (CardsCursor, PostV2GetCardsListRequestSettingsCursor),
        (StockQuestion, InventoryRequest),
        (StockRow, InventoryWbResponseItemsInner),
    ],
)
def test_no_field_of_ours_is_unknown_to_the_published_models(ours: Any, theirs: type[BaseModel]) -> None:
    assert {field.encode_name for field in msgspec.structs.fields(ours)} <= field_names(theirs)


def test_the_fields_that_only_wildberries_own_warehouses_have_are_optional() -> None:
    required = {field.encode_name for field in msgspec.structs.fields(StockRow) if field.required}

    assert required <= field_names(InventorySellerResponseItemsInner)
