"""The parcels of a shop's orders, as Ozon lists them: those from its own warehouses, and those from the seller's."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.sandbox.conftest import FROZEN_AT
from tests.sandbox.ozon.calls import FBO, FBS, INFO, WAREHOUSES, ask, refused, walk

pytestmark = pytest.mark.anyio

BOTH = [FBS, FBO]
Json = dict[str, Any]


def period(days: float = 30, until: datetime = FROZEN_AT, **more: Any) -> Json:
    return {"since": (until - timedelta(days=days)).isoformat(), "to": until.isoformat(), **more}


def ordered_at(posting: Json) -> datetime:
    return datetime.fromisoformat(posting.get("created_at") or posting["in_process_at"])


async def test_the_lists_add_up_to_the_truth(ozon: httpx.AsyncClient, truth: Any) -> None:
    totals = await truth(order_days=30)

    fbs, fbo = [await walk(ozon, path, 100, filter=period()) for path in BOTH]

    assert Counter(posting["status"] for posting in fbs) == totals["fbs_postings"]
    assert Counter(posting["status"] for posting in fbo) == totals["fbo_postings"]
    assert sum(product["quantity"] for posting in fbs + fbo for product in posting["products"]) == totals["posting_units"]
    assert totals["fbs_postings"].keys() | totals["fbo_postings"].keys() == {
        "awaiting_packaging",
        "awaiting_deliver",
        "delivering",
        "delivered",
        "cancelled",
    }
    assert len({posting["posting_number"] for posting in fbs + fbo}) == len(fbs + fbo) > 500


async def test_parcels_have_one_to_three_products_and_some_orders_two_parcels(ozon: httpx.AsyncClient) -> None:
    postings = [posting for path in BOTH for posting in await walk(ozon, path, 100, filter=period())]
    skus = {product["sku"]: product["offer_id"] for posting in postings for product in posting["products"]}
    described = {item["sku"]: item["offer_id"] for item in (await ask(ozon, INFO, sku=list(skus)))["items"]}

    assert {len(posting["products"]) for posting in postings} == {1, 2, 3}
    assert set(Counter(posting["order_number"] for posting in postings).values()) == {1, 2}
    assert all(posting["posting_number"].rpartition("-")[0] == posting["order_number"] for posting in postings)
    assert skus == described


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("sort_dir", ["ASC", "DESC"])
@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_pages_of_any_size_add_up_to_the_whole(ozon: httpx.AsyncClient, path: str, sort_dir: str, limit: int) -> None:
    whole = await walk(ozon, path, 100, filter=period(days=3), sort_dir="ASC")
    postings = await walk(ozon, path, limit, filter=period(days=3), sort_dir=sort_dir)

    assert postings == (whole if sort_dir == "ASC" else whole[::-1])
    assert [ordered_at(posting) for posting in whole] == sorted(ordered_at(posting) for posting in whole)


@pytest.mark.parametrize("path", BOTH)
async def test_a_walk_is_not_led_astray_by_what_is_ordered_meanwhile(
    ozon: httpx.AsyncClient, control: httpx.AsyncClient, path: str
) -> None:
    window = period(days=2, until=FROZEN_AT + timedelta(days=1))
    first = await ask(ozon, path, filter=window, limit=5)
    await control.post("/clock", json={"advance_s": 3 * 3600})

    rest = await walk(ozon, path, 100, filter=window)
    second = await ask(ozon, path, filter=window, limit=5, cursor=first["cursor"])

    numbers = [posting["posting_number"] for posting in rest]
    assert [posting["posting_number"] for page in (first, second) for posting in page["postings"]] == numbers[:10]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("path", BOTH)
async def test_a_period_is_by_when_the_order_was_made(ozon: httpx.AsyncClient, path: str) -> None:
    week = await walk(ozon, path, 100, filter=period(days=7))
    since, until = FROZEN_AT - timedelta(days=3), FROZEN_AT - timedelta(days=2)

    day = await walk(ozon, path, 100, filter={"since": since.isoformat(), "to": until.isoformat()})

    assert day == [posting for posting in week if since <= ordered_at(posting) <= until] != []


async def test_what_changed_is_found_whatever_its_age(ozon: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    # Everything that an order goes through takes less than these days.
    window = period(days=20, until=FROZEN_AT + timedelta(days=2))
    before = {posting["posting_number"]: posting for posting in await walk(ozon, FBS, 100, filter=window)}
    now = FROZEN_AT
    for hours in (1, 5, 26):
        since, now = now, now + timedelta(hours=hours)
        await control.post("/clock", json={"freeze_at": now.isoformat()})
        after = {posting["posting_number"]: posting for posting in await walk(ozon, FBS, 100, filter={**window, "to": now.isoformat()})}

        changes = {"from": since.isoformat(), "to": now.isoformat()}
        changed = await walk(ozon, FBS, 3, filter={**window, "to": now.isoformat(), "last_changed_status_date": changes})

        differing = {number for number, posting in after.items() if posting["status"] != before.get(number, {"status": None})["status"]}
        assert {posting["posting_number"] for posting in changed} == differing
        before = after
    assert differing


@pytest.mark.parametrize("path", BOTH)
async def test_postings_are_filtered_by_status_and_number(ozon: httpx.AsyncClient, path: str) -> None:
    whole = await walk(ozon, path, 100, filter=period())
    statuses = ["delivering", "cancelled"]
    number = whole[17]["order_number"]

    assert await walk(ozon, path, 100, filter=period(statuses=statuses)) == [one for one in whole if one["status"] in statuses]
    assert await walk(ozon, path, 100, filter=period(order_numbers=[number])) == [one for one in whole if one["order_number"] == number]
    assert await walk(ozon, path, 100, filter=period(statuses=["arbitration"])) == []


async def test_each_list_has_filters_of_its_own(ozon: httpx.AsyncClient) -> None:
    fbs, fbo = [await walk(ozon, path, 100, filter=period()) for path in BOTH]
    warehouse_id = (await ask(ozon, WAREHOUSES, limit=200))["warehouses"][-1]["warehouse_id"]
    number = fbo[3]["posting_number"]

    assert await walk(ozon, FBS, 100, filter=period(warehouse_ids=[str(warehouse_id)])) == [
        posting for posting in fbs if posting["delivery_method"]["warehouse_id"] == warehouse_id
    ]
    assert await walk(ozon, FBS, 100, filter=period(order_id=str(fbs[5]["order_id"]))) == [
        posting for posting in fbs if posting["order_id"] == fbs[5]["order_id"]
    ]
    assert await walk(ozon, FBO, 100, filter=period(posting_numbers=[number])) == [fbo[3]]


async def test_a_last_page_may_have_a_cursor_and_says_that_it_is_the_last(ozon: httpx.AsyncClient) -> None:
    untils = [FROZEN_AT - timedelta(days=days) for days in range(12)]
    pages = [await ask(ozon, path, filter=period(days=1, until=until), limit=100) for path in BOTH for until in untils]

    assert {page["has_next"] for page in pages} == {False}
    assert {bool(page["cursor"]) for page in pages if page["postings"]} == {True, False}


@pytest.mark.parametrize("path", BOTH)
async def test_another_page_can_be_promised_and_be_empty(ozon: httpx.AsyncClient, control: httpx.AsyncClient, path: str) -> None:
    await control.post("/faults", json={"kind": "promised_page"})
    last = await ask(ozon, path, filter=period(days=0.5), limit=100)

    promised = await ask(ozon, path, filter=period(days=0.5), limit=100, cursor=last["cursor"])

    assert (last["has_next"], len(last["postings"]) > 0) == (True, True)
    assert promised == {"postings": [], "has_next": False, "cursor": ""}


@pytest.mark.parametrize("path", BOTH)
async def test_parts_come_when_asked_for(ozon: httpx.AsyncClient, path: str) -> None:
    asked = {"analytics_data": True, "financial_data": True}
    without = await walk(ozon, path, 100, filter=period(days=9))
    whole = await walk(ozon, path, 100, filter=period(days=9), **{"with": asked})

    assert {(one["analytics_data"], one["financial_data"]) == (None, None) for one in without} == {True}
    assert all(one["analytics_data"]["city"] for one in whole)
    unpaid = {one["status"] for one in whole if one["financial_data"] is None}
    assert unpaid <= {"awaiting_packaging"}
    assert bool(unpaid) is (path == FBO)
    for posting in whole:
        for product, money in zip(posting["products"], (posting["financial_data"] or {}).get("products", []), strict=False):
            # In these, and only here, Ozon calls the SKU product_id.
            assert money["product_id"] == product["sku"]
            assert float(product["price"]["amount"]) == money["price"]


async def test_prices_are_written_in_two_ways(ozon: httpx.AsyncClient) -> None:
    fbs, fbo = [
        {product["price"]["amount"] for posting in await walk(ozon, path, 100, filter=period()) for product in posting["products"]}
        for path in BOTH
    ]

    assert all(amount[-3] == "." for amount in fbo)
    assert any("." not in amount for amount in fbs)


async def test_who_cancelled_is_zeros_or_null_where_nobody_did(ozon: httpx.AsyncClient) -> None:
    fbs, fbo = [await walk(ozon, path, 100, filter=period()) for path in BOTH]

    assert {posting["cancellation"] is None for posting in fbo if posting["status"] != "cancelled"} == {True}
    assert {posting["cancellation"]["cancel_reason_id"] == 0 for posting in fbs if posting["status"] != "cancelled"} == {True}
    cancelled = [posting for posting in fbs + fbo if posting["status"] == "cancelled"]
    assert {posting["cancellation"]["cancellation_initiator"] for posting in cancelled} == {"Клиент", "Ozon", "Продавец"}
    assert {posting["cancellation"].get("cancelled_after_ship") for posting in cancelled} == {True, False, None}


async def test_without_a_period_fbo_tells_of_the_last_year(ozon: httpx.AsyncClient) -> None:
    assert (await ask(ozon, FBO, limit=1))["postings"] == (await ask(ozon, FBO, limit=1, filter=period(days=365)))["postings"] != []


@pytest.mark.parametrize(
    ("path", "question", "message"),
    [
        (FBS, {"limit": 1}, "Filter: value is required"),
        (FBS, {"limit": 1, "filter": {}}, "Since: value is required"),
        (FBS, {"limit": 1, "filter": {"since": "2026-11-01T00:00:00Z"}}, "To: value is required"),
        (FBS, {"limit": 1, "filter": period(days=367)}, "PERIOD_IS_TOO_LONG"),
        (FBO, {"limit": 1, "filter": period(days=367)}, "PERIOD_IS_TOO_LONG"),
        (FBO, {"limit": 1, "filter": period(days=-1)}, "To: value must be greater than since"),
        (FBO, {"limit": 1, "filter": {"since": "2026-11-01 00:00"}}, "$.filter.since"),
        (FBO, {"filter": period()}, "Limit: value must be inside range (0, 100]"),
        (FBS, {"limit": 101, "filter": period()}, "Limit: value must be inside range (0, 100]"),
        (FBS, {"limit": 1, "filter": period(order_numbers=["1"] * 101)}, "OrderNumbers: value must contain no more than 100"),
        (FBO, {"limit": 1, "filter": period(posting_numbers=["1"] * 1001)}, "PostingNumbers: value must contain no more than 1000"),
        (FBO, {"limit": 1, "filter": period(), "cursor": "wrong"}, "invalid cursor"),
        (FBO, {"limit": 1, "filter": period(), "cursor": "eyJsYXN0Ijo5OTk5OTk5OTk5fQ=="}, "invalid cursor"),
        (FBO, {"limit": 1, "filter": period(), "sort_dir": "UP"}, "$.sort_dir"),
    ],
)
async def test_a_wrong_question_is_refused_with_the_name_of_the_field(
    ozon: httpx.AsyncClient, path: str, question: Json, message: str
) -> None:
    status, code, text = await refused(ozon, path, **question)

    assert (status, code) == (400, 3)
    assert message in text


async def test_a_large_shop_has_its_orders_listed_without_looking_at_all_of_them(
    ozon: httpx.AsyncClient, control: httpx.AsyncClient
) -> None:
    await control.put("/ozon/shops/123456", json={"products": 200_000})
    before = datetime.now(UTC)
    for path in BOTH:
        page = await ask(ozon, path, filter=period(days=60), limit=100, sort_dir="DESC")
        assert len(page["postings"]) == 100

    assert datetime.now(UTC) - before < timedelta(seconds=5)
