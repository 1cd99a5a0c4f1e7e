import random

import pytest

from app.marketplaces.contract import FetchedStock
from app.stocks.gathering import Gathering, count, digest, unpack


def shelf(product: int, size: int, quantity: int, warehouse_id: str = "-999999") -> FetchedStock:
    return FetchedStock(f"{product}", f"{product}-{size}", warehouse_id, "Склад WB", quantity, 1, 0)


def said(gathering: Gathering, *products: int) -> dict[str, list[FetchedStock]]:
    return {name: unpack(packed) for name, packed in gathering.of_products([f"{product}" for product in products]).items()}


@pytest.fixture(params=[1_000, 3], ids=["in memory", "spilled"])
def gathering(request: pytest.FixtureRequest):
    with Gathering(most_in_memory=request.param) as gathering:
        yield gathering


def test_what_a_report_said_of_a_product_is_found_again(gathering):
    shelves = [shelf(product, size, product + size) for product in range(20) for size in range(3)]
    gathering.add(shelves[:30])
    gathering.add(shelves[30:])

    assert said(gathering, 0, 7, 19, 99) == {f"{product}": shelves[product * 3 : product * 3 + 3] for product in (0, 7, 19)}
    assert gathering.shelves == 60


def test_rows_of_a_product_may_stand_anywhere_in_the_report(gathering):
    shelves = [shelf(product, size, 1) for product in range(20) for size in range(3)]
    scattered = shelves.copy()
    random.Random(7).shuffle(scattered)
    with Gathering() as in_order:
        in_order.add(shelves)
        for start in range(0, 60, 7):
            gathering.add(scattered[start : start + 7])

        names = [f"{product}" for product in range(20)]
        assert gathering.of_products(names) == in_order.of_products(names)


def test_of_a_shelf_that_is_named_twice_the_later_row_counts(gathering):
    gathering.add([shelf(1, 0, 10), shelf(2, 0, 1), shelf(3, 0, 1), shelf(4, 0, 1)])
    gathering.add([shelf(1, 0, 4)])

    assert said(gathering, 1) == {"1": [shelf(1, 0, 4)]}


def test_a_digest_tells_any_change(gathering):
    def mark(*shelves: FetchedStock) -> bytes:
        with Gathering() as one:
            one.add(shelves)
            return digest(one.of_products(["1"])["1"])

    assert mark(shelf(1, 0, 5), shelf(1, 1, 6)) == mark(shelf(1, 1, 6), shelf(1, 0, 5))
    assert len({mark(shelf(1, 0, 5)), mark(shelf(1, 0, 6)), mark(shelf(1, 1, 5)), mark(shelf(1, 0, 5, "501"))}) == 4


@pytest.mark.parametrize("rows", [1, 15, 16, 300, 70_000])
def test_rows_are_counted_without_unpacking_them(rows):
    with Gathering() as gathering:
        gathering.add(shelf(1, size, 1) for size in range(rows))

        assert count(gathering.of_products(["1"])["1"]) == rows
