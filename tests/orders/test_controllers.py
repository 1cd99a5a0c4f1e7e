"""A bot lists a seller's orders."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from app.database import tenant_scope
from app.marketplaces.contract import FetchedOrder, Marketplace, OrderStatus
from app.orders.store import write_orders
from app.products.store import write_products
from tests.application import Shop
from tests.factories import product
from tests.scripted_client import line, order

pytestmark = pytest.mark.anyio


async def add(shop: Shop, *orders: FetchedOrder, marketplace: Marketplace = Marketplace.WILDBERRIES) -> None:
    async with tenant_scope(shop.tenant_id) as connection:
        await write_products(connection, shop.tenant_id, marketplace, [product("1", "Cup"), product("2", "Plate")])
        await write_orders(connection, shop.tenant_id, marketplace, orders)


async def page(shop: Shop, **query: Any) -> dict[str, Any]:
    return await shop.expect(200, "GET", "/orders", params=query)


async def listed(shop: Shop, **query: Any) -> list[str]:
    return [item["external_id"] for item in (await page(shop, **query))["items"]]


async def product_id(shop: Shop, external_id: str) -> UUID:
    [[found]] = await shop.rows(f"SELECT id FROM products WHERE tenant_id = $1 AND external_id = '{external_id}'")
    return found


async def test_an_order_is_told_with_its_lines(shop: Shop):
    await add(shop, order("A", line("1", "CUP", quantity=2), line(None, "GONE", amount=None), status=OrderStatus.DELIVERING, changed=2))

    [item] = (await page(shop))["items"]

    lines = item.pop("lines")
    assert UUID(item.pop("id")).version == 7
    assert item.pop("updated_at").endswith("Z")
    assert item == {
        "marketplace": "wildberries",
        "external_id": "A",
        "number": "N-A",
        "status": "delivering",
        "marketplace_status": "was delivering",
        "fulfilment": "marketplace_warehouse",
        "warehouse": "Коледино",
        "destination": "Казань",
        "currency": "RUB",
        "ordered_at": "2026-11-20T09:00:00Z",
        "changed_at": "2026-11-20T11:00:00Z",
    }
    assert lines == [
        {
            "product_id": str(await product_id(shop, "1")),
            "product_external_id": "1",
            "size_id": None,
            "article": "CUP",
            "title": "Cup",
            "quantity": 2,
            "price": "90.50",
        },
        {"product_id": None, "product_external_id": None, "size_id": None, "article": "GONE", "title": None, "quantity": 1, "price": None},
    ]


async def test_the_newest_come_first_and_pages_neither_repeat_nor_skip_when_orders_come_in(shop: Shop):
    # Three of one moment: only the id tells them apart.
    await add(shop, *(order(name, hours=hours) for name, hours in (("A", 0), ("B", 1), ("C", 1), ("D", 1), ("E", 2))))
    first = await page(shop, limit=2)
    await add(shop, order("F", hours=3))

    second = await page(shop, limit=2, cursor=first["next_cursor"])
    third = await page(shop, limit=2, cursor=second["next_cursor"])

    seen = [item["external_id"] for part in (first, second, third) for item in part["items"]]
    assert (seen[0], sorted(seen[1:4]), seen[4:]) == ("E", ["B", "C", "D"], ["A"])
    assert third["next_cursor"] is None
    assert (await listed(shop))[0] == "F"


async def test_a_list_can_be_narrowed(shop: Shop):
    await add(
        shop, order("A", line("1")), order("B", line("2"), status=OrderStatus.CANCELLED, hours=1), order("C", line("1"), line("2"), hours=2)
    )
    await add(shop, order("O", line("1")), marketplace=Marketplace.OZON)
    cup = str((await shop.rows("SELECT id FROM products WHERE tenant_id = $1 AND external_id = '1' AND marketplace = 'wildberries'"))[0][0])

    assert await listed(shop, marketplace="ozon") == ["O"]
    assert await listed(shop, status="cancelled") == ["B"]
    assert await listed(shop, product_id=cup) == ["C", "A"]
    assert await listed(shop, product_id=str(uuid4())) == []
    assert await listed(shop, **{"from": "2026-11-20T10:00:00Z"}) == ["C", "B"]
    assert await listed(shop, to="2026-11-20T10:00:00Z", marketplace="wildberries") == ["A"]
    assert await listed(shop, **{"from": "2026-11-20T13:00:00+03:00", "to": "2026-11-20T11:00:00Z"}) == ["B"]
    assert await listed(shop, product_id=cup, status="cancelled") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [({"status": "odd"}, "status"), ({"marketplace": "ebay"}, "marketplace"), ({"from": "2026-11-22T10:00:00"}, "from"), ({"to": "now"}, "to"),
     ({"product_id": "1"}, "product_id"), ({"limit": "0"}, "limit"), ({"cursor": "x"}, "cursor"), ({"since": "2026-11-22T10:00:00Z"}, "since")],
)  # fmt: skip
async def test_a_wrong_query_is_named(shop: Shop, query: dict[str, str], field: str):
    answer = await shop.call("GET", "/orders", params=query)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_cursor_belongs_to_its_filters(shop: Shop):
    await add(shop, order("A"), order("B"))
    cursor = (await page(shop, limit=1))["next_cursor"]

    answer = await shop.call("GET", "/orders", params={"cursor": cursor, "status": "created"})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


async def test_nobody_sees_anothers_orders(shop: Shop, other_shop: Shop):
    await add(other_shop, order("A"))
    theirs = str(await product_id(other_shop, "1"))

    assert await listed(shop) == []
    assert await listed(shop, product_id=theirs) == []
    assert await listed(other_shop, product_id=theirs) == ["A"]
    assert (await shop.client.get("/orders")).status_code == 401
