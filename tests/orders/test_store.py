"""Orders are written as the marketplace tells them, set by set, and an unchanged one is not touched."""

from decimal import Decimal
from uuid import UUID

import pytest

from app.database import tenant_scope
from app.marketplaces.contract import FetchedOrder, Marketplace, OrderStatus
from app.orders import store
from app.orders.store import Written, digest, newest
from app.products.store import archive, write_products
from tests.factories import create_tenant, product
from tests.scripted_client import line, order

pytestmark = pytest.mark.anyio

OZON = Marketplace.OZON

LINES = """
    SELECT orders.external_id, line.product_external_id, line.article, product.external_id, line.quantity, line.price
      FROM order_lines AS line JOIN orders ON orders.id = line.order_id LEFT JOIN products AS product ON product.id = line.product_id
     ORDER BY orders.external_id, line.id
"""


async def write(tenant_id: UUID, *orders: FetchedOrder, marketplace: Marketplace = OZON) -> Written:
    async with tenant_scope(tenant_id) as connection:
        return await store.write_orders(connection, tenant_id, marketplace, orders)


def counts(written: Written) -> tuple[int, int, int]:
    """Created, updated, unchanged."""
    return written.created, written.updated, written.unchanged


async def add_products(tenant_id: UUID, *external_ids: str, marketplace: Marketplace = OZON) -> None:
    async with tenant_scope(tenant_id) as connection:
        await write_products(connection, tenant_id, marketplace, [product(external_id) for external_id in external_ids])


async def rows(tenant_id: UUID, statement: str) -> list[tuple[object, ...]]:
    async with tenant_scope(tenant_id) as connection:
        return [tuple(row) for row in await connection.fetch(statement)]


async def statuses(tenant_id: UUID) -> dict[object, object]:
    return dict(await rows(tenant_id, "SELECT external_id, status FROM orders"))


async def products_of_lines(tenant_id: UUID) -> list[object]:
    return [row[3] for row in await rows(tenant_id, LINES)]


async def versions(tenant_id: UUID) -> list[tuple[object, ...]]:
    """Where each row lies, and which version it is."""
    return await rows(
        tenant_id,
        "SELECT external_id, ctid::text, xmin::text FROM orders UNION ALL SELECT order_id::text, ctid::text, xmin::text FROM order_lines ORDER BY 1, 2",
    )


async def test_orders_are_stored_with_their_lines(clean_database):
    tenant_id = await create_tenant()
    await add_products(tenant_id, "1", "2")

    written = await write(tenant_id, order("A", line("1", quantity=2), line("2", amount=None)), order("B", line("1")))

    assert counts(written) == (2, 0, 0)
    assert await rows(tenant_id, LINES) == [
        ("A", "1", "", "1", 2, Decimal("90.50")),
        ("A", "2", "", "2", 1, None),
        ("B", "1", "", "1", 1, Decimal("90.50")),
    ]


async def test_an_unchanged_order_is_not_written_again(clean_database):
    tenant_id = await create_tenant()
    await write(tenant_id, order("A", line("1"), line("2")), order("B"))
    before = await versions(tenant_id)

    written = await write(tenant_id, order("A", line("2"), line("1")), order("B"))

    assert counts(written) == (0, 0, 2)
    assert await versions(tenant_id) == before


async def test_a_changed_order_keeps_its_id_and_has_the_lines_that_it_has_now(clean_database):
    tenant_id = await create_tenant()
    await write(tenant_id, order("A", line("1"), line("2")), order("B"))
    ids = await rows(tenant_id, "SELECT id FROM orders ORDER BY external_id")

    written = await write(tenant_id, order("A", line("2", quantity=3), status=OrderStatus.DELIVERING, changed=1), order("C"))

    assert counts(written) == (1, 1, 0)
    assert await statuses(tenant_id) == {"A": "delivering", "B": "created", "C": "created"}
    assert [row[:2] + row[4:5] for row in await rows(tenant_id, LINES)] == [("A", "2", 3), ("B", "1", 1), ("C", "1", 1)]
    assert (await rows(tenant_id, "SELECT id FROM orders ORDER BY external_id"))[:2] == ids


async def test_an_older_state_that_comes_late_changes_nothing(clean_database):
    tenant_id = await create_tenant()
    await write(tenant_id, order("A", status=OrderStatus.DELIVERED, changed=5))
    before = await versions(tenant_id)

    written = await write(tenant_id, order("A", status=OrderStatus.CREATED, changed=1))

    assert counts(written) == (0, 0, 1)
    assert await versions(tenant_id) == before


async def test_where_the_marketplace_does_not_say_when_the_later_word_counts(clean_database):
    tenant_id = await create_tenant()
    await write(tenant_id, order("A", status=OrderStatus.DELIVERING, changed=None))

    await write(tenant_id, order("A", status=OrderStatus.CANCELLED, changed=None))

    assert await statuses(tenant_id) == {"A": "cancelled"}


@pytest.mark.parametrize("turned", [False, True])
async def test_an_order_that_comes_twice_in_a_batch_is_stored_once_as_it_was_changed_last(clean_database, turned: bool):
    tenant_id = await create_tenant()
    twice = [order("A", changed=1), order("A", status=OrderStatus.DELIVERED, changed=2)]

    written = await write(tenant_id, *(reversed(twice) if turned else twice))

    assert counts(written) == (1, 0, 0)
    assert await statuses(tenant_id) == {"A": "delivered"}
    assert len(await rows(tenant_id, LINES)) == 1


def test_of_two_states_of_the_same_moment_the_later_one_counts():
    first, second = order("A", changed=1), order("A", status=OrderStatus.DELIVERED, changed=1)

    assert newest([first, second]) == {"A": second}
    assert newest([order("A", changed=None), first]) == {"A": first}


@pytest.mark.parametrize("at_once", [False, True])
async def test_an_order_was_made_when_it_was_first_said_to_be(clean_database, at_once: bool):
    tenant_id = await create_tenant()
    made, sold = order("A", changed=0), order("A", status=OrderStatus.DELIVERED, hours=48, changed=0)

    for batch in [[made, sold]] if at_once else [[made], [sold]]:
        await write(tenant_id, *batch)
    again = await write(tenant_id, sold)

    assert await rows(tenant_id, "SELECT status, ordered_at, changed_at FROM orders") == [("delivered", made.ordered_at, sold.changed_at)]
    assert counts(again) == (0, 0, 1)


def test_the_digest_tells_every_difference_and_no_other():
    one = order("A", line("1"), line("2"))

    assert digest(one) == digest(order("A", line("2"), line("1")))
    others = [order("A", line("1")), order("A", line("1"), line("2", quantity=2)), order("A", line("1"), line("2"), changed=1),
              order("A", line("1"), line("2"), status=OrderStatus.CANCELLED)]  # fmt: skip
    assert len({digest(one), *map(digest, others)}) == 5


async def test_a_line_finds_its_product_by_id_else_by_the_sellers_article(clean_database):
    tenant_id = await create_tenant()
    await add_products(tenant_id, "1", "2")
    await add_products(tenant_id, "3", marketplace=Marketplace.WILDBERRIES)

    await write(tenant_id, order("A", line("1", "ART-2"), line(None, "ART-2"), line("9", "ART-1"), line("3", "ART-3"), line(None, "")))

    assert await products_of_lines(tenant_id) == ["1", "2", "1", None, None]


async def test_of_two_products_with_one_article_the_one_that_is_offered_counts(clean_database):
    tenant_id = await create_tenant()
    await add_products(tenant_id, "1", "2")
    async with tenant_scope(tenant_id) as connection:
        await connection.execute("UPDATE products SET article = 'SAME'")
        await archive(connection, tenant_id, OZON, ["2"])

    await write(tenant_id, order("A", line(None, "SAME")))

    assert await products_of_lines(tenant_id) == ["1"]


async def test_a_line_whose_product_comes_later_finds_it_then(clean_database):
    tenant_id = await create_tenant()
    await write(tenant_id, order("A", line("1"), line(None, "ART-2"), line("8")))
    await write(tenant_id, order("W", line("1")), marketplace=Marketplace.WILDBERRIES)
    async with tenant_scope(tenant_id) as connection:
        since = await connection.fetchval("SELECT now()")
        assert await store.resolve_lines(connection, tenant_id, OZON, since=since) is False
    await add_products(tenant_id, "1", "2")

    async with tenant_scope(tenant_id) as connection:
        assert await store.resolve_lines(connection, tenant_id, OZON, since=since) is True

    assert await products_of_lines(tenant_id) == ["1", "2", None, None]


async def test_no_order_and_no_product_of_another_tenant_is_met(clean_database):
    acme, rival = await create_tenant(), await create_tenant()
    await add_products(rival, "1")
    await write(rival, order("A", status=OrderStatus.DELIVERED))

    written = await write(acme, order("A"))

    assert written.created == 1
    assert await products_of_lines(acme) == [None]
    assert await statuses(rival) == {"A": "delivered"}
    assert await products_of_lines(rival) == ["1"]
