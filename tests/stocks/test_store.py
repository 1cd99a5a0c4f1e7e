import pytest

from app.database import tenant_scope
from app.marketplaces.contract import FetchedStock, Fulfilment, Marketplace
from app.products.store import write_products
from app.stocks import store
from app.stocks.gathering import Gathering
from app.stocks.service import compare
from tests.factories import create_tenant, product

pytestmark = pytest.mark.anyio

FBW, FBS = Fulfilment.MARKETPLACE_WAREHOUSE, Fulfilment.SELLER_WAREHOUSE


def shelf(external_id: str, size: int, quantity: int, warehouse_id: str = "-999999") -> FetchedStock:
    return FetchedStock(
        product_external_id=external_id,
        size_id=f"{external_id}-{size}",
        warehouse_id=warehouse_id,
        warehouse=f"Warehouse {warehouse_id}",
        quantity=quantity,
        in_way_to_client=1,
        in_way_from_client=0,
    )


async def tenant_with_products(*external_ids: str):
    tenant = await create_tenant()
    async with tenant_scope(tenant) as connection:
        await write_products(connection, tenant, Marketplace.WILDBERRIES, [product(external_id, sizes=2) for external_id in external_ids])
    return tenant


async def replace(tenant, fulfilment, *shelves):
    with Gathering() as gathering:
        gathering.add(shelves)
        async with tenant_scope(tenant) as connection:
            known = await store.known_products(connection, tenant, Marketplace.WILDBERRIES, after=None, limit=100)
            _, changes = compare(known, {fulfilment: gathering})
            return await store.write_changes(connection, tenant, changes) if changes else None


async def shelves_of(tenant):
    async with tenant_scope(tenant) as connection:
        rows = await connection.fetch(
            "SELECT size_id, warehouse_id, fulfilment, quantity FROM stocks ORDER BY size_id, warehouse_id, fulfilment"
        )
    return [tuple(row) for row in rows]


async def totals(tenant):
    async with tenant_scope(tenant) as connection:
        return {row[0]: row[1] for row in await connection.fetch("SELECT external_id, stock_total FROM products")}


async def test_both_kinds_of_warehouse_add_up_and_do_not_replace_each_other(clean_database):
    tenant = await tenant_with_products("1")

    await replace(tenant, FBW, shelf("1", 0, 10), shelf("1", 1, 5))
    await replace(tenant, FBS, shelf("1", 0, 7, "501"))

    assert await totals(tenant) == {"1": 22}
    assert len(await shelves_of(tenant)) == 3


async def test_a_shelf_that_the_report_no_longer_names_is_gone(clean_database):
    tenant = await tenant_with_products("1", "2")
    await replace(tenant, FBW, shelf("1", 0, 10), shelf("1", 1, 5), shelf("2", 0, 3))

    written = await replace(tenant, FBW, shelf("1", 1, 5))

    assert (written.created, written.updated, written.removed) == (0, 0, 2)
    assert [row[0] for row in await shelves_of(tenant)] == ["1-1"]
    assert await totals(tenant) == {"1": 5, "2": 0}


async def test_only_the_shelves_that_changed_are_written(clean_database):
    tenant = await tenant_with_products("1")
    await replace(tenant, FBW, shelf("1", 0, 10), shelf("1", 1, 5))

    written = await replace(tenant, FBW, shelf("1", 1, 5), shelf("1", 0, 9))

    assert written == store.Written(created=0, updated=1, removed=0)


async def test_an_unchanged_report_writes_nothing_in_whatever_order_it_comes(clean_database):
    tenant = await tenant_with_products("1")
    await replace(tenant, FBW, shelf("1", 0, 10), shelf("1", 1, 5))

    assert await replace(tenant, FBW, shelf("1", 1, 5), shelf("1", 0, 10)) is None


async def test_a_shelf_that_is_named_twice_counts_once(clean_database):
    tenant = await tenant_with_products("1")

    await replace(tenant, FBW, shelf("1", 0, 10), shelf("1", 0, 4))

    assert await totals(tenant) == {"1": 4}


async def test_both_reports_of_a_product_are_written_at_once(clean_database):
    tenant = await tenant_with_products("1", "2")
    with Gathering() as marketplace, Gathering() as seller:
        marketplace.add([shelf("1", 0, 10), shelf("2", 0, 1)])
        seller.add([shelf("1", 0, 7, "501")])
        async with tenant_scope(tenant) as connection:
            known = await store.known_products(connection, tenant, Marketplace.WILDBERRIES, after=None, limit=100)
            named, changes = compare(known, {FBW: marketplace, FBS: seller})

            written = await store.write_changes(connection, tenant, changes)

            known = await store.known_products(connection, tenant, Marketplace.WILDBERRIES, after=None, limit=100)
            assert compare(known, {FBW: marketplace, FBS: seller}) == (3, [])
    assert (named, written) == (3, store.Written(created=3, updated=0, removed=0))
    assert await totals(tenant) == {"1": 17, "2": 1}


async def test_the_sizes_of_the_catalogue_are_walked_in_batches_without_the_archived(clean_database, monkeypatch):
    monkeypatch.setattr(store, "PRODUCTS_PER_LOOK", 2)
    tenant = await tenant_with_products("1", "2", "3", "4")
    async with tenant_scope(tenant) as connection:
        await connection.execute("UPDATE products SET archived_at = now() WHERE external_id = '3'")

    batches = [batch async for batch in store.known_sizes(tenant, Marketplace.WILDBERRIES)]

    assert [len(batch) for batch in batches] == [4, 2]
    sizes = sorted((size.product_external_id, size.size_id, size.barcodes) for batch in batches for size in batch)
    assert sizes[:2] == [("1", "1-0", ("2010",)), ("1", "1-1", ("2011",))]
    assert {size[0] for size in sizes} == {"1", "2", "4"}
