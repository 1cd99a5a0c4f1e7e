"""`products.updated_at` follows the order of the commits, so that who reads on behind the newest one he saw misses nothing."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from app.database import tenant_scope
from app.marketplaces.contract import Marketplace
from app.products import store
from app.products.prices import write_prices
from app.tenants.service import lock_tenant
from tests.factories import create_tenant, product
from tests.products.transactions import Write, uncommitted, until_somebody_waits_for
from tests.scripted_client import price

pytestmark = pytest.mark.anyio

WILDBERRIES, OZON = Marketplace.WILDBERRIES, Marketplace.OZON

# What changes the product "1" of Ozon, and what would change nothing about it.
CHANGES: dict[str, Write] = {
    "a product that is new": lambda connection, tenant: store.write_products(connection, tenant, OZON, [product("2")]),
    "a product that differs": lambda connection, tenant: store.write_products(connection, tenant, OZON, [product("1", "Cup")]),
    "a product that is gone": lambda connection, tenant: store.archive(connection, tenant, OZON, ["1"]),
    "products that were not met": lambda connection, tenant: store.archive_missing(connection, tenant, OZON),
    "a price": lambda connection, tenant: write_prices(connection, tenant, OZON, [price("1", "7"), price("unknown")]),
}
NO_CHANGES: dict[str, Write] = {
    "a product as it is": lambda connection, tenant: store.write_products(connection, tenant, OZON, [product("1")]),
    "no product": lambda connection, tenant: store.write_products(connection, tenant, OZON, []),
    "a product that was never there": lambda connection, tenant: store.archive(connection, tenant, OZON, ["2"]),
    "a price as it is": lambda connection, tenant: write_prices(connection, tenant, OZON, [price("1", None, None), price("unknown")]),
}


async def tenant_with_a_product_at_each() -> UUID:
    tenant = await create_tenant()
    async with tenant_scope(tenant) as connection:
        for marketplace in Marketplace:
            await store.write_products(connection, tenant, marketplace, [product("1")])
    return tenant


async def newest(tenant: UUID, marketplace: Marketplace) -> datetime:
    async with tenant_scope(tenant) as connection:
        return await connection.fetchval("SELECT max(updated_at) FROM products WHERE marketplace = $1", marketplace)


async def changed_at(tenant: UUID) -> datetime:
    async with tenant_scope(tenant) as connection:
        return await connection.fetchval("SELECT changed_at FROM tenants")


async def commit(tenant: UUID, write: Write) -> None:
    async with tenant_scope(tenant) as connection:
        await write(connection, tenant)


@pytest.mark.parametrize("change", CHANGES)
async def test_who_commits_later_has_the_later_instant_whoever_began_first(clean_database, change: str):
    tenant = await tenant_with_a_product_at_each()

    async with uncommitted(
        tenant, lambda connection, _: store.write_products(connection, tenant, WILDBERRIES, [product("1", "Cup")])
    ) as first:
        second = asyncio.create_task(commit(tenant, CHANGES[change]))
        await until_somebody_waits_for(first)
        before = await newest(tenant, OZON)
    await second

    assert before < await newest(tenant, WILDBERRIES) < await newest(tenant, OZON) == await changed_at(tenant)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_clock_that_leaps_back_changes_nothing_about_the_order(clean_database, change: str):
    tenant = await tenant_with_a_product_at_each()
    async with tenant_scope(tenant) as connection:
        # The clock was a year ahead and has been put right.
        ahead: datetime = await connection.fetchval("UPDATE tenants SET changed_at = now() + interval '1 year' RETURNING changed_at")

    await commit(tenant, CHANGES[change])

    assert await newest(tenant, OZON) == await changed_at(tenant) == ahead + timedelta(microseconds=1)


@pytest.mark.parametrize("no_change", NO_CHANGES)
async def test_what_changes_nothing_writes_nothing_and_waits_for_nobody(clean_database, no_change: str):
    tenant = await tenant_with_a_product_at_each()
    before = await changed_at(tenant)

    async with uncommitted(tenant, lambda connection, _: lock_tenant(connection, tenant)), asyncio.timeout(5):
        await commit(tenant, NO_CHANGES[no_change])

    assert await changed_at(tenant) == before


async def test_a_new_product_is_as_old_as_its_last_change(clean_database):
    tenant = await tenant_with_a_product_at_each()

    async with tenant_scope(tenant) as connection:
        rows = await connection.fetch("SELECT created_at = updated_at, updated_at FROM products ORDER BY updated_at")

    assert [row[0] for row in rows] == [True, True]
    assert rows[0][1] < rows[1][1]
