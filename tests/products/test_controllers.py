"""A bot looks for products and walks through them."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app.api.pagination import encode_cursor
from app.database import tenant_scope
from app.ids import new_id
from app.products.schemas import ProductQuery
from tests.application import Shop

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

INSERT = """
    INSERT INTO products (id, tenant_id, marketplace, external_id, article, title, brand, category, barcodes, sizes, digest,
                          stock_total, low_stock_threshold, archived_at, created_at, updated_at)
    VALUES ($1, $2, 'wildberries', $3, $4, $5, $6, 'Mugs', $7, '[]', '\\x00', $8, $9, $10, now(), $11)
"""


async def add(
    shop: Shop,
    title: str = "Mug",
    *,
    article: str = "A",
    brand: str = "Home",
    barcodes: tuple[str, ...] = (),
    stock: int = 50,
    threshold: int | None = None,
    archived: bool = False,
    updated_at: datetime = NOON,
) -> UUID:
    product_id = new_id()
    async with tenant_scope(shop.tenant_id) as connection:
        await connection.execute(
            INSERT, product_id, shop.tenant_id, product_id.hex, article, title, brand, list(barcodes), stock, threshold,
            NOON if archived else None, updated_at,
        )  # fmt: skip
    return product_id


async def titles(shop: Shop, **query: Any) -> list[str]:
    page = await shop.expect(200, "GET", "/products", params=query)
    return [item["title"] for item in page["items"]]


async def walk(shop: Shop, between: Any = None, **query: Any) -> list[dict[str, Any]]:
    """All items, page by page; `between` is awaited after the first page."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await shop.expect(200, "GET", "/products", params=query | cursor)
        assert len(page["items"]) <= query["limit"]
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}
        if between is not None:
            await between()
            between = None


async def test_a_fresh_tenant_has_no_products(shop: Shop):
    assert await shop.expect(200, "GET", "/products") == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("mug", ["Mug 100%", "Mug 1000", "mug_blue", "MUGxblue"]),
        ("КРУЖ", ["Кружка"]),
        ("100%", ["Mug 100%"]),
        ("g_b", ["mug_blue"]),
        ("\\", ["Back\\slash"]),
        ("ART-7", ["Кружка"]),
        ("4600000000017", ["Back\\slash"]),
        ("46000000000", []),
        ("'; DROP TABLE products; --", []),
    ],
)
async def test_a_search_looks_in_title_article_and_barcode_and_takes_signs_as_they_are(shop: Shop, q: str, found: list[str]):
    for title in ("Mug 100%", "Mug 1000", "mug_blue", "MUGxblue"):
        await add(shop, title)
    await add(shop, "Кружка", article="ART-7")
    await add(shop, "Back\\slash", barcodes=("4600000000000", "4600000000017"))

    assert await titles(shop, q=q) == found


async def test_a_brand_is_met_exactly(shop: Shop):
    await add(shop, "ours", brand="Home")
    await add(shop, "theirs", brand="Home Sweet")

    assert await titles(shop, brand="Home") == ["ours"]


async def test_archived_products_are_listed_apart(shop: Shop):
    await add(shop, "active")
    await add(shop, "archived", archived=True)

    assert await titles(shop) == ["active"]
    assert await titles(shop, archived="true") == ["archived"]


async def test_low_stock_is_by_the_products_own_threshold_or_else_the_tenants(shop: Shop):
    await shop.expect(200, "PATCH", "/tenants/me", json={"low_stock_threshold": 10})
    await add(shop, "at the tenant's", stock=10)
    await add(shop, "above the tenant's", stock=11)
    await add(shop, "at its own", stock=40, threshold=40)
    await add(shop, "above its own", stock=2, threshold=1)
    await add(shop, "out, with a threshold of zero", stock=0, threshold=0)

    assert await titles(shop, low_stock="true") == ["at the tenant's", "at its own", "out, with a threshold of zero"]
    assert await titles(shop, low_stock="false") == ["above the tenant's", "above its own"]


async def test_another_threshold_is_seen_at_once(shop: Shop):
    await add(shop, "Mug", stock=8)
    assert await titles(shop, low_stock="true") == []

    await shop.expect(200, "PATCH", "/tenants/me", json={"low_stock_threshold": 8})

    assert await titles(shop, low_stock="true") == ["Mug"]


async def test_what_was_updated_since_an_instant_includes_that_instant(shop: Shop):
    await add(shop, "before", updated_at=NOON - timedelta(microseconds=1))
    await add(shop, "at noon")

    assert await titles(shop, updated_since="2026-11-22T12:00:00Z") == ["at noon"]
    assert await titles(shop, updated_since="2026-11-22T15:00:00+03:00") == ["at noon"]


@pytest.mark.parametrize("limit", [1, 3, 24, 25, 500])
async def test_without_a_sort_products_come_in_the_order_in_which_they_were_first_seen(shop: Shop, limit: int):
    made = [str(await add(shop)) for _ in range(25)]

    assert [item["id"] for item in await walk(shop, limit=limit)] == made


@pytest.mark.parametrize("sort", ["title", "-title", "stock", "-stock", "updated_at", "-updated_at"])
async def test_each_sort_walks_all_rows_once_with_ties_and_with_inserts_in_between(shop: Shop, sort: str):
    made = {
        str(await add(shop, "abc"[n % 3], stock=n % 4, updated_at=NOON + timedelta(microseconds=n % 2)))
        for n in range(25)
    }  # fmt: skip

    async def insert() -> None:
        for title, stock, shift in (("A", -1, -1), ("b", 2, 0), ("z", 99, 9)):
            await add(shop, title, stock=stock, updated_at=NOON + timedelta(microseconds=shift))

    items = await walk(shop, insert, sort=sort, limit=4)

    seen = [item["id"] for item in items]
    assert len(seen) == len(set(seen))
    assert made <= set(seen)
    column = {"title": "title", "stock": "stock_total", "updated_at": "updated_at"}[sort.lstrip("-")]
    value = datetime.fromisoformat if column == "updated_at" else lambda value: value
    places = [(value(item[column]), item["id"]) for item in items if item["id"] in made]
    assert all(a > b if sort.startswith("-") else a < b for a, b in pairwise(places))


async def test_a_cursor_belongs_to_its_query_and_a_limit_may_change(shop: Shop):
    for _ in range(5):
        await add(shop)
    cursor = (await shop.expect(200, "GET", "/products", params={"limit": 2, "sort": "title"}))["next_cursor"]

    for other in ({"sort": "-title"}, {}, {"sort": "title", "brand": "Home"}, {"sort": "title", "archived": "true"}):
        answer = await shop.call("GET", "/products", params=other | {"cursor": cursor})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "cursor"
    assert len((await shop.expect(200, "GET", "/products", params={"limit": 500, "sort": "title", "cursor": cursor}))["items"]) == 3


async def test_a_forged_cursor_only_chooses_where_in_the_list_to_begin(shop: Shop):
    await add(shop, stock=5)
    query = ("products", ProductQuery(sort="stock", limit=0))

    pages = [
        await shop.expect(200, "GET", "/products", params={"sort": "stock", "cursor": encode_cursor(query, (stock, UUID(int=0)))})
        for stock in (2**31, 2**62, -(2**62))
    ]

    assert [len(page["items"]) for page in pages] == [0, 0, 1]


async def test_anothers_cursor_shows_nothing_of_theirs(shop: Shop, other_shop: Shop):
    for _ in range(3):
        await add(other_shop, "theirs")
    await add(shop, "ours")
    cursor = (await other_shop.expect(200, "GET", "/products", params={"limit": 1}))["next_cursor"]

    answer = await shop.call("GET", "/products", params={"cursor": cursor})

    assert "theirs" not in answer.text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "1e3"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"q": ""}, "q"),
        ({"q": "x" * 201}, "q"),
        ({"q": "nul\0"}, "q"),
        ({"brand": "x" * 201}, "brand"),
        ({"sort": "price"}, "sort"),
        ({"archived": "perhaps"}, "archived"),
        ({"low_stock": "2"}, "low_stock"),
        ({"updated_since": "yesterday"}, "updated_since"),
        ({"updated_since": "2026-11-22T12:00:00"}, "updated_since"),
        ({"marketplace": "ebay"}, "marketplace"),
        ({"cursor": "!"}, "cursor"),
        ({"page": "2"}, "page"),
    ],
)
async def test_a_wrong_query_is_named(shop: Shop, query: dict[str, str], field: str):
    answer = await shop.call("GET", "/products", params=query)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("updated_since", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
async def test_the_ends_of_the_calendar_are_moments_like_others(shop: Shop, updated_since: str):
    await shop.expect(200, "GET", "/products", params={"updated_since": updated_since})


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize(
    ("path", "field"), [("/products", "updated_since"), ("/sync", "since"), (f"/webhooks/{UUID(int=1)}/deliveries", "since")]
)
async def test_a_moment_off_the_calendar_is_named(shop: Shop, path: str, field: str, moment: str):
    answer = await shop.call("GET", path, params={field: moment})

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_the_answer_changes_after_a_sync_though_it_was_cached(shop: Shop, sandbox: httpx.AsyncClient):
    await shop.give_key()
    await shop.sync()
    before = await shop.expect(200, "GET", "/products")
    await add(shop, "behind the cache's back")
    assert await shop.expect(200, "GET", "/products") == before

    external_id = before["items"][0]["external_id"]
    assert (await sandbox.patch(f"/shops/{shop.seller_id}/products/{external_id}", json={"title": "Renamed"})).is_success
    await shop.sync()

    assert "Renamed" in await titles(shop)


async def test_the_cache_tells_no_tenant_of_another(shop: Shop, other_shop: Shop):
    await add(shop, "ours")
    await add(other_shop, "theirs")

    assert [await titles(seller) for seller in (shop, other_shop, shop, other_shop)] == [["ours"], ["theirs"], ["ours"], ["theirs"]]


async def test_a_product_is_shown_with_its_shelves_fullest_first(shop: Shop):
    await shop.give_key()
    await shop.sync()
    listed = await shop.expect(200, "GET", "/products")

    for item in listed["items"]:
        detail = await shop.expect(200, "GET", f"/products/{item['id']}")
        quantities = [shelf["quantity"] for shelf in detail["stocks"]]
        assert {name: detail[name] for name in item} == item
        assert sum(quantities) == item["stock_total"]
        assert quantities == sorted(quantities, reverse=True)
    assert len(listed["items"]) == 5


async def test_anothers_product_is_as_absent_as_a_missing_one(shop: Shop, other_shop: Shop):
    theirs = await add(other_shop)
    missing = uuid4()

    answers = [await shop.call("GET", f"/products/{product_id}") for product_id in (theirs, missing)]

    told = [answer.json() | {"instance": "", "request_id": "", "detail": answer.json()["detail"][:11]} for answer in answers]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert told[0] == told[1]


@pytest.mark.parametrize("product_id", ["1", "not-a-uuid", "%00"])
async def test_what_is_no_id_is_not_found(shop: Shop, product_id: str):
    answer = await shop.call("GET", f"/products/{product_id}")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
