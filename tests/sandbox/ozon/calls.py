"""What the tests ask of the sandbox's Ozon, as short as it can be said."""

from typing import Any

import httpx

LIST = "/v3/product/list"
INFO = "/v3/product/info/list"
TOTALS = "/v4/product/info/stocks"
FBO_STOCKS = "/v1/product/info/stocks-by-warehouse/fbo"
FBS_STOCKS = "/v2/product/info/stocks-by-warehouse/fbs"
WAREHOUSE = "/v1/product/info/warehouse/stocks"
WAREHOUSES = "/v2/warehouse/list"
OZON_WAREHOUSES = "/v1/warehouse/ozon/list"
PRICES = "/v5/product/info/prices"
FBS = "/v4/posting/fbs/list"
FBO = "/v3/posting/fbo/list"
ROLES = "/v1/roles"

Json = dict[str, Any]
ITEMS = {LIST: "items", TOTALS: "items", PRICES: "items", FBO_STOCKS: "products", FBS_STOCKS: "products", WAREHOUSE: "stocks"}


async def ask(client: httpx.AsyncClient, path: str, **question: Any) -> Json:
    answer = await client.post(path, json=question)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def walk(client: httpx.AsyncClient, path: str, limit: int, **question: Any) -> list[Json]:
    """All items of a list, as a careful client collects them."""
    items: list[Json] = []
    cursor = ""
    while True:
        asked = {**question, "limit": limit, "last_id" if path == LIST else "cursor": cursor}
        page = await ask(client, path, **asked)
        page = page.get("result", page)
        found = page[ITEMS.get(path, "postings")]
        items += found
        cursor = page.get("cursor", page.get("last_id"))
        if not found or not cursor or page.get("has_next") is False:
            return items


async def all_products(client: httpx.AsyncClient, visibility: str = "ALL") -> list[Json]:
    return await walk(client, LIST, 1000, filter={"visibility": visibility})


async def refused(client: httpx.AsyncClient, path: str, **question: Any) -> tuple[int, int, str]:
    """Status, code and message."""
    answer = await client.post(path, json=question)
    return answer.status_code, answer.json()["code"], answer.json()["message"]
