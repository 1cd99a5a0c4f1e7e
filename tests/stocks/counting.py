"""A product as its marketplace counts it, without a run."""

from uuid import UUID

from app.database import tenant_scope
from app.marketplaces.contract import FetchedStock, Fulfilment, Marketplace
from app.products.store import write_products
from app.stocks import store
from app.stocks.gathering import Gathering
from app.stocks.service import compare
from tests.factories import create_tenant, product


async def tenant_with_product() -> UUID:
    """Its threshold is 5, since the tenant's is; back at `ok` it is at 7."""
    tenant = await create_tenant()
    await add_product(tenant)
    return tenant


async def add_product(tenant: UUID) -> None:
    async with tenant_scope(tenant) as connection:
        await write_products(connection, tenant, Marketplace.WILDBERRIES, [product("1")])


async def count(tenant: UUID, *units: int, in_way: int = 0, fulfilment: Fulfilment = Fulfilment.MARKETPLACE_WAREHOUSE) -> list[str]:
    """So many units of the product are in each warehouse of that kind; the types of the events that tell of it."""
    with Gathering() as gathering:
        gathering.add([FetchedStock("1", "1-0", f"{500 + place}", "Склад", number, in_way, 0) for place, number in enumerate(units)])
        async with tenant_scope(tenant) as connection:
            known = await store.known_products(connection, tenant, Marketplace.WILDBERRIES, after=None, limit=100)
            _, changes = compare(known, {fulfilment: gathering})
            written = await store.write_changes(connection, tenant, changes) if changes else None
    if written is None:
        return []
    assert all(len(products) == 1 for products in written.told.values())
    return list(written.told)
