"""The Statistics methods tell of orders and sales in their old way, with all its traps."""

from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

import httpx
import pytest

from tests.sandbox.calls import Json, order_number, walk_cards
from tests.sandbox.conformance import ORDER_FEED, SUPPLIER_ORDERS, SUPPLIER_SALES
from tests.sandbox.conftest import FROZEN_AT

pytestmark = pytest.mark.anyio

METHODS = pytest.mark.parametrize(("path", "key"), [(SUPPLIER_ORDERS, "srid"), (SUPPLIER_SALES, "saleID")])


async def rows(wb: httpx.AsyncClient, path: str, since: str, flag: int = 0) -> list[Json]:
    answer = await wb.get(path, params={"dateFrom": since, "flag": flag})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_orders_are_those_of_the_feed_with_what_the_cards_say_of_their_goods(wb: httpx.AsyncClient) -> None:
    cards = {card["nmID"]: card for card in await walk_cards(wb)}
    period = {"start": (FROZEN_AT - timedelta(days=20)).isoformat()}
    feed = (await wb.post(ORDER_FEED, json={"selectedPeriod": period, "pagination": {"limit": 10_000}})).json()["data"]["orders"]

    told = {row["srid"]: row for row in await rows(wb, SUPPLIER_ORDERS, "2026-10-20")}

    assert len(feed) > 400
    for order in feed:
        row, card = told[order["srid"]], cards[order["nmId"]]
        assert row["date"] == order["createdAt"].removesuffix("+03:00")
        assert row["isCancel"] == (order["status"] == "cancel")
        assert (row["cancelDate"] != "0001-01-01T00:00:00") == row["isCancel"]
        assert row["priceWithDisc"] == order["sellerPrice"]
        assert (row["supplierArticle"], row["brand"], row["subject"]) == (card["vendorCode"], card["brand"], card["subjectName"])
        assert row["barcode"] in [sku for size in card["sizes"] for sku in size["skus"] if size["techSize"] == row["techSize"]]
        assert (row["warehouseType"] == "Склад продавца") == order["isMp"]


@METHODS
async def test_rows_come_in_the_order_of_change_and_only_those_that_changed_later(wb: httpx.AsyncClient, path: str, key: str) -> None:
    whole = await rows(wb, path, "2026-11-10")
    middle = whole[len(whole) // 2]["lastChangeDate"]

    later = await rows(wb, path, middle)

    changed = [row["lastChangeDate"] for row in whole]
    assert changed == sorted(changed)
    assert later == [row for row in whole if row["lastChangeDate"] > middle]
    assert len({row[key] for row in whole}) == len(whole)


@METHODS
async def test_page_after_page_by_the_last_change_makes_the_whole_where_no_page_ends_within_a_minute(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, path: str, key: str
) -> None:
    whole = await rows(wb, path, "2026-11-01")
    await control.patch("", json={"statistics_rows": 90})

    pages = [await rows(wb, path, "2026-11-01")]
    while pages[-1]:
        pages.append(await rows(wb, path, pages[-1][-1]["lastChangeDate"]))

    assert all(len(page) <= 90 for page in pages)
    found = {row[key] for page in pages for row in page}
    groups = Counter(row["lastChangeDate"] for row in whole)
    lost = [row for row in whole if row[key] not in found]
    assert len(found) > 400
    assert all(groups[row["lastChangeDate"]] > 1 for row in lost)


async def test_several_rows_share_an_instant_so_that_a_cap_can_cut_them_apart(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    await control.put(f"/shops/{seller_id}", json={"products": 20_000})

    told = await rows(wb, SUPPLIER_ORDERS, "2026-11-22T13:00:00")

    assert max(Counter(row["lastChangeDate"] for row in told).values()) > 2


@METHODS
async def test_what_happened_is_told_from_the_next_half_hour_on(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, path: str, key: str
) -> None:
    at_eleven = await rows(wb, path, "2026-11-21")

    await control.post("/clock", json={"advance_s": 29 * 60})
    before = await rows(wb, path, "2026-11-21")
    await control.post("/clock", json={"advance_s": 12 * 3600})
    after = await rows(wb, path, "2026-11-21")

    assert before == at_eleven
    assert {row[key] for row in at_eleven} < {row[key] for row in after}
    assert max(row["lastChangeDate"] for row in at_eleven) <= "2026-11-22T14:00:00"


@METHODS
async def test_the_flag_asks_for_a_whole_day_in_moscow_and_ignores_the_time_and_the_cap(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, path: str, key: str
) -> None:
    await control.patch("", json={"statistics_rows": 1})

    day = await rows(wb, path, "2026-11-20T15:30:00", flag=1)

    assert {row["date"][:10] for row in day} == {"2026-11-20"}
    assert len(day) > 10


async def test_sales_are_delivered_orders_and_returns_beside_the_sale(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    sales = await rows(wb, SUPPLIER_SALES, "2026-09-01")

    orders = (await control.get(f"/shops/{seller_id}/orders", params={"order_days": 80})).json()
    expected = Counter(order["status"] for order in orders)
    recent = [row for row in sales if order_number(row["srid"]) >= orders[0]["number"]]
    signs = Counter(row["saleID"][0] for row in recent)
    assert signs["S"] == expected["delivered"] + expected["returned"]
    assert signs["R"] == expected["returned"] > 0
    assert all((row["forPay"] <= 0) == (row["saleID"][0] == "R") for row in recent if row["date"] < "2026-11-21")


async def test_prices_of_some_fresh_sales_follow_a_day_later(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    fresh = {row["saleID"] for row in await rows(wb, SUPPLIER_SALES, "2026-11-21T15:00:00") if row["priceWithDisc"] == 0}

    await control.post("/clock", json={"advance_s": 86400})
    later = {row["saleID"]: row for row in await rows(wb, SUPPLIER_SALES, "2026-11-21T15:00:00")}

    assert fresh
    assert all(later[sale]["priceWithDisc"] and later[sale]["forPay"] for sale in fresh)


async def test_orders_of_more_than_ninety_days_ago_are_not_told_of(wb: httpx.AsyncClient) -> None:
    oldest = min(row["date"] for row in await rows(wb, SUPPLIER_ORDERS, "2026-01-01"))

    assert datetime.fromisoformat(oldest + "+03:00") - (FROZEN_AT - timedelta(days=90)) < timedelta(hours=2)
    assert datetime.fromisoformat(oldest + "+03:00") >= FROZEN_AT - timedelta(days=90)


@pytest.mark.parametrize("since", ["2026-11-20", "2026-11-20T00:00:00", "2026-11-20T00:00:00.000", "2026-11-19T21:00:00Z"])
async def test_an_instant_is_in_moscow_if_it_does_not_say(wb: httpx.AsyncClient, since: str) -> None:
    assert await rows(wb, SUPPLIER_ORDERS, since) == await rows(wb, SUPPLIER_ORDERS, "2026-11-20T00:00:00+03:00")


@METHODS
@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ({}, ["dateFrom: field required"]),
        ({"dateFrom": ""}, ["dateFrom: field required"]),
        ({"dateFrom": "yesterday"}, "dateFrom: Value not validated"),
        ({"dateFrom": "2026-13-01"}, "dateFrom: Value not validated"),
        ({"dateFrom": "2026-11-01", "flag": "2"}, ["flag: value is not a valid enumeration member; permitted: 0, 1"]),
    ],
)
async def test_errors_are_a_list_or_a_text(wb: httpx.AsyncClient, path: str, key: str, query: dict[str, str], errors: object) -> None:
    answer = await wb.get(path, params=query)

    assert answer.status_code == 400
    assert answer.json() == {"errors": errors}
