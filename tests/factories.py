"""What tests need to be there before they begin: written straight into the database, as the application would have."""

from uuid import UUID

from app.credentials.store import update_wildberries_credentials
from app.database import system_scope, tenant_scope
from app.ids import new_id
from app.marketplaces.contract import FetchedProduct, Marketplace, Size
from app.runs.lease import Lease, claim
from app.runs.service import add_run
from app.runs.tables import Trigger
from app.secret import Secret


async def create_tenant(name: str = "Romashka") -> UUID:
    tenant_id = new_id()
    async with tenant_scope(tenant_id) as connection:
        await connection.execute(
            "INSERT INTO tenants (id, name, marketplace_type, language, time_zone, sync_enabled, sync_interval_minutes, low_stock_threshold, "
            "event_sequence, created_at, updated_at) VALUES ($1, $2, 'wildberries', 'ru', 'Europe/Moscow', true, 30, 5, 0, now(), now())",
            tenant_id, name,
        )  # fmt: skip
    return tenant_id


async def create_tenant_with_key(api_key: str = "a key that nobody checks") -> UUID:
    tenant_id = await create_tenant()
    await update_wildberries_credentials(tenant_id, Secret(api_key))
    return tenant_id


async def create_tenants_with_a_key(count: int) -> None:
    """Many at once; their keys open nothing, and none of them is on the schedule."""
    async with system_scope() as connection:
        await connection.execute(
            "INSERT INTO tenants (id, name, marketplace_type, language, time_zone, sync_enabled, sync_interval_minutes, low_stock_threshold, "
            "event_sequence, created_at, updated_at, wb_credentials_encrypted) SELECT gen_random_uuid(), 'Romashka ' || n, 'wildberries', 'ru', "
            "'Europe/Moscow', true, 30, 5, 0, now(), now(), 'sealed' FROM generate_series(1, $1) AS n",
            count,
        )  # fmt: skip


async def create_run(tenant_id: UUID, trigger: Trigger = Trigger.MANUAL, *, full: bool = False) -> UUID:
    async with tenant_scope(tenant_id) as connection:
        run, _ = await add_run(connection, tenant_id, Marketplace.WILDBERRIES, trigger, full=full)
    return run.id


async def claimed(tenant_id: UUID, worker: str = "test") -> Lease:
    """A lease on a new run of the tenant."""
    lease = await claim(worker, await create_run(tenant_id))
    assert lease is not None
    return lease


async def expire_lease(run_id: UUID) -> None:
    """As if the worker had been silent for longer than its lease."""
    async with system_scope() as connection:
        await connection.execute("UPDATE sync_runs SET lease_until = now() - interval '1 second' WHERE id = $1", run_id)


def product(external_id: str, title: str = "Mug", *, sizes: int = 1) -> FetchedProduct:
    return FetchedProduct(
        external_id=external_id,
        article=f"ART-{external_id}",
        title=title,
        brand="Sample Home",
        category="Mugs",
        image_url=None,
        sizes=tuple(Size(f"{external_id}-{n}", str(n), (f"20{external_id}{n}",)) for n in range(sizes)),
    )
