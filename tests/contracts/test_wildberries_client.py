"""The client speaks as Wildberries describes: every request it makes, and the answers it understands, are held against the official
description and against models that others generated from it."""

import inspect
import json
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel
from wildberries_sdk import analytics, general, items, reports
from wildberries_sdk.items.models.post_v2_get_cards_list200_response_cards_inner import PostV2GetCardsList200ResponseCardsInner
from wildberries_sdk.items.models.post_v2_get_cards_list200_response_cards_inner_photos_inner import (
    PostV2GetCardsList200ResponseCardsInnerPhotosInner,
)
from wildberries_sdk.items.models.post_v2_get_cards_list200_response_cards_inner_sizes_inner import (
    PostV2GetCardsList200ResponseCardsInnerSizesInner,
)
from wildberries_sdk.items.models.post_v2_get_cards_list200_response_cursor import PostV2GetCardsList200ResponseCursor
from wildberries_sdk.items.models.post_v2_get_cards_list_request_settings_cursor import PostV2GetCardsListRequestSettingsCursor
from wildberries_sdk.items.models.post_v2_get_cards_trash200_response_cards_inner import PostV2GetCardsTrash200ResponseCardsInner
from wildberries_sdk.items.models.post_v2_get_cards_trash200_response_cursor import PostV2GetCardsTrash200ResponseCursor
from wildberries_sdk.items.models.post_v2_get_cards_trash_request_settings_cursor import PostV2GetCardsTrashRequestSettingsCursor
from wildberries_sdk.items.models.post_v3_stocks_warehouse_id200_response_stocks_inner import PostV3StocksWarehouseId200ResponseStocksInner
from wildberries_sdk.reports.models.get_v1_warehouse_remains_tasks_task_id_download200_response_inner import (
    GetV1WarehouseRemainsTasksTaskIdDownload200ResponseInner,
)
from wildberries_sdk.reports.models.get_v1_warehouse_remains_tasks_task_id_download200_response_inner_warehouses_inner import (
    GetV1WarehouseRemainsTasksTaskIdDownload200ResponseInnerWarehousesInner,
)

from app.marketplaces.contract import Fulfilment, KnownSize
from app.marketplaces.errors import ReportNotReady
from app.marketplaces.exchange import make_http_client
from app.marketplaces.transport import Transport
from app.marketplaces.wildberries import wire
from app.marketplaces.wildberries.client import WildberriesClient
from app.marketplaces.wildberries.hosts import WildberriesHosts
from app.marketplaces.wildberries.methods import (
    CARDS_LIST,
    CARDS_TRASH,
    GOODS_PRICES,
    METHODS,
    ORDER_FEED,
    PING,
    REMAINS_CREATE,
    REMAINS_DOWNLOAD,
    REMAINS_STATUS,
    SELLER_WAREHOUSES,
    SUPPLIER_ORDERS,
    SUPPLIER_SALES,
    WAREHOUSE_STOCKS,
    WAREHOUSES,
    WB_WAREHOUSES,
    Method,
)
from app.marketplaces.wildberries.remains import Task
from app.secret import Secret
from tests.contracts.published_models import check_model, field_names
from tests.contracts.specification import Specification
from tests.marketplaces.keys import ALL_CATEGORIES, make_key
from tests.marketplaces.scripted_server import Received, Reply, json_reply, scripted_server
from tests.marketplaces.wildberries import examples
from tests.marketplaces.wildberries.asking import all_pages, knowing, nobody_asks

pytestmark = pytest.mark.anyio

FILE_OF = {
    "/ping": "01-general.yaml",
    "/content/": "02-items.yaml",
    "/api/v2/list/": "02-items.yaml",
    "/api/v3/": "02-items.yaml",
    "/api/analytics/": "11-analytics.yaml",
    "/api/v1/": "12-reports.yaml",
}
PATH_OF = {
    WAREHOUSE_STOCKS: {"warehouseId": "501001"},
    REMAINS_STATUS: {"task_id": examples.TASK},
    REMAINS_DOWNLOAD: {"task_id": examples.TASK},
}

# What each method is asked with, by those who generated models: a body's model, or the function whose parameters go into the query.
QUESTION_OF: dict[Method, Any] = {
    PING: general.DefaultApi.get_ping,
    CARDS_LIST: items.PostV2GetCardsListRequest,
    CARDS_TRASH: items.PostV2GetCardsTrashRequest,
    GOODS_PRICES: items.DefaultApi.get_v2_list_goods_filter,
    WB_WAREHOUSES: analytics.InventoryRequest,
    SELLER_WAREHOUSES: analytics.InventoryRequest,
    REMAINS_CREATE: reports.DefaultApi.get_v1_warehouse_remains,
    REMAINS_STATUS: reports.DefaultApi.get_v1_warehouse_remains_tasks_task_id_status,
    REMAINS_DOWNLOAD: reports.DefaultApi.get_v1_warehouse_remains_tasks_task_id_download,
    WAREHOUSES: items.DefaultApi.get_v3_warehouses,
    WAREHOUSE_STOCKS: items.PostV3StocksWarehouseIdRequest,
    ORDER_FEED: analytics.OrderFeedRequest,
    SUPPLIER_ORDERS: reports.DefaultApi.get_v1_supplier_orders,
    SUPPLIER_SALES: reports.DefaultApi.get_v1_supplier_sales,
}

AMOUNTS = {"stocks": [{"chrtId": 330100901, "amount": 11}]}
# Answers that the client understands, each of its method; a list is one of such models.
ANSWERS: list[tuple[Method, int, Any, type[BaseModel]]] = [
    (PING, 200, examples.PING, general.GetPing200Response),
    (CARDS_LIST, 200, examples.cards_page(examples.CARD), items.PostV2GetCardsList200Response),
    (CARDS_LIST, 200, examples.cards_page(), items.PostV2GetCardsList200Response),
    (CARDS_LIST, 429, examples.TOO_MANY_REQUESTS, general.GetPing401Response),
    (CARDS_LIST, 401, examples.SCOPE_NOT_ALLOWED, general.GetPing401Response),
    (CARDS_TRASH, 200, examples.trash_page(7, 8), items.PostV2GetCardsTrash200Response),
    (CARDS_TRASH, 200, examples.trash_page(), items.PostV2GetCardsTrash200Response),
    (GOODS_PRICES, 200, examples.goods_page(examples.goods()), items.GetV2ListGoodsFilter200Response),
    (GOODS_PRICES, 200, examples.goods_page(), items.GetV2ListGoodsFilter200Response),
    (WB_WAREHOUSES, 200, examples.stock_report(examples.WB_STOCK), analytics.PostV1StocksReportWbWarehouses200Response),
    (WB_WAREHOUSES, 403, examples.BASE_TOKEN_NOT_ALLOWED, general.GetPing401Response),
    (SELLER_WAREHOUSES, 200, examples.stock_report(examples.SELLER_STOCK), analytics.PostV1StocksReportSellerWarehouses200Response),
    (REMAINS_CREATE, 200, examples.REMAINS_CREATED, reports.CreateTaskResponse),
    *(
        (REMAINS_STATUS, 200, examples.remains_status(word), reports.GetTasksResponse)
        for word in ("new", "processing", "done", "purged", "canceled")
    ),
    (REMAINS_STATUS, 404, examples.NOT_FOUND, general.GetPing401Response),
    (REMAINS_DOWNLOAD, 200, [examples.REMAINS_ROW], GetV1WarehouseRemainsTasksTaskIdDownload200ResponseInner),
    (WAREHOUSES, 200, [examples.WAREHOUSE], items.Warehouse),
    (WAREHOUSE_STOCKS, 200, AMOUNTS, items.PostV3StocksWarehouseId200Response),
    (ORDER_FEED, 200, examples.feed_page(examples.FEED_ORDER), analytics.PostV1OrderFeed200Response),
    (SUPPLIER_ORDERS, 200, [examples.SUPPLIER_ORDER], reports.OrdersItem),
    (SUPPLIER_SALES, 200, [examples.SUPPLIER_SALE], reports.SalesItem),
]


def specification_of(path: str) -> Specification:
    return Specification.load(next(file for start, file in FILE_OF.items() if path.startswith(start)))


def method_of(request: Received) -> Method:
    for method in METHODS:
        if request.method == method.verb and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", method.path), request.path):
            return method
    raise AssertionError(f"{request.method} {request.path} is none of our methods.")


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


@pytest.fixture(scope="module")
async def requests() -> list[Received]:
    """All requests that the client ever makes, of each kind the first and the later ones."""
    ping, feed = json_reply(examples.PING), json_reply(examples.feed_page())
    many_cards = json_reply(examples.cards_page(*examples.many_cards(1, 100)))
    much_trash = json_reply(examples.trash_page(*range(1, 101)))
    many_orders = json_reply(examples.feed_page(*({**examples.FEED_ORDER, "srid": f"12.r{n}.0.0"} for n in range(10_000))))
    no_cards, no_trash = json_reply(examples.cards_page()), json_reply(examples.trash_page())
    wb_stock, nothing = json_reply(examples.stock_report(examples.WB_STOCK)), Reply(status=204, content_type=None)
    prices, no_prices = json_reply(examples.goods_page(examples.goods())), json_reply(examples.goods_page())
    ordered, done = json_reply(examples.REMAINS_CREATED), json_reply(examples.remains_status("done"))
    sizes = knowing([KnownSize("201000118", "330100901", "", ("2040000000017",))])
    async with scripted_server() as server, make_http_client() as http:
        hosts = WildberriesHosts(**dict.fromkeys(WildberriesHosts.__struct_fields__, server.url))

        def client(key: Secret) -> WildberriesClient:
            return WildberriesClient(key, Transport(http), hosts)

        service = client(make_key())
        base = client(make_key(acc=1, **{"for": None}))
        server.replies = [
            *(ping, many_cards, no_cards, much_trash, no_trash, prices, no_prices, wb_stock, nothing, many_orders, feed, feed),
            *(ordered, done, json_reply([examples.REMAINS_ROW]), json_reply([examples.WAREHOUSE]), json_reply(AMOUNTS)),
            *(json_reply([examples.SUPPLIER_ORDER]), json_reply([examples.SUPPLIER_SALE])) * 2,
        ]
        await service.verify()
        await all_pages(service.product_pages())
        await all_pages(service.price_pages())
        for fulfilment in Fulfilment:
            await all_pages(service.stock_pages(fulfilment, nobody_asks))
        pages = await all_pages(service.order_pages())
        await all_pages(service.order_pages(pages[-1].cursor))
        with pytest.raises(ReportNotReady):
            await all_pages(base.stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, sizes))
        report = msgspec.json.encode(Task(examples.TASK, datetime.now(UTC)))
        await all_pages(base.stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, sizes, report))
        await all_pages(base.stock_pages(Fulfilment.SELLER_WAREHOUSE, sizes))
        statistics = client(make_key(s=ALL_CATEGORIES - 4))
        pages = await all_pages(statistics.order_pages())
        await all_pages(statistics.order_pages(pages[-1].cursor))
        return server.requests


async def test_every_method_is_called(requests: list[Received]) -> None:
    assert {method_of(request).path for request in requests} == {method.path for method in METHODS}


async def test_every_request_is_as_described(requests: list[Received]) -> None:
    for request in requests:
        specification_of(request.path).check_request(
            request.method, request.path, query={name: values[0] for name, values in request.query.items()}, body=request.body
        )
        assert not request.body or request.headers["content-type"] == "application/json"


async def test_every_request_is_as_the_published_models_have_it(requests: list[Received]) -> None:
    for request in requests:
        question = QUESTION_OF[method_of(request)]
        if request.body:
            assert not request.query
            check_model(question, json.loads(request.body))
        else:
            known = set(inspect.signature(question).parameters)
            assert {snake_case(name) for name in request.query} <= known


async def test_later_pages_are_asked_for_by_what_the_first_ones_told(requests: list[Received]) -> None:
    asked = {method: [request for request in requests if method_of(request) is method] for method in METHODS}

    second_cards, second_trash = (json.loads(asked[method][1].body)["settings"]["cursor"] for method in (CARDS_LIST, CARDS_TRASH))
    second_orders = json.loads(asked[ORDER_FEED][1].body)["pagination"]
    assert set(second_cards) == {"limit", "updatedAt", "nmID"}
    assert set(second_trash) == {"limit", "trashedAt", "nmID"}
    assert set(second_orders) == {"limit", "offset", "snapshotTime"}


@pytest.mark.parametrize(("method", "status", "message", "model"), ANSWERS)
def test_the_examples_that_the_client_understands_are_as_described(
    method: Method, status: int, message: Any, model: type[BaseModel]
) -> None:
    kind = "application/problem+json" if status in (401, 404, 429) else "application/json"
    path = method.path.format_map(PATH_OF.get(method, {}))

    for element in message if isinstance(message, list) else [message]:
        check_model(model, element)
    specification_of(path).check_response(method.verb, path, status, headers={"Content-Type": kind}, body=msgspec.json.encode(message))


@pytest.mark.parametrize("method", [WB_WAREHOUSES, SELLER_WAREHOUSES, REMAINS_DOWNLOAD], ids=lambda method: method.path)
def test_a_report_without_data_is_described_as_an_empty_answer(method: Method) -> None:
    path = method.path.format_map(PATH_OF.get(method, {}))

    specification_of(path).check_response(method.verb, path, 204)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
def test_every_method_is_where_the_description_has_it(method: Method) -> None:
    servers = specification_of(method.path).servers(method.path.format_map(PATH_OF.get(method, {})))

    # Each host has a ping; the description names them in a table, and only the first as its server.
    assert method is PING or WildberriesHosts().url(method.host) in servers


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (wire.Card, PostV2GetCardsList200ResponseCardsInner),
        (wire.CardSize, PostV2GetCardsList200ResponseCardsInnerSizesInner),
        (wire.CardPhoto, PostV2GetCardsList200ResponseCardsInnerPhotosInner),
        (wire.CardsAnswerCursor, PostV2GetCardsList200ResponseCursor),
        (wire.CardsCursor, PostV2GetCardsListRequestSettingsCursor),
        (wire.TrashedCard, PostV2GetCardsTrash200ResponseCardsInner),
        (wire.TrashAnswerCursor, PostV2GetCardsTrash200ResponseCursor),
        (wire.TrashCursor, PostV2GetCardsTrashRequestSettingsCursor),
        (wire.Goods, items.ItemsList),
        (wire.GoodsSize, items.ItemsListSizesInner),
        (wire.StockQuestion, analytics.InventoryRequest),
        (wire.StockRow, analytics.InventoryWbResponseItemsInner),
        (wire.RemainsRow, GetV1WarehouseRemainsTasksTaskIdDownload200ResponseInner),
        (wire.RemainsWarehouse, GetV1WarehouseRemainsTasksTaskIdDownload200ResponseInnerWarehousesInner),
        (wire.Warehouse, items.Warehouse),
        (wire.WarehouseStock, PostV3StocksWarehouseId200ResponseStocksInner),
        (wire.FeedOrder, analytics.Order),
        (wire.FeedData, analytics.OrderFeedResponse),
        (wire.SupplierOrder, reports.OrdersItem),
        (wire.SupplierSale, reports.SalesItem),
    ],
)
def test_no_field_of_ours_is_unknown_to_the_published_models(ours: Any, theirs: type[BaseModel]) -> None:
    assert {field.encode_name for field in msgspec.structs.fields(ours)} <= field_names(theirs)


def test_the_fields_that_only_wildberries_own_warehouses_have_are_optional() -> None:
    required = {field.encode_name for field in msgspec.structs.fields(wire.StockRow) if field.required}

    assert required <= field_names(analytics.InventorySellerResponseItemsInner)
