"""Hold the sandbox's answers against the official description and against models that others generated from a newer one."""

import re
from typing import NamedTuple

import httpx
from pydantic import BaseModel
from wildberries_sdk.analytics import (
    ErrorObject400,
    PostV1OrderFeed200Response,
    PostV1StocksReportSellerWarehouses200Response,
    PostV1StocksReportWbWarehouses200Response,
)
from wildberries_sdk.general import GetPing200Response, GetPing401Response, GetV1SellerInfo200Response
from wildberries_sdk.items import (
    Error,
    GetV2ListGoodsFilter200Response,
    PostV2GetCardsList200Response,
    PostV2GetCardsTrash200Response,
    PostV3StocksWarehouseId200Response,
    ResponseError,
    Warehouse,
)
from wildberries_sdk.items.models.response_body_content_error400 import ResponseBodyContentError400
from wildberries_sdk.reports import (
    CreateTaskResponse,
    GetTasksResponse,
    GetV1WarehouseRemainsTasksTaskIdDownload200ResponseInner,
    OrdersItem,
    Response4XX,
    ResponseErrorStatistics,
    ResponseErrorStatistics2,
    SalesItem,
)

from tests.contracts.published_models import check_model
from tests.contracts.specification import SPECIFICATIONS, Specification

CARDS = "/content/content/v2/get/cards/list"
TRASH = "/content/content/v2/get/cards/trash"
PRICES = "/prices/api/v2/list/goods/filter"
WAREHOUSES = "/marketplace/api/v3/warehouses"
FBS_STOCKS = "/marketplace/api/v3/stocks"
WB_WAREHOUSES = "/analytics/api/analytics/v1/stocks-report/wb-warehouses"
SELLER_WAREHOUSES = "/analytics/api/analytics/v1/stocks-report/seller-warehouses"
ORDER_FEED = "/analytics/api/analytics/v1/order-feed"
REMAINS = "/analytics/api/v1/warehouse_remains"
SUPPLIER_ORDERS = "/statistics/api/v1/supplier/orders"
SUPPLIER_SALES = "/statistics/api/v1/supplier/sales"
SELLER_INFO = "/common/api/v1/seller-info"


class Described(NamedTuple):
    """Where a path is described, and the models of its answers by status; of an array, the model is that of its elements."""

    file: str
    models: dict[int, tuple[type[BaseModel], ...]]


CONTENT_ERROR = (ResponseBodyContentError400,)
REPORT_ERRORS = {400: (Response4XX,), 404: (Response4XX,)}
STATISTICS_ERRORS = (ResponseErrorStatistics, ResponseErrorStatistics2)

DESCRIBED = {
    "/ping": Described("01-general.yaml", {200: (GetPing200Response,)}),
    "/api/v1/seller-info": Described("01-general.yaml", {200: (GetV1SellerInfo200Response,)}),
    "/content/v2/get/cards/list": Described("02-items.yaml", {200: (PostV2GetCardsList200Response,), 400: CONTENT_ERROR}),
    "/content/v2/get/cards/trash": Described("02-items.yaml", {200: (PostV2GetCardsTrash200Response,), 400: CONTENT_ERROR}),
    "/api/v2/list/goods/filter": Described("02-items.yaml", {200: (GetV2ListGoodsFilter200Response,), 400: (ResponseError,)}),
    "/api/v3/warehouses": Described("02-items.yaml", {200: (Warehouse,)}),
    "/api/v3/stocks/[^/]+": Described("02-items.yaml", {200: (PostV3StocksWarehouseId200Response,), 400: (Error,), 404: (Error,)}),
    "/api/analytics/v1/stocks-report/wb-warehouses": Described(
        "11-analytics.yaml", {200: (PostV1StocksReportWbWarehouses200Response,), 400: (ErrorObject400,)}
    ),
    "/api/analytics/v1/stocks-report/seller-warehouses": Described(
        "11-analytics.yaml", {200: (PostV1StocksReportSellerWarehouses200Response,), 400: (ErrorObject400,)}
    ),
    "/api/analytics/v1/order-feed": Described("11-analytics.yaml", {200: (PostV1OrderFeed200Response,), 400: (ErrorObject400,)}),
    "/api/v1/warehouse_remains": Described("12-reports.yaml", {200: (CreateTaskResponse,), **REPORT_ERRORS}),
    "/api/v1/warehouse_remains/tasks/[^/]+/status": Described("12-reports.yaml", {200: (GetTasksResponse,), **REPORT_ERRORS}),
    "/api/v1/warehouse_remains/tasks/[^/]+/download": Described(
        "12-reports.yaml", {200: (GetV1WarehouseRemainsTasksTaskIdDownload200ResponseInner,), **REPORT_ERRORS}
    ),
    "/api/v1/supplier/orders": Described("12-reports.yaml", {200: (OrdersItem,), 400: STATISTICS_ERRORS}),
    "/api/v1/supplier/sales": Described("12-reports.yaml", {200: (SalesItem,), 400: STATISTICS_ERRORS}),
}


async def check_answer(response: httpx.Response) -> None:
    """Raise AssertionError where the answer is not as described. Paths that no description has get the gateway's error and nothing else."""
    await response.aread()
    _, _, _, *rest = response.request.url.path.split("/", 3)
    path = "/" + "".join(rest)
    by_gateway = response.status_code == 402 or (response.status_code in (401, 403, 404, 405, 429) and b'"statusText"' in response.content)
    if by_gateway:
        assert response.headers["content-type"] == "application/problem+json"
        check_model(GetPing401Response, response.json())
    described = next((described for pattern, described in DESCRIBED.items() if re.fullmatch(pattern, path)), None)
    if described is None or (by_gateway and response.status_code in (404, 405)):
        assert by_gateway, f"{path} answered {response.status_code}, and no description has it"
        return
    if SPECIFICATIONS.is_dir():
        Specification.load(described.file).check_response(
            response.request.method, path, response.status_code, headers=response.headers, body=response.content
        )
    if not by_gateway and "json" in response.headers.get("content-type", ""):
        _check_models(described.models[response.status_code], response)


def _check_models(models: tuple[type[BaseModel], ...], response: httpx.Response) -> None:
    """Each message has to be what one of the models describes."""
    body = response.json()
    for message in body if isinstance(body, list) else [body]:
        for model in models[:-1]:
            try:
                check_model(model, message)
            except AssertionError:
                continue
            break
        else:
            check_model(models[-1], message)
