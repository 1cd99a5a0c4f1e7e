"""The sandbox leaves nothing out: most fields are optional in the descriptions, so that an answer without them would pass unnoticed.

Whatever it answers in tests/sandbox is held against the descriptions and the published models there; here is what those can't see.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import BaseModel
from wildberries_sdk.analytics import InventorySellerResponseItemsInner, InventoryWbResponseItemsInner, Order
from wildberries_sdk.general import GetV1SellerInfo200Response
from wildberries_sdk.items import ItemsList, ItemsListSizesInner, Warehouse
from wildberries_sdk.items.models.post_v2_get_cards_list200_response_cards_inner import PostV2GetCardsList200ResponseCardsInner
from wildberries_sdk.items.models.post_v2_get_cards_trash200_response_cards_inner import PostV2GetCardsTrash200ResponseCardsInner
from wildberries_sdk.items.models.post_v3_stocks_warehouse_id200_response_stocks_inner import PostV3StocksWarehouseId200ResponseStocksInner
from wildberries_sdk.reports import GetV1WarehouseRemainsTasksTaskIdDownload200ResponseInner, OrdersItem, SalesItem

from app.sandbox.main import create_sandbox, serve_in_thread
from app.sandbox.tokens import issue_token
from tests.contracts.published_models import field_names

pytestmark = pytest.mark.anyio

SELLER = UUID("7f6c2a10-5f0f-4a67-9b0e-3a2f6d1c9e55")
ALL_GROUPINGS = {f"groupBy{name}": "true" for name in ("Brand", "Subject", "Sa", "Nm", "Barcode", "Size")}


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    with serve_in_thread(create_sandbox(limits=False)) as url:
        yield url


@pytest.fixture
async def http(sandbox_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sandbox_url, headers={"Authorization": issue_token(SELLER)}, verify=False) as http:
        await http.patch("/sandbox", json={"report_s": 0})
        await http.post("/sandbox/clock", json={"freeze_at": "2026-11-22T11:00:00Z"})
        yield http


async def whole_rows(http: httpx.AsyncClient) -> dict[type[BaseModel], list[dict[str, Any]]]:
    """Some of each sort of row that the sandbox has."""

    async def get(path: str, **query: Any) -> Any:
        return (await http.get(f"/wildberries{path}", params=query)).json()

    async def post(path: str, **question: Any) -> Any:
        return (await http.post(f"/wildberries{path}", json=question)).json()

    cards = await post("/content/content/v2/get/cards/list", settings={"cursor": {"limit": 100}})
    await http.delete(f"/sandbox/shops/{SELLER}/products/{cards['cards'][0]['nmID']}")
    warehouses = await get("/marketplace/api/v3/warehouses")
    chrt_ids = [size["chrtID"] for card in cards["cards"] for size in card["sizes"]]
    prices = await get("/prices/api/v2/list/goods/filter", limit=10)
    task_id = (await get("/analytics/api/v1/warehouse_remains", **ALL_GROUPINGS))["data"]["taskId"]
    reports = "/analytics/api/analytics/v1"
    return {
        GetV1SellerInfo200Response: [await get("/common/api/v1/seller-info")],
        PostV2GetCardsList200ResponseCardsInner: cards["cards"],
        PostV2GetCardsTrash200ResponseCardsInner: (await post("/content/content/v2/get/cards/trash"))["cards"],
        ItemsList: prices["data"]["listGoods"],
        ItemsListSizesInner: [size for goods in prices["data"]["listGoods"] for size in goods["sizes"]],
        Warehouse: warehouses,
        PostV3StocksWarehouseId200ResponseStocksInner: (await post(f"/marketplace/api/v3/stocks/{warehouses[0]['id']}", chrtIds=chrt_ids))[
            "stocks"
        ],
        InventoryWbResponseItemsInner: (await post(f"{reports}/stocks-report/wb-warehouses"))["data"]["items"],
        InventorySellerResponseItemsInner: (await post(f"{reports}/stocks-report/seller-warehouses"))["data"]["items"],
        Order: (await post(f"{reports}/order-feed", selectedPeriod={"start": "2026-11-01T00:00:00+03:00"}))["data"]["orders"],
        GetV1WarehouseRemainsTasksTaskIdDownload200ResponseInner: await get(
            f"/analytics/api/v1/warehouse_remains/tasks/{task_id}/download"
        ),
        OrdersItem: await get("/statistics/api/v1/supplier/orders", dateFrom="2026-11-20"),
        SalesItem: await get("/statistics/api/v1/supplier/sales", dateFrom="2026-11-20"),
    }


# What a real answer has now and then, and a shop of the sandbox never.
NEVER: dict[type[BaseModel], set[str]] = {
    GetV1SellerInfo200Response: {"country"},
    PostV2GetCardsList200ResponseCardsInner: {"video", "documents", "gtin"},
    PostV2GetCardsTrash200ResponseCardsInner: {"video"},
    ItemsList: {"wholesaleDiscountThreshold"},
}


async def test_every_field_that_a_published_model_knows_is_told(http: httpx.AsyncClient) -> None:
    for model, rows in (await whole_rows(http)).items():
        assert rows, model.__name__
        told = {name for row in rows for name in row}
        assert told == field_names(model) - NEVER.get(model, set()), model.__name__
