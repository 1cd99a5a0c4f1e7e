"""Orders follow from the seed and the time, and any period of them is found without looking at the rest."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from time import perf_counter
from uuid import UUID

import pytest

from app.sandbox.goods import Price
from app.sandbox.instants import instant
from app.sandbox.orders import LIVES, LONGEST_LIFE_US, NoSuchItem, Order, OrderBook
from app.sandbox.shop import MAX_PRODUCTS, Shop

NOW = datetime(2026, 11, 22, 11, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def open_shop(products: int, seed: int = 1, opened_at: datetime = NOW) -> Shop:
    return Shop(UUID("7f6c2a10-5f0f-4a67-9b0e-3a2f6d1c9e55"), products=products, seed=seed, opened_at=opened_at)


def last_days(book: OrderBook, days: int, now: datetime = NOW) -> list[Order]:
    return book.created_between(now - days * DAY, now, now)


def test_the_same_seed_has_the_same_orders_whenever_the_shop_was_opened() -> None:
    today, last_year = open_shop(500), open_shop(500, opened_at=NOW - 365 * DAY)

    assert last_days(today.orders, 60) == last_days(last_year.orders, 60)
    assert last_days(today.orders, 60) != last_days(open_shop(500, seed=2).orders, 60)


@pytest.mark.parametrize(("products", "a_day"), [(0, 0), (5, 24), (10_000, 1000), (MAX_PRODUCTS, 20_000)])
def test_a_larger_shop_sells_more_and_an_empty_one_nothing(products: int, a_day: int) -> None:
    orders = last_days(open_shop(products).orders, 1)

    assert abs(len(orders) - a_day) <= 1
    assert all(NOW - DAY <= order.ordered_at < NOW for order in orders)
    assert [order.number for order in orders] == sorted({order.number for order in orders})


def test_orders_name_goods_sizes_and_warehouses_of_the_shop_and_their_price() -> None:
    shop = open_shop(50)
    warehouses = {warehouse.id for warehouse in shop.warehouses}

    orders = last_days(shop.orders, 60)

    for order in orders:
        product = shop.product(order.nm_id)
        assert order.chrt_id in [size.chrt_id for size in product.sizes]
        assert order.price == shop.price(order.nm_id)
        assert order.from_marketplace or order.warehouse_id in warehouses
    assert {order.from_marketplace for order in orders} == {True, False}


def test_orders_fare_in_every_way_and_most_are_delivered() -> None:
    orders = last_days(open_shop(2000).orders, 60)

    statuses = Counter(order.status for order in orders)
    assert set(statuses) == {"created", "delivering", "delivered", "cancelled", "returned"}
    assert statuses.most_common(1)[0][0] == "delivered"
    assert {order.cancel_type for order in orders} == {None, "app", "receipt", "expire", "other"}
    assert all((order.status == "cancelled") == (order.cancel_type is not None) for order in orders)
    assert any(order.defective for order in orders)


@pytest.mark.parametrize("hours", [1, 7, 24 * 9])
def test_orders_by_change_are_exactly_those_whose_present_status_began_then(hours: int) -> None:
    book = open_shop(300).orders
    everything = last_days(book, 60)
    book.set_status(everything[200].number, "cancelled", NOW - timedelta(hours=3))
    since, until = NOW - timedelta(hours=hours + 1), NOW - timedelta(hours=1)

    changed = book.changed_between(since, until, NOW)

    expected = [order for order in last_days(book, 60) if since <= order.changed_at < until]
    assert expected
    assert {order.number: order for order in changed} == {order.number: order for order in expected}
    assert len(changed) == len(expected)
    assert [order.changed_at for order in changed] == sorted(order.changed_at for order in changed)


def test_what_orders_went_through_in_a_period_is_found_whatever_became_of_them() -> None:
    book = open_shop(300).orders
    everything = last_days(book, 90)
    book.set_status(everything[-20].number, "returned", NOW - timedelta(hours=3))
    since, until = NOW - 9 * DAY, NOW - timedelta(hours=1)

    begun = book.begun_between(("delivered", "returned"), since, until, NOW)

    stages = [(at, order.number, status) for order in last_days(book, 90) for status, at in book.stages(order)]
    expected = sorted(stage for stage in stages if stage[2] in ("delivered", "returned") and since <= stage[0] < until)
    assert [tuple(stage) for stage in begun] == expected
    assert (NOW - timedelta(hours=3), everything[-20].number, "returned") in begun


def test_who_does_not_know_a_status_sees_the_one_before_go_on() -> None:
    book = open_shop(300).orders
    view = book.without("delivering")

    orders = {order.number: order for order in last_days(view, 60)}

    assert {order.status for order in orders.values()} == {"created", "delivered", "cancelled", "returned"}
    for order in last_days(book, 60):
        seen = orders[order.number]
        assert (seen.status, seen.changed_at) == (
            ("created", order.ordered_at) if order.status == "delivering" else (order.status, order.changed_at)
        )
    since = NOW - 9 * DAY
    assert {order.number for order in view.changed_between(since, NOW, NOW)} == {
        order.number for order in orders.values() if order.changed_at >= since
    }


def test_an_order_goes_through_its_stages_as_time_passes() -> None:
    book = open_shop(300).orders
    number = next(number for number in range(200_000) if LIVES[number % len(LIVES)].stages[-1][0] == "returned")
    ordered_at = book.order(number, NOW).ordered_at

    end = ordered_at + (instant(LONGEST_LIFE_US) - instant(0))
    stages = book.stages(book.order(number, end))
    seen = [book.order(number, began_at).status for _, began_at in stages]

    assert seen == [status for status, _ in stages] == ["created", "delivering", "delivered", "returned"]
    assert [book.order(number, began_at - timedelta(microseconds=1)).status for _, began_at in stages[1:]] == seen[:-1]


def test_a_status_that_was_set_is_the_last_and_what_came_before_stays() -> None:
    book = open_shop(300).orders
    order = next(order for order in last_days(book, 2) if order.status == "created")

    book.set_status(order.number, "cancelled", NOW, "receipt")
    later = book.order(order.number, NOW + 90 * DAY)

    assert (later.status, later.changed_at, later.cancel_type) == ("cancelled", NOW, "receipt")
    assert [status for status, _ in book.stages(later)] == ["created", "cancelled"]
    assert later in book.changed_between(NOW, NOW + DAY, NOW + 90 * DAY)


def test_late_orders_are_unknown_until_they_are_published_and_then_say_when_they_were_made() -> None:
    book = open_shop(300).orders
    later = NOW + timedelta(hours=4)

    late = book.publish_late(2, timedelta(hours=5), NOW)
    known = {order.number for order in book.created_between(NOW, later, later)}
    at_last = {order.number: order for order in book.created_between(NOW, later, NOW + timedelta(hours=9))}

    assert len(late) == 2
    assert not known & set(late)
    assert set(late) < set(at_last)
    assert all(NOW <= at_last[number].ordered_at < later for number in late)
    with pytest.raises(NoSuchItem):
        book.order(late[0], later)
    assert late[0] not in {order.number for order in book.changed_between(NOW, later, later)}


def test_a_price_that_changes_does_not_change_the_orders_of_before() -> None:
    shop = open_shop(1)
    before = last_days(shop.orders, 3)

    shop.set_price(shop.goods.nm_id(0), Price(9999, 50), NOW)
    after = shop.orders.created_between(NOW, NOW + DAY, NOW + DAY)

    assert last_days(shop.orders, 3) == before
    assert {order.price for order in after} == {Price(9999, 50)}


def test_an_order_that_nobody_made_yet_is_unknown() -> None:
    book = open_shop(300).orders
    last = last_days(book, 1)[-1].number

    for number in (-1, last + 1):
        with pytest.raises(NoSuchItem, match="The shop has no order"):
            book.order(number, NOW)


def test_lines_begin_with_the_orders_own_product_and_are_of_different_ones() -> None:
    shop = open_shop(300)

    all_lines = [shop.orders.lines(order) for order in last_days(shop.orders, 10)]

    assert {len(lines) for lines in all_lines} == {1, 2, 3}
    assert all(len({line.product_number for line in lines}) == len(lines) for lines in all_lines)
    assert {line.units for lines in all_lines for line in lines} == {1, 2}


def test_totals_count_the_orders_of_the_last_days() -> None:
    book = open_shop(300).orders

    totals = book.totals(NOW, 30)

    assert totals.orders == sum(totals.by_status.values()) == len(last_days(book, 30))
    assert totals.units == sum(line.units for order in last_days(book, 30) for line in book.lines(order)) > totals.orders


def test_ten_thousand_orders_are_listed_in_a_moment_even_of_the_largest_shop() -> None:
    book = open_shop(MAX_PRODUCTS).orders
    started_s = perf_counter()

    orders = book.changed_between(NOW - timedelta(hours=8), NOW, NOW)

    assert len(orders) > 10_000
    assert perf_counter() - started_s < 1
