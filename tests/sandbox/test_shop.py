"""A shop is the same for the same seed, costs little, and its stock behaves like stock."""

import tracemalloc
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from app.sandbox.goods import Product
from app.sandbox.orders import NoSuchItem
from app.sandbox.shop import MAX_PRODUCTS, STOCK_STEP, Shop

OPENED_AT = datetime(2026, 11, 22, 11, 0, tzinfo=UTC)
SELLER = UUID("7f6c2a10-5f0f-4a67-9b0e-3a2f6d1c9e55")


def open_shop(products: int, seed: int = 1, opened_at: datetime = OPENED_AT) -> Shop:
    return Shop(SELLER, products=products, seed=seed, opened_at=opened_at)


def all_products(shop: Shop) -> list[Product]:
    return list(shop.changed_after(None, 0, ascending=True))


def test_the_same_seed_makes_the_same_shop_at_any_time_and_another_seed_another() -> None:
    today, next_year, other = open_shop(300), open_shop(300, opened_at=OPENED_AT + timedelta(days=365)), open_shop(300, seed=2)

    assert all_products(today) == all_products(next_year)
    assert list(today.marketplace_stock(OPENED_AT)) == list(next_year.marketplace_stock(OPENED_AT + timedelta(days=365)))
    assert today.warehouses == next_year.warehouses
    assert {product.title for product in all_products(today)} != {product.title for product in all_products(other)}
    assert today.seller.tin != other.seller.tin


def test_a_larger_shop_begins_like_a_smaller_one() -> None:
    small, large = open_shop(50), open_shop(5000)

    assert all_products(large)[:50] == all_products(small)


def test_ids_articles_and_barcodes_are_each_their_own() -> None:
    products = all_products(open_shop(10_000))

    sizes = [size for product in products for size in product.sizes]
    barcodes = [barcode for size in sizes for barcode in size.barcodes]
    for values in ([p.nm_id for p in products], [p.article for p in products], [size.chrt_id for size in sizes], barcodes):
        assert len(set(values)) == len(values)
    assert len(barcodes) > len(sizes) > len(products)


@pytest.mark.parametrize("seed", range(8))
def test_goods_are_varied_and_within_what_wildberries_allows(seed: int) -> None:
    products = all_products(open_shop(1000, seed))

    assert len({product.title for product in products}) > 400
    assert len({product.brand for product in products}) >= 3
    assert len({product.kind.subject for product in products}) == 20
    assert {len(product.sizes) for product in products} == {1, 2, 3, 4}
    assert {product.photos for product in products} == {0, 1, 2, 3, 4}
    assert max(len(product.title) for product in products) <= 60
    assert all(product.created_at < product.updated_at for product in products)


def test_a_model_comes_in_three_colours_that_share_a_group() -> None:
    by_group: dict[int, list[Product]] = defaultdict(list)
    for product in all_products(open_shop(300)):
        by_group[product.group_id].append(product)

    assert {len(products) for products in by_group.values()} == {3}
    assert all(len({product.colour for product in products}) == 3 for products in by_group.values())
    assert all(len({product.kind for product in products}) == 1 for products in by_group.values())


def test_barcodes_are_valid_ean_13() -> None:
    barcodes = [barcode for product in all_products(open_shop(200)) for size in product.sizes for barcode in size.barcodes]

    for barcode in barcodes:
        odd, even = sum(map(int, barcode[::2])), sum(map(int, barcode[1::2]))
        assert len(barcode) == 13
        assert (odd + 3 * even) % 10 == 0


def test_a_size_sells_one_by_one_down_to_nothing_and_is_then_delivered() -> None:
    shop = open_shop(30)
    quantities: dict[int, list[int]] = defaultdict(list)
    for step in range(500):
        stock = {row.chrt_id: row.quantity for row in shop.marketplace_stock(OPENED_AT + step * STOCK_STEP)}
        for product in all_products(shop):
            for size in product.sizes:
                quantities[size.chrt_id].append(stock.get(size.chrt_id, 0))

    still = [course for course in quantities.values() if len(set(course)) == 1]
    moving = [course for course in quantities.values() if len(set(course)) > 1]
    assert still
    assert moving
    for course in moving:
        changes = {(before, after) for before, after in pairwise(course) if before != after}
        assert all(after == before - 1 or (before == 0 and after == max(course)) for before, after in changes)
    assert any(0 in course[1:-1] and course[-1] > 0 for course in moving)


def test_a_clock_that_runs_backwards_past_the_opening_gives_the_opening_stock() -> None:
    shop = open_shop(30)

    assert list(shop.seller_stock(OPENED_AT - timedelta(days=9))) == list(shop.seller_stock(OPENED_AT))


def test_two_hundred_thousand_products_open_with_twelve_bytes_each() -> None:
    tracemalloc.start()
    try:
        shop = open_shop(MAX_PRODUCTS)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(shop) == MAX_PRODUCTS
    assert held < 13 * MAX_PRODUCTS


def test_changes_order_products_by_time_and_then_by_id() -> None:
    shop = open_shop(20)
    second, first = all_products(shop)[9], all_products(shop)[4]

    shop.touch(second.nm_id, OPENED_AT)
    shop.touch(first.nm_id, OPENED_AT)

    assert [product.nm_id for product in all_products(shop)[-2:]] == [first.nm_id, second.nm_id]


def test_a_change_at_an_earlier_time_finds_its_place() -> None:
    shop = open_shop(20)
    middle, chosen = all_products(shop)[12], all_products(shop)[0]

    shop.touch(chosen.nm_id, middle.updated_at + timedelta(microseconds=1))

    order = [product.nm_id for product in all_products(shop)]
    assert order.index(chosen.nm_id) == order.index(middle.nm_id) + 1
    assert len(order) == 20


def test_every_change_makes_another_version() -> None:
    shop = open_shop(20)
    product = all_products(shop)[0]
    versions = [shop.version]

    for change in (
        lambda: shop.add(1, OPENED_AT),
        lambda: shop.rename(product.nm_id, "Кружка", OPENED_AT),
        lambda: shop.set_quantity(product.sizes[0].chrt_id, 3),
        lambda: shop.trash(product.nm_id, OPENED_AT),
    ):
        change()
        versions.append(shop.version)

    assert len(set(versions)) == 5
    assert open_shop(20).version not in versions


def test_what_a_shop_does_not_have_is_named_in_the_error() -> None:
    shop = open_shop(20)
    product = all_products(shop)[0]
    shop.trash(product.nm_id, OPENED_AT)

    for wrong in (
        lambda: shop.touch(product.nm_id, OPENED_AT),
        lambda: shop.trash(product.nm_id, OPENED_AT),
        lambda: shop.product(1),
        lambda: shop.rename(product.nm_id + 1, "Кружка", OPENED_AT),
        lambda: shop.set_quantity(product.sizes[0].chrt_id, 1),
        lambda: shop.set_quantity(all_products(shop)[0].sizes[0].chrt_id + 7, 1),
        lambda: shop.set_quantity(all_products(shop)[0].sizes[0].chrt_id, 1, warehouse_id=1),
    ):
        with pytest.raises(NoSuchItem, match=r"The shop has no (product|size|warehouse) \d+"):
            wrong()


def test_a_shop_can_not_grow_beyond_the_limit() -> None:
    with pytest.raises(ValueError, match="200000"):
        open_shop(MAX_PRODUCTS + 1)
    with pytest.raises(ValueError, match="200000"):
        open_shop(5).add(MAX_PRODUCTS, OPENED_AT)


def test_totals_are_the_sum_of_what_the_reports_show() -> None:
    shop = open_shop(500)

    totals = shop.totals(OPENED_AT)

    products = all_products(shop)
    assert totals.products == len(products) == 500
    assert totals.sizes == sum(len(product.sizes) for product in products)
    assert totals.marketplace_quantity == sum(row.quantity for row in shop.marketplace_stock(OPENED_AT))
    assert totals.seller_quantity == sum(row.quantity for row in shop.seller_stock(OPENED_AT))
