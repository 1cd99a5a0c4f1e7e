"""A seller's company: made, looked at, changed."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from app.audit.service import record
from app.cache import get_cache
from app.database import Connection, tenant_scope
from app.errors import FieldError, InvalidInput, NotFound
from app.ids import new_id
from app.marketplaces.contract import Marketplace
from app.settings import get_settings
from app.tenants.rhythm import EFFECTIVE_INTERVAL, SYNC_PAUSED
from app.tenants.schemas import TenantOut, TenantPatch

# Where the sync is switched off there is no next one, though the place in the rhythm is kept.
COLUMNS = f"""
    id, name, marketplace_type, language, time_zone, google_sheet_id, sync_enabled, sync_interval_minutes,
    {EFFECTIVE_INTERVAL} AS effective_sync_interval_minutes, {SYNC_PAUSED} AS sync_paused, low_stock_threshold, digest_hour,
    CASE WHEN sync_enabled THEN next_sync_at END AS next_sync_at, created_at, updated_at
"""

CREATE = f"""
    INSERT INTO tenants
           (id, name, marketplace_type, language, time_zone, sync_enabled, sync_interval_minutes, low_stock_threshold, event_sequence,
            created_at, updated_at)
    VALUES ($1, $2, $3, 'ru', 'Europe/Moscow', true, $4, 5, 0, now(), now())
 RETURNING {COLUMNS}
"""

# Nobody who shortens the interval, or switches the sync on again, waits longer than one interval; a turn that was missed meanwhile is due
# now. From then on the schedule has its own rhythm. Without a usable key there is no turn, and none is made here.
REPLAN = f"""
    UPDATE tenants SET next_sync_at = greatest(now(), least(next_sync_at, now() + make_interval(mins => {EFFECTIVE_INTERVAL})))
     WHERE id = $1 AND next_sync_at IS NOT NULL
"""

NEXT_CHANGE = "greatest(clock_timestamp(), changed_at + interval '1 microsecond')"
CHANGE_TIME = f"UPDATE tenants SET changed_at = {NEXT_CHANGE} WHERE id = $1 RETURNING changed_at"


async def create_tenant(connection: Connection, name: str, marketplace_type: Marketplace) -> TenantOut:
    """Add a tenant in the caller's transaction, which has to be of `system_scope()`: nobody is inside the new walls yet."""
    row = await connection.fetchrow(CREATE, new_id(), name, marketplace_type, get_settings().sync_default_interval_minutes)
    return _tenant_out(row)


async def read_tenant(connection: Connection, tenant_id: UUID) -> TenantOut:
    """The tenant, in the caller's transaction.

    Raises:
        NotFound: it was erased meanwhile.
    """
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM tenants WHERE id = $1", tenant_id)
    if row is None:
        raise NotFound("This tenant no longer exists.")
    return _tenant_out(row)


async def lock_tenant(connection: Connection, tenant_id: UUID) -> str:
    """Make changes of one tenant take turns; gives its language. Whoever changes several rows of a tenant calls this first, so that no two of them can
    wait for each other.

    Raises:
        NotFound: the tenant was erased.
    """
    language = await connection.fetchval("SELECT language FROM tenants WHERE id = $1 FOR NO KEY UPDATE", tenant_id)
    if language is None:
        raise NotFound("There is no such tenant.")
    return language


async def take_change_time(connection: Connection, tenant_id: UUID) -> datetime:
    """The instant of a change to the tenant's catalogue, for `products.updated_at`: later than every one before it, whatever the clock does. The tenant's row is
    locked until the commit, so the instants follow the order of the commits, and who reads on behind one misses nothing. Take it before the products' rows
    are locked, and only where something changes.

    Raises:
        NotFound: the tenant was erased.
    """
    changed_at = await connection.fetchval(CHANGE_TIME, tenant_id)
    if changed_at is None:
        raise NotFound("There is no such tenant.")
    return changed_at


async def get_tenant(tenant_id: UUID) -> TenantOut:
    """The tenant.

    Raises:
        NotFound: it was erased meanwhile.
    """
    async with tenant_scope(tenant_id) as connection:
        return await read_tenant(connection, tenant_id)


async def update_tenant(tenant_id: UUID, actor: str, patch: TenantPatch) -> TenantOut:
    """Change what the patch names.

    Raises:
        InvalidInput: it names nothing.
        NotFound: the tenant was erased meanwhile.
    """
    changes = {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not UNSET}
    if not changes:
        raise InvalidInput("Nothing to change.", (FieldError("", "Give at least one field, such as name"),))
    assignments = ", ".join(f"{name} = ${position}" for position, name in enumerate(changes, 2))
    async with tenant_scope(tenant_id) as connection:
        await connection.execute(f"UPDATE tenants SET {assignments}, updated_at = now() WHERE id = $1", tenant_id, *changes.values())
        if changes.keys() & {"sync_enabled", "sync_interval_minutes"}:
            await connection.execute(REPLAN, tenant_id)
        tenant = await read_tenant(connection, tenant_id)
        await record(connection, tenant_id, actor, "tenant.updated", changes)
    # Answers may depend on any setting; what is low in stock does on the threshold.
    await get_cache().flush_tenant(tenant_id)
    return tenant


def _tenant_out(row: Any) -> TenantOut:
    return msgspec.convert(dict(row), TenantOut)
