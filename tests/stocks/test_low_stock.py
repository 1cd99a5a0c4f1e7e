"""A level moves with the stock, and tells of it only where the seller would want to hear."""

from uuid import UUID

import pytest

from app.database import tenant_scope
from tests.stocks.counting import count, tenant_with_product

pytestmark = pytest.mark.anyio


async def change_product(tenant: UUID, **settings: object) -> None:
    async with tenant_scope(tenant) as connection:
        for name, value in settings.items():
            await connection.execute(f"UPDATE products SET {name} = $1", value)


async def level(tenant: UUID) -> str | None:
    async with tenant_scope(tenant) as connection:
        return await connection.fetchval("SELECT stock_level FROM products")


@pytest.mark.parametrize(
    ("before", "units_before", "units", "after", "told"),
    [
        ("ok", 9, 6, "ok", []),
        ("ok", 6, 5, "low", ["stock.low"]),
        ("ok", 9, 1, "low", ["stock.low"]),
        ("ok", 9, 0, "out", ["stock.out"]),
        ("low", 5, 4, "low", []),
        ("low", 4, 5, "low", []),
        ("low", 5, 6, "low", []),
        ("low", 6, 5, "low", []),
        ("low", 6, 7, "ok", ["stock.replenished"]),
        ("low", 1, 90, "ok", ["stock.replenished"]),
        ("low", 1, 0, "out", ["stock.out"]),
        ("low", 90, 80, "ok", []),
        ("out", 0, 1, "out", []),
        ("out", 1, 0, "out", []),
        ("out", 1, 2, "low", []),
        ("out", 0, 5, "low", []),
        ("out", 0, 6, "low", []),
        ("out", 0, 7, "ok", ["stock.replenished"]),
        (None, 0, 7, "ok", []),
        (None, 0, 6, "ok", []),
        (None, 7, 3, "low", []),
        (None, 7, 0, "out", []),
    ],
)
async def test_each_crossing_moves_the_level_and_is_told_where_it_matters(clean_database, before, units_before, units, after, told):
    tenant = await tenant_with_product()
    await count(tenant, units_before)
    await change_product(tenant, stock_level=before)

    assert await count(tenant, units) == told

    assert await level(tenant) == after


async def test_one_unit_that_is_sold_and_returned_is_not_told_each_time(clean_database):
    tenant = await tenant_with_product()
    await count(tenant, 6)

    told = [event for units in (5, 6, 5, 6, 5, 6) for event in await count(tenant, units)]
    told_when_sold_out = [event for units in (0, 1, 0, 1, 0) for event in await count(tenant, units)]

    assert (told, told_when_sold_out) == (["stock.low"], ["stock.out"])


@pytest.mark.parametrize(("threshold", "recovered"), [(0, 2), (5, 7), (10, 12), (14, 16), (15, 18), (100, 120)])
async def test_a_product_is_ok_again_a_fifth_above_its_threshold_and_two_units_at_least(clean_database, threshold, recovered):
    tenant = await tenant_with_product()
    await change_product(tenant, low_stock_threshold=threshold)
    await count(tenant, 1000)
    await count(tenant, 0)

    assert await count(tenant, recovered - 1) == []
    assert await level(tenant) in ("low", "out")
    assert await count(tenant, recovered) == ["stock.replenished"]


@pytest.mark.parametrize(("threshold", "enough"), [(0, 2), (5, 2), (14, 2), (15, 3), (100, 20)])
async def test_a_product_is_told_to_be_out_again_after_there_were_a_fifth_of_its_threshold_and_two_units_at_least(
    clean_database, threshold, enough
):
    tenant = await tenant_with_product()
    await change_product(tenant, low_stock_threshold=threshold)
    await count(tenant, 1000)
    await count(tenant, 0)

    after_a_few = await count(tenant, enough - 1) + await count(tenant, 0)
    await count(tenant, enough)
    after_enough = await count(tenant, 0)

    assert (after_a_few, after_enough) == ([], ["stock.out"])


async def test_the_first_count_of_a_product_is_silent_and_the_next_one_is_not(clean_database):
    tenant = await tenant_with_product()

    assert await count(tenant, 3) == []
    assert await level(tenant) == "low"
    assert await count(tenant, 0) == ["stock.out"]


async def test_a_product_of_which_there_never_was_a_unit_has_no_level_until_there_is_one(clean_database):
    tenant = await tenant_with_product()

    assert await level(tenant) is None
    assert await count(tenant, 40) == []
    assert await level(tenant) == "ok"


async def test_the_threshold_of_a_product_comes_before_the_tenants(clean_database):
    tenant = await tenant_with_product()
    await change_product(tenant, low_stock_threshold=20)
    await count(tenant, 30)

    assert await count(tenant, 20) == ["stock.low"]


async def test_an_archived_product_is_never_told_of_but_keeps_its_level(clean_database):
    tenant = await tenant_with_product()
    await count(tenant, 30)
    async with tenant_scope(tenant) as connection:
        await connection.execute("UPDATE products SET archived_at = now()")

    told = [event for units in (3, 0, 30) for event in await count(tenant, units)]

    assert told == []
    assert await level(tenant) == "ok"


async def test_a_threshold_that_changes_tells_nothing_until_the_stock_does(clean_database):
    tenant = await tenant_with_product()
    await count(tenant, 30)
    await change_product(tenant, low_stock_threshold=40)

    unmoved = await count(tenant, 30, in_way=1)

    assert (unmoved, await level(tenant)) == ([], "ok")
    assert await count(tenant, 29) == ["stock.low"]


async def test_a_seller_who_lowers_the_threshold_hears_nothing_of_it(clean_database):
    tenant = await tenant_with_product()
    await count(tenant, 30)
    await count(tenant, 5)
    await change_product(tenant, low_stock_threshold=1)

    assert await count(tenant, 4) == []

    assert await level(tenant) == "ok"
