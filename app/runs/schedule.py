"""Who is due. Any number of schedulers may call this at once; none is special."""

from uuid import UUID

from app.database import Connection, system_scope
from app.ids import new_id
from app.marketplaces.contract import Marketplace
from app.runs.service import PRIORITY, SEALED_KEY
from app.runs.tables import Stage, Trigger

BATCH = 500

# The next moment of the tenant's own rhythm: its interval, shifted by a hash of its id, so that tenants do not fall on one second. However long
# the service was down, the next turn is one, not one for each that was missed.
NEXT_TURN = """
    to_timestamp(
        (floor((extract(epoch FROM now()) - mod(abs(hashtext(id::text)::bigint), sync_interval_minutes * 60)) / (sync_interval_minutes * 60)) + 1)
        * sync_interval_minutes * 60 + mod(abs(hashtext(id::text)::bigint), sync_interval_minutes * 60))
"""

# A key that the marketplace rejected, or that ran out, is not hammered on. Whose key it is shows by its column, what is known of it by its row in
# `credentials`; of a key without one nothing is known against it.
USABLE_KEY = {
    marketplace: f"({column} IS NOT NULL AND NOT EXISTS (SELECT FROM credentials "
    f"WHERE credentials.tenant_id = tenants.id AND provider = '{marketplace.value}' AND status = 'invalid'))"
    for marketplace, column in SEALED_KEY.items()
}

DUE = f"""
    WITH due AS (
        SELECT id FROM tenants
         WHERE sync_enabled AND next_sync_at <= now()
         ORDER BY next_sync_at LIMIT $1
           FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE tenants SET next_sync_at = {NEXT_TURN}
      FROM due WHERE tenants.id = due.id
 RETURNING tenants.id, {", ".join(f"{usable} AS {marketplace.value}" for marketplace, usable in USABLE_KEY.items())}
""".replace("hashtext(id::text)", "hashtext(tenants.id::text)")

PLAN = f"UPDATE tenants SET next_sync_at = {NEXT_TURN} WHERE id = $1 AND next_sync_at IS NULL"

PAUSE = f"UPDATE tenants SET next_sync_at = NULL WHERE id = $1 AND NOT ({' OR '.join(USABLE_KEY.values())})"

QUEUE = """
    INSERT INTO sync_runs
           (id, tenant_id, marketplace, "trigger", scopes, "full", status, priority, not_before, queued_at,
            attempt, crashes, stages, done)
    SELECT id, tenant_id, $3, $4, $5, false, 'queued', $6, now(), now(), 0, 0, '[]', 0
      FROM unnest($1::uuid[], $2::uuid[]) AS due (id, tenant_id)
        ON CONFLICT (tenant_id, marketplace) WHERE status IN ('queued', 'running') DO NOTHING
"""


async def queue_due_tenants() -> int:
    """Queue a run for each account with a usable key of the tenants whose time has come, at most `BATCH` of them. Gives how many tenants were due."""
    async with system_scope() as connection:
        rows = await connection.fetch(DUE, BATCH)
        for marketplace in Marketplace:
            tenants: list[UUID] = [row["id"] for row in rows if row[marketplace.value]]
            if tenants:
                await connection.execute(
                    QUEUE, [new_id() for _ in tenants], tenants, marketplace, Trigger.SCHEDULE, list(Stage), PRIORITY[Trigger.SCHEDULE]
                )
    return len(rows)


async def plan_next_sync(connection: Connection, tenant_id: UUID) -> None:
    """Put the tenant on the schedule, in the caller's transaction, where it has a usable key again. One that is on it keeps its turn: it is for all of its
    accounts."""
    await connection.execute(PLAN, tenant_id)


async def pause_schedule(connection: Connection, tenant_id: UUID) -> None:
    """No more turns, if no usable key is left; call it in the transaction that took one away. While another account has one, the tenant keeps its turns."""
    await connection.execute(PAUSE, tenant_id)
