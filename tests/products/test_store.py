import pytest
from msgspec import structs

from app.database import tenant_scope
from app.marketplaces.contract import Marketplace
from app.products import store
from tests.factories import create_tenant, product

pytestmark = pytest.mark.anyio

WB = Marketplace.WILDBERRIES


async def write(tenant, *products):
    async with tenant_scope(tenant) as connection:
        return await store.write_products(connection, tenant, WB, products)


async def rows(tenant, columns="external_id, title"):
    async with tenant_scope(tenant) as connection:
        return [tuple(row) for row in await connection.fetch(f"SELECT {columns} FROM products ORDER BY external_id")]


async def test_new_changed_and_unchanged_products_are_told_apart(clean_database):
    tenant = await create_tenant()
    await write(tenant, product("1"), product("2"))

    written = await write(tenant, product("1"), product("2", "Cup"), product("3"))

    assert written == store.Written(created=1, updated=1, archived=0, unchanged=1)
    assert await rows(tenant) == [("1", "Mug"), ("2", "Cup"), ("3", "Mug")]


async def test_an_unchanged_product_is_not_written(clean_database):
    tenant = await create_tenant()
    await write(tenant, product("1"), product("2"))
    before = await rows(tenant, "xmin, ctid, updated_at")

    await write(tenant, product("1"), product("2"))

    assert await rows(tenant, "xmin, ctid, updated_at") == before


async def test_barcodes_of_all_sizes_are_found_whatever_they_contain(clean_database):
    tenant = await create_tenant()

    await write(tenant, product("1", 'A "quoted" \\ name, {with} braces', sizes=3))

    assert await rows(tenant, "title, barcodes") == [('A "quoted" \\ name, {with} braces', ["2010", "2011", "2012"])]


async def test_the_later_of_two_in_a_page_counts(clean_database):
    tenant = await create_tenant()

    written = await write(tenant, product("1", "earlier"), product("1", "later"))

    assert written.created == 1
    assert await rows(tenant) == [("1", "later")]


async def test_a_change_keeps_the_sellers_own_settings_the_stock_and_the_id(clean_database):
    tenant = await create_tenant()
    await write(tenant, product("1"))
    async with tenant_scope(tenant) as connection:
        await connection.execute("UPDATE products SET low_stock_threshold = 7, lead_time_days = 3, stock_total = 40")
    before = await rows(tenant, "id, low_stock_threshold, lead_time_days, stock_total")

    await write(tenant, product("1", "renamed"))

    assert await rows(tenant, "id, low_stock_threshold, lead_time_days, stock_total") == before


async def test_a_product_that_is_seen_again_is_no_longer_archived(clean_database):
    tenant = await create_tenant()
    await write(tenant, product("1"))
    async with tenant_scope(tenant) as connection:
        await store.archive_missing(connection, tenant, WB)
    assert await rows(tenant, "archived_at IS NULL") == [(False,)]

    written = await write(tenant, product("1"))

    assert written.updated == 1
    assert await rows(tenant, "archived_at IS NULL") == [(True,)]


async def test_a_full_pass_archives_what_it_did_not_meet_and_nothing_of_others(clean_database):
    tenant, rival = await create_tenant(), await create_tenant()
    await write(tenant, product("1"), product("2"))
    await write(rival, product("2"))
    async with tenant_scope(tenant) as connection:
        await store.note_sightings(connection, tenant, WB, ["1"])

        missing = await store.count_missing(connection, tenant, WB)
        await store.archive_missing(connection, tenant, WB)

    assert missing == store.Missing(products=1, active=2, nameless=0)
    assert await rows(tenant, "external_id, archived_at IS NULL") == [("1", True), ("2", False)]
    assert await rows(rival, "archived_at IS NULL") == [(True,)]


async def test_what_the_seller_archived_at_the_marketplace_is_archived_and_comes_back_with_it(clean_database):
    tenant = await create_tenant()
    put_away = structs.replace(product("1"), archived=True)
    first = await write(tenant, product("1"), structs.replace(product("2"), archived=True))

    written = await write(tenant, put_away)

    assert first == store.Written(created=1, updated=0, archived=1, unchanged=0)
    assert written == store.Written(created=0, updated=0, archived=1, unchanged=0)
    assert await rows(tenant, "external_id, archived_at IS NULL") == [("1", False), ("2", False)]
    assert (await write(tenant, put_away)).unchanged == 1
    assert (await write(tenant, product("1"))).updated == 1
    assert await rows(tenant, "external_id, archived_at IS NULL") == [("1", True), ("2", False)]


async def test_what_the_marketplace_calls_gone_is_archived_once(clean_database):
    tenant, rival = await create_tenant(), await create_tenant()
    await write(tenant, product("1"), product("2"))
    await write(rival, product("1"))

    async with tenant_scope(tenant) as connection:
        first = await store.archive(connection, tenant, WB, ["1", "unknown"])
        again = await store.archive(connection, tenant, WB, ["1", "unknown"])

    assert (first, again) == (1, 0)
    assert await rows(tenant, "external_id, archived_at IS NULL") == [("1", False), ("2", True)]
    assert await rows(rival, "archived_at IS NULL") == [(True,)]


async def test_a_product_that_could_not_be_read_so_far_as_its_id_is_counted(clean_database):
    tenant = await create_tenant()
    await write(tenant, product("1"), product("2"))

    async with tenant_scope(tenant) as connection:
        await store.note_sightings(connection, tenant, WB, ["1", "", ""])

        assert await store.count_missing(connection, tenant, WB) == store.Missing(products=1, active=2, nameless=2)
