"""What is arranged in a shop shows in what Ozon answers."""

from typing import Any

import httpx
import pytest

from tests.sandbox.ozon.calls import FBO, FBO_STOCKS, FBS, FBS_STOCKS, INFO, LIST, PRICES, WAREHOUSES, all_products, ask, walk
from tests.sandbox.ozon.conftest import CLIENT_ID

pytestmark = pytest.mark.anyio

SELLER = f"/shops/00000000-0000-0000-0000-{CLIENT_ID:012x}"
WINDOW = {"since": "2026-11-15T00:00:00Z", "to": "2026-11-23T00:00:00Z"}


async def detail(ozon: httpx.AsyncClient, product_id: int) -> dict[str, Any]:
    return (await ask(ozon, INFO, product_id=[product_id]))["items"][0]


async def test_a_key_and_a_token_can_be_asked_for(ozon: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    wanted = {"client_id": 777, "products": 3, "roles": ["Product read only"], "expires_at": "2027-01-01T00:00:00Z"}
    key = (await control.post("/ozon/keys", json=wanted)).json()
    token = (await control.post("/ozon/tokens", json=wanted)).json()

    by_key = await ozon.post("/v1/roles", headers={"Client-Id": key["client_id"], "Api-Key": key["api_key"]})
    by_token = await ozon.post("/v1/roles", headers={"Authorization": f"Bearer {token['access_token']}"})

    assert by_key.json() == by_token.json()
    assert by_key.json()["expires_at"] == "2027-01-01T00:00:00Z"
    assert (await control.get("/ozon/shops/777")).json()["active"] + (await control.get("/ozon/shops/777")).json()["archived"] >= 3


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"client_id": 0}, 400),
        ({"client_id": 5, "roles": ["King"]}, 400),
        ({"client_id": 5, "products": -1}, 400),
        ({"client_id": 5, "expires_at": "2027-01-01T00:00:00"}, 400),
        ({"client_id": 5, "role": "Admin"}, 400),
    ],
)
async def test_a_wrong_wish_is_refused(control: httpx.AsyncClient, wanted: dict[str, Any], status: int) -> None:
    assert (await control.post("/ozon/keys", json=wanted)).status_code == status


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("GET", "/ozon", None),
        ("DELETE", "/ozon/shops/5", None),
        ("PATCH", "/ozon/shops/5/products/1", {"archived": True}),
        ("PATCH", "/ozon/shops/5/products/1", {"title": "?"}),
        ("PUT", "/ozon/shops/5/stocks", {"product_id": 1, "quantity": 1}),
        ("PUT", "/ozon/shops/5/postings/1-1-1", {"status": "cancelled"}),
        ("PUT", "/ozon/shops/5/postings/nonsense", {"status": "cancelled"}),
    ],
)
async def test_what_is_not_there_is_not_found(control: httpx.AsyncClient, verb: str, path: str, body: dict[str, Any] | None) -> None:
    assert (await control.request(verb, path, json=body)).status_code == 404


async def test_a_product_goes_into_the_archive_and_comes_back(ozon: httpx.AsyncClient, shop: httpx.AsyncClient) -> None:
    before = await all_products(ozon)
    product = next(product for product in before if product["has_fbo_stocks"])
    sku = str(product["sku"])

    await shop.patch(f"/products/{product['product_id']}", json={"archived": True})
    gone, archive = await all_products(ozon), await all_products(ozon, "ARCHIVED")
    stock = await walk(ozon, FBO_STOCKS, 1000, skus=[sku])
    await shop.patch(f"/products/{product['product_id']}", json={"archived": False})

    assert gone == [other for other in before if other != product]
    assert product["product_id"] in {other["product_id"] for other in archive}
    assert stock == []
    assert await all_products(ozon) == before
    assert await walk(ozon, FBO_STOCKS, 1000, skus=[sku])


async def test_what_is_in_the_trash_of_the_shop_is_in_ozons_archive(
    ozon: httpx.AsyncClient, shop: httpx.AsyncClient, control: httpx.AsyncClient
) -> None:
    before = await all_products(ozon)
    nm_id = (await control.get(f"{SELLER}/orders")).json()[0]["nm_id"]
    await control.delete(f"{SELLER}/products/{nm_id}")
    archived = {one["product_id"] for one in await all_products(ozon, "ARCHIVED")} & {one["product_id"] for one in before}

    for product_id in archived:
        await shop.patch(f"/products/{product_id}", json={"archived": False})

    assert archived
    assert await all_products(ozon) == before


async def test_a_name_and_a_price_are_those_of_all_sizes(ozon: httpx.AsyncClient, shop: httpx.AsyncClient, truth: Any) -> None:
    sums = await truth()
    product_id = (await all_products(ozon))[0]["product_id"]
    priced = {item["product_id"]: item["price"] for item in await walk(ozon, PRICES, 1000, filter={"visibility": "ALL"})}

    await shop.patch(f"/products/{product_id}", json={"title": "Новое имя", "price": 1000, "discount": 10, "club_discount": 5})

    told = await detail(ozon, product_id)
    assert told["name"].startswith("Новое имя")
    assert (told["price"], told["old_price"]) == ("900.00", "1000.00")
    now = {item["product_id"]: item["price"] for item in await walk(ozon, PRICES, 1000, filter={"visibility": "ALL"})}
    changed = [key for key in now if now[key] != priced[key]]
    assert product_id in changed
    assert {(now[key]["price"], now[key]["old_price"], now[key]["marketing_seller_price"]) for key in changed} == {(900, 1000, 855)}
    assert (await truth())["price_sum"] != sums["price_sum"]


async def test_a_quantity_is_what_is_for_sale(ozon: httpx.AsyncClient, shop: httpx.AsyncClient) -> None:
    product = (await all_products(ozon))[0]
    warehouse_id = (await ask(ozon, WAREHOUSES, limit=1))["warehouses"][0]["warehouse_id"]

    await shop.put("/stocks", json={"product_id": product["product_id"], "quantity": 17})
    await shop.put("/stocks", json={"product_id": product["product_id"], "quantity": 5, "warehouse_id": warehouse_id})

    fbo = await walk(ozon, FBO_STOCKS, 1000, skus=[product["sku"]])
    fbs = await walk(ozon, FBS_STOCKS, 1000, sku=[product["sku"]])
    assert sum(row["present"] - row["reserved"] for row in fbo) == 17
    assert [row["free_stock"] for row in fbs if row["warehouse_id"] == warehouse_id] == [5]


async def test_an_order_is_cancelled_with_all_its_parcels(ozon: httpx.AsyncClient, shop: httpx.AsyncClient) -> None:
    postings = {posting["posting_number"]: posting for path in (FBS, FBO) for posting in await walk(ozon, path, 100, filter=WINDOW)}
    number = next(number for number in postings if number.endswith("-2") and postings[number]["status"] != "cancelled")

    answer = await shop.put(f"/postings/{number}", json={"status": "cancelled", "cancel_type": "app"})

    assert answer.status_code == 204
    after = {posting["posting_number"]: posting for path in (FBS, FBO) for posting in await walk(ozon, path, 100, filter=WINDOW)}
    changed = {number for number in after if after[number]["status"] != postings[number]["status"]}
    assert changed == {number, f"{number.removesuffix('-2')}-1"}
    assert {after[number]["status"] for number in changed} == {"cancelled"}


async def test_a_new_shop_takes_the_place_of_the_old(ozon: httpx.AsyncClient, shop: httpx.AsyncClient) -> None:
    product = (await all_products(ozon))[0]
    await shop.patch(f"/products/{product['product_id']}", json={"archived": True})

    assert (await shop.put("", json={"products": 25})).status_code == 204
    again = await all_products(ozon)
    await shop.put("", json={"products": 0})

    assert product in again
    assert await ask(ozon, LIST, filter={"visibility": "ALL"}, limit=1) == {"result": {"items": [], "last_id": "", "total_items": 0}}
    assert (await ask(ozon, FBO, filter=WINDOW, limit=1))["postings"] == []


async def test_a_mixture_of_changes_shows_here_too(ozon: httpx.AsyncClient, control: httpx.AsyncClient, truth: Any) -> None:
    before = await truth()
    await control.post(f"{SELLER}/changes", json={"seed": 3, "count": 40})

    after = await truth()

    assert after != before
    assert len(await all_products(ozon)) == after["active"]
    assert len(await all_products(ozon, "ARCHIVED")) == after["archived"]


async def test_the_same_client_id_finds_the_same_shop(ozon: httpx.AsyncClient, control: httpx.AsyncClient, truth: Any) -> None:
    first, totals = await all_products(ozon), await truth()
    await control.delete("")
    await control.patch("", json={"limits": False})
    await control.post("/clock", json={"freeze_at": "2026-11-22T11:00:00Z"})

    assert await all_products(ozon) == first
    assert await truth() == totals
