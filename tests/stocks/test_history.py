"""The history of stock: what is written, how it is kept, and how the API tells it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.database import system_scope, tenant_scope
from app.marketplaces.contract import Fulfilment
from app.settings import get_settings
from app.stocks import store
from app.stocks.history import keep_partitions
from tests.application import Shop
from tests.factories import create_tenant
from tests.stocks.counting import add_product, count, tenant_with_product

pytestmark = pytest.mark.anyio

FBS = Fulfilment.SELLER_WAREHOUSE
PARTITIONS = "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'stock_history'::regclass ORDER BY 1"


@pytest.fixture(autouse=True)
async def no_partitions(clean_database: str) -> AsyncIterator[None]:
    """None but the one in which rows wait, as in a database that was just migrated."""
    await drop_partitions()
    yield
    await drop_partitions()


async def drop_partitions() -> None:
    async with system_scope() as connection:
        for row in await connection.fetch(PARTITIONS):
            if row[0] != "stock_history_other":
                await connection.execute(f"DROP TABLE {row[0]}")


async def partitions() -> list[str]:
    async with system_scope() as connection:
        return [row[0].removeprefix("stock_history_") for row in await connection.fetch(PARTITIONS)]


def months(first: datetime, last: datetime) -> list[str]:
    """As partitions are named, both included, and the one in which rows wait."""
    place, end = first.year * 12 + first.month - 1, last.year * 12 + last.month - 1
    return [f"{month // 12}_{month % 12 + 1:02}" for month in range(place, end + 1)] + ["other"]


def two_months_later(moment: datetime) -> datetime:
    return (moment.replace(day=1) + timedelta(days=32)).replace(day=1) + timedelta(days=32)


async def history(tenant: UUID) -> list[tuple[int, int]]:
    async with tenant_scope(tenant) as connection:
        rows = await connection.fetch("SELECT marketplace_quantity, seller_quantity FROM stock_history ORDER BY changed_at")
    return [tuple(row) for row in rows]


async def stood(tenant: UUID, *rows: tuple[datetime, int]) -> UUID:
    """The product's stock in the past, all of it in the marketplace's warehouses."""
    async with tenant_scope(tenant) as connection:
        product_id = await connection.fetchval("SELECT id FROM products WHERE tenant_id = $1", tenant)
        for changed_at, quantity in rows:
            await connection.execute("INSERT INTO stock_history VALUES ($1, $2, $3, $4, 0)", tenant, product_id, changed_at, quantity)
    return product_id


# What is written


async def test_a_row_is_written_only_where_one_of_the_totals_changed(clean_database):
    tenant = await tenant_with_product()

    await count(tenant, 5, 3)
    await count(tenant, 6, 2)  # from one of the marketplace's warehouses to another one
    await count(tenant, 6, 2, in_way=1)
    await count(tenant, 4, fulfilment=FBS)
    await count(tenant, 6, 2, in_way=2)
    await count(tenant, 1, fulfilment=FBS)
    await count(tenant)

    assert await history(tenant) == [(8, 0), (8, 4), (8, 1), (0, 1)]


async def test_units_that_go_from_the_seller_to_the_marketplace_are_a_change_although_there_are_as_many(clean_database):
    tenant = await tenant_with_product()
    await count(tenant, 4, fulfilment=FBS)
    await count(tenant, 3)

    await count(tenant, 2, fulfilment=FBS)
    await count(tenant, 5)

    assert await history(tenant) == [(0, 4), (3, 4), (3, 2), (5, 2)]


async def test_a_row_has_the_instant_at_which_the_product_changed(clean_database):
    tenant = await tenant_with_product()
    await count(tenant, 5)

    async with tenant_scope(tenant) as connection:
        [row] = await connection.fetch(
            "SELECT history.changed_at, updated_at FROM stock_history AS history JOIN products ON id = product_id"
        )

    assert row[0] == row[1]


async def test_a_transaction_that_is_rolled_back_leaves_no_row(clean_database, monkeypatch):
    tenant = await tenant_with_product()
    monkeypatch.setattr(store, "Written", lambda **_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        await count(tenant, 5)
    monkeypatch.undo()

    await count(tenant, 5)

    assert await history(tenant) == [(5, 0)]


# How it is kept


async def test_there_are_partitions_for_this_month_and_the_next_two_and_each_stands_behind_a_wall(clean_database):
    await keep_partitions()
    await keep_partitions()

    now = datetime.now(UTC)
    assert await partitions() == months(now, two_months_later(now))
    async with system_scope() as connection:
        open_ones = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relname LIKE 'stock_history_____\\___' AND NOT (relrowsecurity AND relforcerowsecurity)"
        )
    assert open_ones == []


async def test_rows_that_waited_are_moved_into_the_partition_of_their_month_and_none_is_lost(clean_database):
    tenant = await tenant_with_product()
    now = datetime.now(UTC)
    earlier = now - timedelta(days=70)
    await stood(tenant, (earlier, 9), (now, 8))

    await keep_partitions()

    assert await partitions() == months(earlier, two_months_later(now))
    assert await history(tenant) == [(9, 0), (8, 0)]
    async with system_scope() as connection:
        places = await connection.fetch("SELECT tableoid::regclass::text FROM stock_history ORDER BY changed_at")
    assert [row[0] for row in places] == [f"stock_history_{moment:%Y_%m}" for moment in (earlier, now)]


async def test_new_rows_go_where_they_belong(clean_database):
    tenant = await tenant_with_product()
    await keep_partitions()

    await count(tenant, 5)

    async with tenant_scope(tenant) as connection:
        place = await connection.fetchval("SELECT tableoid::regclass::text FROM stock_history")
    assert place == f"stock_history_{datetime.now(UTC):%Y_%m}"


async def test_months_of_which_all_is_older_than_the_setting_are_dropped(clean_database, monkeypatch):
    tenant = await tenant_with_product()
    now = datetime.now(UTC)
    ages = [500, 200, 100, 32, 0]
    await stood(tenant, *((now - timedelta(days=age), age) for age in ages))
    await keep_partitions()
    by_default = await history(tenant)

    monkeypatch.setenv("STOCK_HISTORY_DAYS", "100")
    get_settings.cache_clear()
    await keep_partitions()

    monkeypatch.undo()
    get_settings.cache_clear()
    assert by_default == [(200, 0), (100, 0), (32, 0), (0, 0)]
    assert await history(tenant) == [(100, 0), (32, 0), (0, 0)]
    assert await partitions() == months(now - timedelta(days=100), two_months_later(now))


async def test_many_processes_may_do_it_at_once(clean_database):
    tenant = await tenant_with_product()
    now = datetime.now(UTC)
    await stood(tenant, (now - timedelta(days=40), 9))

    await asyncio.gather(*(keep_partitions() for _ in range(6)))

    assert await partitions() == months(now - timedelta(days=40), two_months_later(now))
    assert await history(tenant) == [(9, 0)]


async def test_a_writer_in_the_way_is_left_alone_and_the_next_time_does_it(clean_database):
    writer = await asyncpg.connect(clean_database)
    await writer.execute("BEGIN; UPDATE products SET updated_at = now()")
    await asyncio.wait_for(keep_partitions(), 5)
    meanwhile = await partitions()
    await writer.close()

    await keep_partitions()

    assert meanwhile == ["other"]
    assert len(await partitions()) == 4


async def test_a_partition_shows_nobody_anything_but_through_its_table(clean_database):
    tenant, rival = await tenant_with_product(), await create_tenant()
    await add_product(rival)
    await keep_partitions()
    await count(tenant, 5)
    await count(rival, 7)
    name = f"stock_history_{datetime.now(UTC):%Y_%m}"

    async with tenant_scope(tenant) as connection:
        through_its_table = await connection.fetch("SELECT marketplace_quantity FROM stock_history")
        directly = await connection.fetch(f"SELECT * FROM {name}")
        waiting = await connection.fetch("SELECT * FROM stock_history_other")

    assert [row[0] for row in through_its_table] == [5]
    assert (directly, waiting) == ([], [])


async def test_the_history_of_an_erased_tenant_is_gone(clean_database):
    tenant = await tenant_with_product()
    await keep_partitions()
    await count(tenant, 5)

    async with system_scope() as connection:
        await connection.execute("DELETE FROM tenants WHERE id = $1", tenant)
        left = await connection.fetchval("SELECT count(*) FROM stock_history")

    assert left == 0


# How the API tells it


async def path_of(shop: Shop, *rows: tuple[datetime, int]) -> str:
    await add_product(shop.tenant_id)
    return f"/products/{await stood(shop.tenant_id, *rows)}/stock-history"


async def points(shop: Shop, path: str, **query: Any) -> list[tuple[str, int]]:
    answer = await shop.expect(200, "GET", path, params=query)
    assert all(point["quantity"] == point["marketplace_quantity"] + point["seller_quantity"] for point in answer["points"])
    return [(point["at"], point["quantity"]) for point in answer["points"]]


NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


async def test_a_day_has_its_last_stock_and_one_without_a_change_that_of_the_day_before(shop: Shop):
    path = await path_of(shop, (NOON - timedelta(days=9), 50), (NOON, 40), (NOON + timedelta(hours=1), 30), (NOON + timedelta(days=2), 20))

    told = await points(shop, path, **{"from": "2026-03-09T00:00:00Z", "to": "2026-03-13T06:00:00Z"}, interval="day")

    assert told == [
        ("2026-03-10T00:00:00Z", 50),
        ("2026-03-11T00:00:00Z", 30),
        ("2026-03-12T00:00:00Z", 30),
        ("2026-03-13T00:00:00Z", 20),
        ("2026-03-13T06:00:00Z", 20),
    ]


async def test_before_the_stock_was_known_there_is_no_point(shop: Shop):
    path = await path_of(shop, (NOON, 40))

    told = await points(shop, path, **{"from": "2026-03-10T10:00:00+00:00", "to": "2026-03-10T17:00:00+03:00"}, interval="hour")

    assert told == [("2026-03-10T12:00:00Z", 40), ("2026-03-10T13:00:00Z", 40), ("2026-03-10T14:00:00Z", 40)]


async def test_without_an_interval_each_change_is_told(shop: Shop):
    path = await path_of(shop, (NOON - timedelta(days=1), 50), (NOON, 40), (NOON + timedelta(hours=1), 30), (NOON + timedelta(days=2), 20))

    told = await points(shop, path, **{"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z"})

    assert told == [("2026-03-10T12:00:00Z", 40), ("2026-03-10T13:00:00Z", 30)]


async def test_left_out_it_is_about_the_last_thirty_days_and_nothing_is_told_of_the_future(shop: Shop):
    now = datetime.now(UTC)
    path = await path_of(shop, (now - timedelta(days=31), 50), (now - timedelta(days=29), 40))

    changes, days = await points(shop, path), await points(shop, path, interval="day")
    tomorrow = await points(shop, path, to=(now + timedelta(days=1)).isoformat(), interval="day")

    assert [quantity for _, quantity in changes] == [40]
    assert [quantity for _, quantity in days] in ([50] + [40] * 30, [50] * 2 + [40] * 29)
    assert now - timedelta(minutes=1) < datetime.fromisoformat(tomorrow[-1][0]) < now + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z", "interval": "hour"}, {"from", "interval"}),
        ({"from": "0001-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z", "interval": "day"}, {"from", "interval"}),
        ({"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, {"from"}),
        ({"from": "2999-03-02T00:00:00Z"}, {"from"}),
        ({"to": "0001-01-01T00:00:00Z"}, {"from"}),
        ({"from": "2026-03-02"}, {"from"}),
        ({"interval": "week"}, {"interval"}),
    ],
    ids=["too many hours", "too many days", "backwards", "to come", "the beginning of time", "no moment", "no interval"],
)
async def test_what_makes_no_sense_is_refused_by_name(shop: Shop, query: dict[str, str], fields: set[str]):
    path = await path_of(shop, (NOON, 40))

    refused = await shop.expect(422, "GET", path, params=query)

    assert {error["field"] for error in refused["errors"]} == fields


async def test_more_changes_than_can_be_told_are_refused(shop: Shop):
    path = await path_of(shop, *((NOON + timedelta(seconds=n), n) for n in range(1001)))

    refused = await shop.expect(422, "GET", path, params={"from": NOON.isoformat(), "to": "2026-03-11T00:00:00Z"})
    told = await points(shop, path, **{"from": (NOON + timedelta(seconds=1)).isoformat(), "to": "2026-03-11T00:00:00Z"})

    assert {error["field"] for error in refused["errors"]} == {"from", "interval"}
    assert len(told) == 1000


async def test_the_history_of_another_tenants_product_is_as_absent_as_that_of_a_missing_one(shop: Shop, other_shop: Shop):
    path = await path_of(shop, (NOON, 40))

    theirs = await other_shop.call("GET", path)
    missing = await other_shop.call("GET", f"/products/{shop.tenant_id}/stock-history")

    assert theirs.status_code == missing.status_code == 404
    assert theirs.json()["code"] == missing.json()["code"] == "not_found"


async def test_only_the_partitions_of_the_time_that_is_asked_for_are_looked_into(clean_database):
    tenant = await tenant_with_product()
    now = datetime.now(UTC)
    product_id = await stood(tenant, *((now - timedelta(days=30 * month), month) for month in range(12)))
    await keep_partitions()
    since = (now - timedelta(days=60)).replace(day=2)
    until = since + timedelta(days=20)

    async with tenant_scope(tenant) as connection:
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {store.CHANGES}", product_id, since, until, 10))

    assert f"stock_history_{since:%Y_%m}" in plan
    assert plan.count(" on stock_history_") == 1
