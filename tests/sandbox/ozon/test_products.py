"""Which products Ozon lists, what it says of them and what they cost."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.sandbox.ozon.calls import INFO, LIST, PRICES, TOTALS, all_products, ask, refused, walk

pytestmark = pytest.mark.anyio

ALL = {"visibility": "ALL"}
LISTS = [LIST, TOTALS, PRICES]


async def test_each_size_is_a_product_of_its_own(ozon: httpx.AsyncClient, truth: Any) -> None:
    active, archived = await all_products(ozon), await all_products(ozon, "ARCHIVED")

    totals = await truth()
    assert (len(active), len(archived)) == (totals["active"], totals["archived"])
    assert len(active) > 25
    everything = active + archived
    for field in ("product_id", "sku", "offer_id"):
        assert len({product[field] for product in everything}) == len(everything)
    assert not {product["product_id"] for product in everything} & {product["sku"] for product in everything}
    assert {product["archived"] for product in active} == {False}
    assert {product["archived"] for product in archived} == {True}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_pages_of_any_size_add_up_to_the_whole(ozon: httpx.AsyncClient, path: str, limit: int) -> None:
    ids = [item["product_id"] for item in await walk(ozon, path, limit, filter=ALL)]

    assert ids == sorted(set(ids)) == [product["product_id"] for product in await all_products(ozon)]


async def test_a_last_page_has_a_cursor_now_and_then(ozon: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    cursors: list[str] = []
    for seed in range(12):
        await control.put("/ozon/shops/123456", json={"products": 3, "seed": seed})
        cursors.append((await ask(ozon, LIST, filter=ALL, limit=1000))["result"]["last_id"])

    assert "" in cursors
    assert any(cursors)


@pytest.mark.parametrize("path", LISTS)
async def test_behind_the_last_page_is_an_empty_one(ozon: httpx.AsyncClient, control: httpx.AsyncClient, path: str) -> None:
    await control.post("/faults", json={"kind": "promised_page"})
    place = "last_id" if path == LIST else "cursor"
    last = await ask(ozon, path, filter=ALL, limit=1000)
    cursor = last.get("result", last)[place]

    behind = await ask(ozon, path, filter=ALL, limit=1000, **{place: cursor})

    assert cursor
    assert (behind.get("result", behind)["items"], behind.get("result", behind)[place]) == ([], "")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("totals", ["gone", "present"])
async def test_the_total_is_gone_or_not(ozon: httpx.AsyncClient, control: httpx.AsyncClient, path: str, totals: str) -> None:
    await control.patch("", json={"ozon_totals": totals})

    page = await ask(ozon, path, filter=ALL, limit=2)
    page = page.get("result", page)

    assert page["total_items"] == len(await all_products(ozon))
    assert page.get("total") == (page["total_items"] if totals == "present" else None)


@pytest.mark.parametrize("path", LISTS)
async def test_products_are_found_by_their_ids_whatever_their_visibility(ozon: httpx.AsyncClient, path: str) -> None:
    active, archived = (await all_products(ozon))[0], (await all_products(ozon, "ARCHIVED"))[0]
    wanted = {active["product_id"], archived["product_id"]}

    for group in ({"product_id": [str(number) for number in [*wanted, 1]]}, {"offer_id": [active["offer_id"], archived["offer_id"], "?"]}):
        assert {item["product_id"] for item in await walk(ozon, path, 10, filter=group)} == wanted


async def test_the_list_knows_skus_too(ozon: httpx.AsyncClient) -> None:
    product = (await all_products(ozon))[3]

    assert await walk(ozon, LIST, 10, filter={"skus": [str(product["sku"])]}) == [product]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({}, "Filter: value is required"),
        ({"limit": 10}, "Filter: value is required"),
        ({"filter": {}, "limit": 10}, "Filter: value is required"),
        ({"filter": ALL}, r"Limit: value must be inside range (0, 1000]"),
        ({"filter": ALL, "limit": 0}, r"Limit: value must be inside range (0, 1000]"),
        ({"filter": ALL, "limit": 1001}, r"Limit: value must be inside range (0, 1000]"),
        ({"filter": {"product_id": ["1"], "offer_id": ["a"]}, "limit": 1}, "use only one of"),
        ({"filter": {"product_id": ["1"] * 1001}, "limit": 1}, "no more than 1000"),
        ({"filter": {"visibility": "SOME"}, "limit": 1}, "$.filter.visibility"),
        ({"filter": {"product_id": ["a"]}, "limit": 1}, "$.filter.product_id[0]"),
        ({"filter": ALL, "limit": 1, "last_id": "wrong", "cursor": "wrong"}, "invalid cursor"),
    ],
)
@pytest.mark.parametrize("path", LISTS)
async def test_a_wrong_question_is_refused_with_the_name_of_the_field(
    ozon: httpx.AsyncClient, path: str, question: dict[str, Any], message: str
) -> None:
    status, code, text = await refused(ozon, path, **question)

    assert (status, code) == (400, 3)
    assert message in text


async def test_what_is_no_json_is_refused(ozon: httpx.AsyncClient) -> None:
    answer = await ozon.post(LIST, content=b"{")

    assert (answer.status_code, answer.json()["code"]) == (400, 3)


async def test_numbers_and_text_serve_as_ids_and_unknown_fields_are_ignored(ozon: httpx.AsyncClient) -> None:
    product = (await all_products(ozon))[0]

    answers = [await ask(ozon, INFO, product_id=[number], dir="ASC") for number in (product["product_id"], str(product["product_id"]))]

    assert answers[0] == answers[1]
    assert answers[0]["items"][0]["id"] == product["product_id"]


async def test_details_tell_of_each_product_that_exists(ozon: httpx.AsyncClient) -> None:
    listed = await all_products(ozon) + await all_products(ozon, "ARCHIVED")

    by_id = await ask(ozon, INFO, product_id=[str(product["product_id"]) for product in listed])
    by_sku = await ask(ozon, INFO, sku=[str(product["sku"]) for product in listed] + ["77"])
    by_offer = await ask(ozon, INFO, offer_id=[product["offer_id"] for product in listed])

    assert by_id == by_sku == by_offer
    assert {(item["id"], item["sku"], item["offer_id"], item["is_archived"]) for item in by_id["items"]} == {
        (product["product_id"], product["sku"], product["offer_id"], product["archived"]) for product in listed
    }
    assert all(item["name"] and item["barcodes"] for item in by_id["items"])
    assert all(item["is_archived"] for item in by_id["items"] if item["is_autoarchived"])


@pytest.mark.parametrize(
    "question",
    [{}, {"product_id": ["1"], "sku": ["2"]}, {"product_id": [str(number) for number in range(1001)]}],
    ids=["none", "two", "many"],
)
async def test_details_want_up_to_a_thousand_ids_of_one_kind(ozon: httpx.AsyncClient, question: dict[str, Any]) -> None:
    assert (await refused(ozon, INFO, **question))[:2] == (400, 3)


async def test_the_archived_of_either_kind_make_up_the_archive(ozon: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.put("/ozon/shops/123456", json={"products": 200})
    by_ozon, by_hand, archive = [
        {product["product_id"] for product in await all_products(ozon, visibility)}
        for visibility in ("AUTO_ARCHIVED", "MANUAL_ARCHIVED", "ARCHIVED")
    ]

    assert by_ozon
    assert by_hand
    assert by_ozon | by_hand == archive
    assert not by_ozon & by_hand


async def test_products_with_and_without_stock_make_up_the_whole(ozon: httpx.AsyncClient) -> None:
    stocked, empty, at_ozon = [
        {product["product_id"] for product in await all_products(ozon, visibility)}
        for visibility in ("IN_SALE", "EMPTY_STOCK", "VISIBLE_WITH_FBO_STOCK")
    ]
    everything = await all_products(ozon)

    assert stocked | empty == {product["product_id"] for product in everything}
    assert empty == {product["product_id"] for product in everything if not product["has_fbo_stocks"] and not product["has_fbs_stocks"]}
    assert at_ozon == {product["product_id"] for product in everything if product["has_fbo_stocks"]}
    assert empty
    assert await all_products(ozon, "STATE_FAILED") == []


async def test_prices_are_text_in_details_and_numbers_in_the_list_of_prices(ozon: httpx.AsyncClient, truth: Any) -> None:
    prices = {item["product_id"]: item["price"] for item in await walk(ozon, PRICES, 1000, filter=ALL)}
    details = (await ask(ozon, INFO, product_id=list(prices)))["items"]

    for item in details:
        price = prices[item["id"]]
        assert Decimal(item["price"]) == Decimal(str(price["price"]))
        assert Decimal(item["old_price"]) == price["old_price"]
        assert item["price"][-3] == "."
    assert {type(price["price"]) for price in prices.values()} == {int, float}
    totals = await truth()
    assert sum(price["old_price"] or price["price"] for price in prices.values()) == int(totals["price_sum"])
    assert sum(Decimal(str(price["marketing_seller_price"])) for price in prices.values()) == Decimal(totals["discounted_price_sum"])


async def test_a_promotion_is_an_object_or_null(ozon: httpx.AsyncClient) -> None:
    promotions = [(item["marketing_actions"], item["price"]) for item in await walk(ozon, PRICES, 1000, filter=ALL)]

    assert {promotion is None for promotion, _ in promotions} == {True, False}
    assert all((promotion is None) == (price["price"] == price["marketing_seller_price"]) for promotion, price in promotions)
