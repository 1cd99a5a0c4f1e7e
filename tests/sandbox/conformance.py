"""Hold the sandbox's answers against the official description and against models that others generated from a newer one."""

import httpx
from pydantic import BaseModel
from wildberries_sdk.analytics import (
    ErrorObject400,
    PostV1StocksReportSellerWarehouses200Response,
    PostV1StocksReportWbWarehouses200Response,
)
from wildberries_sdk.general import GetPing200Response, GetPing401Response, GetV1SellerInfo200Response
from wildberries_sdk.items import PostV2GetCardsList200Response
from wildberries_sdk.items.models.response_body_content_error400 import ResponseBodyContentError400

from tests.contracts.published_models import check_model
from tests.contracts.specification import SPECIFICATIONS, Specification

CARDS = "/content/content/v2/get/cards/list"
WB_WAREHOUSES = "/analytics/api/analytics/v1/stocks-report/wb-warehouses"
SELLER_WAREHOUSES = "/analytics/api/analytics/v1/stocks-report/seller-warehouses"
SELLER_INFO = "/common/api/v1/seller-info"

FILES = {
    "/ping": "01-general.yaml",
    "/api/v1/seller-info": "01-general.yaml",
    "/content/v2/get/cards/list": "02-items.yaml",
    "/api/analytics/v1/stocks-report/wb-warehouses": "11-analytics.yaml",
    "/api/analytics/v1/stocks-report/seller-warehouses": "11-analytics.yaml",
}
MODELS: dict[tuple[str, int], type[BaseModel]] = {
    ("/ping", 200): GetPing200Response,
    ("/api/v1/seller-info", 200): GetV1SellerInfo200Response,
    ("/content/v2/get/cards/list", 200): PostV2GetCardsList200Response,
    ("/content/v2/get/cards/list", 400): ResponseBodyContentError400,
    ("/api/analytics/v1/stocks-report/wb-warehouses", 200): PostV1StocksReportWbWarehouses200Response,
    ("/api/analytics/v1/stocks-report/wb-warehouses", 400): ErrorObject400,
    ("/api/analytics/v1/stocks-report/seller-warehouses", 200): PostV1StocksReportSellerWarehouses200Response,
    ("/api/analytics/v1/stocks-report/seller-warehouses", 400): ErrorObject400,
}
GATEWAY_STATUSES = (401, 403, 404, 405, 429)


async def check_answer(response: httpx.Response) -> None:
    """Raise AssertionError where the answer is not as described. Paths that no description has get the gateway's error and nothing else."""
    body = await response.aread()
    _, _, _, *rest = response.request.url.path.split("/", 3)
    path = "/" + "".join(rest)
    described = path in FILES and response.status_code not in (404, 405)
    if described and SPECIFICATIONS.is_dir():
        Specification.load(FILES[path]).check_response(
            response.request.method, path, response.status_code, headers=response.headers, body=body
        )
    if response.status_code in GATEWAY_STATUSES:
        assert response.headers["content-type"] == "application/problem+json"
        check_model(GetPing401Response, response.json())
    elif not described:
        raise AssertionError(f"{path} answered {response.status_code}, and no description has it")
    elif response.headers.get("content-type") == "application/json":
        check_model(MODELS[path, response.status_code], response.json())
