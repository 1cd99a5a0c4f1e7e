"""The order feed shows orders by the time of their status, and stands still for whoever reads it page by page."""

from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from app.sandbox.tokens import issue_token
from tests.sandbox.calls import Json, list_cards, order_number
from tests.sandbox.conformance import ORDER_FEED
from tests.sandbox.conftest import FROZEN_AT

pytestmark = pytest.mark.anyio

MONTH_AGO = FROZEN_AT - timedelta(days=31)


async def feed(
    wb: httpx.AsyncClient, start: datetime = MONTH_AGO, end: datetime | None = None, *, pagination: Json | None = None, **filters: object
) -> Json:
    period = {"start": start.isoformat(), **({"end": end.isoformat()} if end else {})}
    answer = await wb.post(ORDER_FEED, json={"selectedPeriod": period, "pagination": {"limit": 10_000, **(pagination or {})}, **filters})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_orders_come_newest_status_first_once_each_and_within_the_period(wb: httpx.AsyncClient) -> None:
    start, end = FROZEN_AT - timedelta(days=9), FROZEN_AT - timedelta(days=2)

    orders = (await feed(wb, start, end))["orders"]

    changed = [datetime.fromisoformat(order["updatedAt"]) for order in orders]
    assert changed == sorted(changed, reverse=True)
    assert all(start <= at <= end for at in changed)
    assert len({order["srid"] for order in orders}) == len(orders) > 100
    assert all(order["createdAt"] <= order["updatedAt"] for order in orders)


async def test_every_order_of_the_shop_is_told_in_wildberries_words(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    data = await feed(wb)

    truth = (await control.get(f"/shops/{seller_id}", params={"order_days": 12})).json()["orders"]
    since = FROZEN_AT - timedelta(days=12)
    recent = [order for order in data["orders"] if datetime.fromisoformat(order["createdAt"]) >= since]
    statuses = Counter(order["status"] for order in recent)
    assert data["currency"] == "RUB"
    assert len(recent) == truth["orders"]
    assert statuses["created"] == truth["by_status"]["created"] + truth["by_status"]["delivering"]
    assert statuses["buyout"] == truth["by_status"]["delivered"]
    assert statuses["cancel"] == truth["by_status"]["cancelled"]
    assert {order["status"] for order in data["orders"]} == {"created", "buyout", "cancel", "return", "returnDefective"}
    assert all(("cancelType" in order) == (order["status"] == "cancel") for order in data["orders"])


async def test_the_sellers_warehouses_are_named_and_wildberries_are_not(wb: httpx.AsyncClient) -> None:
    orders = (await feed(wb))["orders"]

    assert {order["isMp"] for order in orders} == {True, False}
    assert all((order["warehouseName"] == "Склад WB") != order["isMp"] for order in orders)


async def test_pages_of_a_snapshot_make_the_whole_whatever_happens_in_between(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    start = FROZEN_AT - timedelta(days=25)
    whole = await feed(wb, start)
    first = await feed(wb, start, pagination={"limit": 200})

    pages = [first["orders"]]
    while pages[-1]:
        await control.post("/clock", json={"advance_s": 3600})
        place = {"limit": 200, "offset": 200 * len(pages), "snapshotTime": first["snapshotTime"]}
        pages.append((await feed(wb, start, pagination=place))["orders"])
    without_snapshot = await feed(wb, start)

    assert first["snapshotTime"] == "2026-11-22T11:00:00Z"
    assert len(pages) > 4
    assert [order for page in pages for order in page] == whole["orders"]
    assert without_snapshot["orders"][0]["updatedAt"] > whole["orders"][0]["updatedAt"]


async def test_an_order_leaves_its_old_window_when_its_status_moves(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    order = next(order for order in (await feed(wb))["orders"] if order["status"] == "created")
    number = order_number(order["srid"])
    then = datetime.fromisoformat(order["updatedAt"])

    await control.post("/clock", json={"advance_s": 60})
    await control.put(f"/shops/{seller_id}/orders/{number}", json={"status": "cancelled", "cancel_type": "receipt"})
    old_window = await feed(wb, then - timedelta(hours=1), then + timedelta(seconds=1))
    new_window = await feed(wb, FROZEN_AT + timedelta(seconds=30))

    assert order["srid"] not in {found["srid"] for found in old_window["orders"]}
    assert new_window["orders"] == [{**order, "status": "cancel", "cancelType": "receipt", "updatedAt": "2026-11-22T14:01:00+03:00"}]


async def test_late_orders_turn_up_in_a_window_that_was_read_already(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    late = (await control.post(f"/shops/{seller_id}/orders/late", json={"count": 3, "delay_s": 8 * 3600})).json()["numbers"]
    window = (FROZEN_AT, FROZEN_AT + timedelta(hours=4))

    await control.post("/clock", json={"advance_s": 4 * 3600})
    too_early = {order["srid"] for order in (await feed(wb, *window))["orders"]}
    await control.post("/clock", json={"advance_s": 8 * 3600})
    at_last = {order["srid"] for order in (await feed(wb, *window))["orders"]}

    assert {order_number(srid) for srid in at_last - too_early} >= set(late)


async def test_filters_leave_the_orders_of_some_goods(wb: httpx.AsyncClient) -> None:
    card = (await list_cards(wb))["cards"][0]
    whole = (await feed(wb))["orders"]

    by_article = (await feed(wb, nmIds=[whole[0]["nmId"]]))["orders"]
    by_subject_and_brand = (await feed(wb, subjectIds=[card["subjectID"]], brandNames=[card["brand"]]))["orders"]

    assert by_article == [order for order in whole if order["nmId"] == whole[0]["nmId"]]
    assert all(order in whole for order in by_subject_and_brand)
    assert 0 <= len(by_subject_and_brand) < len(whole)


async def test_a_shop_that_sold_nothing_has_an_empty_feed(wb: httpx.AsyncClient) -> None:
    wb.headers["Authorization"] = issue_token(uuid4(), products=0)

    assert (await feed(wb))["orders"] == []


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"selectedPeriod": {}},
        {"selectedPeriod": {"start": "2026-11-20T00:00:00"}},
        {"selectedPeriod": {"start": "2026-10-22T00:00:00Z"}},
        {"selectedPeriod": {"start": "2026-11-20T00:00:00Z", "end": "2026-11-19T00:00:00Z"}},
        {"selectedPeriod": {"start": "2026-11-20T00:00:00Z"}, "pagination": {"limit": 10_001}},
        {"selectedPeriod": {"start": "2026-11-20T00:00:00Z"}, "pagination": {"offset": -1}},
        {"selectedPeriod": {"start": "2026-11-20T00:00:00Z"}, "pagination": {"snapshotTime": "2026-11-23T00:00:00Z"}},
        {"selectedPeriod": {"start": "2026-11-20T00:00:00Z"}, "nmIds": list(range(1001))},
    ],
)
async def test_a_wrong_question_is_rejected_with_a_reason(wb: httpx.AsyncClient, question: Json) -> None:
    answer = await wb.post(ORDER_FEED, json=question)

    assert answer.status_code == 400
    assert answer.json()["detail"]


async def test_a_base_token_may_ask_every_three_hours(wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID) -> None:
    await control.patch("", json={"limits": True})
    wb.headers["Authorization"] = issue_token(seller_id, token_type="base")
    question = {"selectedPeriod": {"start": MONTH_AGO.isoformat()}}

    first, second = [await wb.post(ORDER_FEED, json=question) for _ in range(2)]

    assert (first.status_code, second.status_code) == (200, 429)
    assert second.headers["X-Ratelimit-Retry"] == str(3 * 3600)
