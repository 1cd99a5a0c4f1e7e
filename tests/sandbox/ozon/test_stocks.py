"""How many units Ozon says there are, and where."""

from collections import Counter
from typing import Any

import httpx
import pytest

from tests.sandbox.ozon.calls import (
    FBO_STOCKS,
    FBS_STOCKS,
    INFO,
    OZON_WAREHOUSES,
    TOTALS,
    WAREHOUSE,
    WAREHOUSES,
    all_products,
    ask,
    refused,
    walk,
)

pytestmark = pytest.mark.anyio


async def skus(ozon: httpx.AsyncClient) -> list[str]:
    return [str(product["sku"]) for product in await all_products(ozon)]


def free(row: dict[str, Any]) -> int:
    return row["present"] - row["reserved"]


async def test_all_methods_agree_with_each_other_and_with_the_truth(ozon: httpx.AsyncClient, truth: Any) -> None:
    totals = await truth()
    asked = await skus(ozon)
    fbo, fbs = await walk(ozon, FBO_STOCKS, 1000, skus=asked), await walk(ozon, FBS_STOCKS, 1000, sku=asked)
    by_product = {item["product_id"]: item["stocks"] for item in await walk(ozon, TOTALS, 1000, filter={"visibility": "ALL"})}
    details = (await ask(ozon, INFO, sku=asked))["items"]

    assert sum(map(free, fbo)) == totals["fbo_units"] > 0
    assert sum(map(free, fbs)) == totals["fbs_units"] > 0
    assert sum(row["free_stock"] for row in fbs) == totals["fbs_units"]
    for name, rows in (("fbo", fbo), ("fbs", fbs)):
        present, reserved = Counter[int](), Counter[int]()
        for row in rows:
            present[row["product_id"]] += row["present"]
            reserved[row["product_id"]] += row["reserved"]
        for product_id, stocks in by_product.items():
            stock = next(stock for stock in stocks if stock["type"] == name)
            assert (stock["present"], stock["reserved"]) == (present[product_id], reserved[product_id])
        for item in details:
            told = [stock for stock in item["stocks"]["stocks"] if stock["source"] == name]
            assert sum(stock["present"] for stock in told) == present[item["id"]]
    assert any(row["reserved"] for row in fbo)
    assert any(row["reserved"] for row in fbs)


async def test_ozons_stock_lies_in_several_warehouses_whose_names_are_listed_elsewhere(ozon: httpx.AsyncClient) -> None:
    rows = await walk(ozon, FBO_STOCKS, 1000, skus=await skus(ozon))
    warehouses = (await ask(ozon, OZON_WAREHOUSES, warehouse_types=["FULL_FILLMENT"]))["warehouses"]

    assert {row["warehouse_id"] for row in rows} <= {warehouse["warehouse_id"] for warehouse in warehouses}
    assert max(Counter(row["sku"] for row in rows).values()) > 1
    assert all("warehouse_name" not in row for row in rows)
    assert (await ask(ozon, OZON_WAREHOUSES, warehouse_types=["B2B"]))["warehouses"] == []
    assert (await refused(ozon, OZON_WAREHOUSES))[:2] == (400, 3)


@pytest.mark.parametrize(("path", "group"), [(FBO_STOCKS, "skus"), (FBS_STOCKS, "sku")])
@pytest.mark.parametrize("limit", [1, 5])
async def test_small_pages_add_up(ozon: httpx.AsyncClient, path: str, group: str, limit: int) -> None:
    asked = await skus(ozon)
    whole = await walk(ozon, path, 1000, **{group: asked})

    assert await walk(ozon, path, limit, **{group: asked}) == whole


async def test_products_are_asked_for_by_offer_too(ozon: httpx.AsyncClient) -> None:
    products = await all_products(ozon)
    offers, asked = [product["offer_id"] for product in products], [product["sku"] for product in products]

    assert await walk(ozon, FBS_STOCKS, 1000, offer_id=offers) == await walk(ozon, FBS_STOCKS, 1000, sku=asked)
    assert await walk(ozon, FBO_STOCKS, 1000, offer_ids=offers[:3], skus=asked[3:]) == await walk(ozon, FBO_STOCKS, 1000, skus=asked)


@pytest.mark.parametrize(
    ("path", "question", "message"),
    [
        (FBO_STOCKS, {"skus": ["1"]}, "Limit: value must be inside range (0, 1000]"),
        (FBO_STOCKS, {"skus": ["1"], "limit": 1001}, "Limit: value must be inside range (0, 1000]"),
        (FBO_STOCKS, {"limit": 1}, "Skus: value is required"),
        (FBO_STOCKS, {"skus": ["1"] * 600, "offer_ids": ["a"] * 600, "limit": 1}, "no more than 1000"),
        (FBS_STOCKS, {"sku": ["1"]}, "Limit: value must be inside range (0, 1000]"),
        (FBS_STOCKS, {"limit": 1}, "Sku: value is required"),
        (FBS_STOCKS, {"sku": ["1"], "offer_id": ["a"], "limit": 1}, "use only one of"),
        (FBS_STOCKS, {"sku": ["1"] * 1001, "limit": 1}, "no more than 1000"),
        (FBS_STOCKS, {"sku": ["1"], "limit": 1, "cursor": "eyJsYXN0IjoxfQ=="}, "invalid cursor"),
        (WAREHOUSE, {"warehouse_id": 1}, "Limit: value must be inside range (0, 1000]"),
        (WAREHOUSES, {}, "Limit: value must be inside range (0, 200]"),
        (WAREHOUSES, {"limit": 201}, "Limit: value must be inside range (0, 200]"),
        (WAREHOUSES, {"limit": 1, "warehouse_ids": ["1"] * 201}, "no more than 200"),
    ],
)
async def test_a_wrong_question_is_refused_with_the_name_of_the_field(
    ozon: httpx.AsyncClient, path: str, question: dict[str, Any], message: str
) -> None:
    status, code, text = await refused(ozon, path, **question)

    assert (status, code) == (400, 3)
    assert message in text


async def test_unknown_skus_and_archived_products_have_no_stock(ozon: httpx.AsyncClient) -> None:
    archived = [product["sku"] for product in await all_products(ozon, "ARCHIVED")]

    assert archived
    assert await walk(ozon, FBO_STOCKS, 1000, skus=[*archived, 1]) == []
    assert await walk(ozon, FBS_STOCKS, 1000, sku=[*archived, 1]) == []


@pytest.mark.parametrize("limit", [1, 4, 1000])
async def test_one_warehouse_has_what_the_others_have_not(ozon: httpx.AsyncClient, limit: int) -> None:
    everywhere = await walk(ozon, FBS_STOCKS, 1000, sku=await skus(ozon))
    warehouses = (await ask(ozon, WAREHOUSES, limit=200))["warehouses"]
    rows = [row for one in warehouses for row in await walk(ozon, WAREHOUSE, limit, warehouse_id=one["warehouse_id"])]

    assert {(row["sku"], row["warehouse_id"], row["present"], row["reserved"]) for row in rows} == {
        (row["sku"], row["warehouse_id"], row["present"], row["reserved"]) for row in everywhere
    }
    assert {row["warehouse_name"] for row in everywhere} <= {warehouse["name"] for warehouse in warehouses}
    assert await refused(ozon, WAREHOUSE, warehouse_id=7, limit=1) == (404, 5, "Not Found")


async def test_the_sellers_warehouses_are_listed_page_by_page(ozon: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    pages: list[list[int]] = []
    for seed in range(12):
        await control.put("/ozon/shops/123456", json={"products": 1, "seed": seed})
        whole = [warehouse["warehouse_id"] for warehouse in (await ask(ozon, WAREHOUSES, limit=200))["warehouses"]]
        first = await ask(ozon, WAREHOUSES, limit=1)
        pages.append(whole)
        assert first["has_next"] is (len(whole) > 1)
        if first["has_next"]:
            second = await ask(ozon, WAREHOUSES, limit=1, cursor=first["cursor"])
            assert [one["warehouse_id"] for page in (first, second) for one in page["warehouses"]] == whole
        assert [one["warehouse_id"] for one in (await ask(ozon, WAREHOUSES, limit=9, warehouse_ids=whole[-1:]))["warehouses"]] == whole[-1:]

    assert {len(page) for page in pages} == {1, 2}


async def test_stock_moves_by_the_half_hour(ozon: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    asked = await skus(ozon)
    before = await walk(ozon, FBO_STOCKS, 1000, skus=asked)
    await control.post("/clock", json={"advance_s": 1799})
    soon = await walk(ozon, FBO_STOCKS, 1000, skus=asked)
    await control.post("/clock", json={"advance_s": 1800})
    later = await walk(ozon, FBO_STOCKS, 1000, skus=asked)

    assert before == soon
    assert before != later
