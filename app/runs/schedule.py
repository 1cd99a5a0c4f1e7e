"""Who is due. Any number of schedulers may call this at once; none is special."""

from uuid import UUID

from app.database import Connection, system_scope
from app.ids import new_id
from app.marketplaces.contract import Marketplace
from app.observability import metrics
from app.runs.service import IS_AHEAD
from app.runs.tables import PRIORITY, Stage, Trigger
from app.tenants.rhythm import EFFECTIVE_INTERVAL, LEAST_INTERVAL, PAUSED_ACCOUNT, USABLE_KEY

BATCH = 500

# The next moment of the tenant's own rhythm: its interval of so many seconds, shifted by a hash of its id, so that tenants do not fall on one second.
# However long the service was down, the next turn is one, not one for each that was missed.
NEXT_TURN = """
    to_timestamp(
        (floor((extract(epoch FROM now()) - mod(abs(hashtext(tenants.id::text)::bigint), rhythm.seconds)) / rhythm.seconds) + 1)
        * rhythm.seconds + mod(abs(hashtext(tenants.id::text)::bigint), rhythm.seconds))
"""

GOES_ON = {each: f"({USABLE_KEY[each]} AND NOT {PAUSED_ACCOUNT[each]})" for each in Marketplace}

# At a turn that comes before its own least interval is over, an account is left out. A tenth is allowed for, since turns are a little late now and then, and
# a turn that seems to lie ahead is of a clock that leapt and was put back.
MAY_JOIN = {
    each: f"""
    coalesce((SELECT queued_at > now() OR queued_at <= now() - 0.9 * {LEAST_INTERVAL[each]} * interval '1 min'
                FROM sync_runs
               WHERE tenant_id = tenants.id AND marketplace = '{each.value}' AND "trigger" = '{Trigger.SCHEDULE.value}'
               ORDER BY id DESC LIMIT 1), true)
    """
    for each in Marketplace
}

# Who is held up altogether stays due, and gets that one turn when the pause is over.
DUE = f"""
    WITH rhythm AS (
        SELECT id, {EFFECTIVE_INTERVAL} * 60 AS seconds, {", ".join(f"{GOES_ON[each]} AND {MAY_JOIN[each]} AS {each.value}" for each in Marketplace)}
          FROM tenants
         WHERE sync_enabled AND next_sync_at <= now() AND (NOT EXISTS (SELECT FROM sync_pauses) OR {" OR ".join(GOES_ON.values())})
         ORDER BY next_sync_at LIMIT $1
           FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE tenants SET next_sync_at = {NEXT_TURN}
      FROM rhythm WHERE tenants.id = rhythm.id
 RETURNING tenants.id, {", ".join(f"rhythm.{each.value}" for each in Marketplace)}
"""

PLAN = f"""
    UPDATE tenants SET next_sync_at = least(next_sync_at, {NEXT_TURN})
      FROM (SELECT {EFFECTIVE_INTERVAL} * 60 AS seconds FROM tenants WHERE id = $1) AS rhythm
     WHERE id = $1 AND (next_sync_at IS NULL OR next_sync_at > {NEXT_TURN})
"""

PAUSE = f"UPDATE tenants SET next_sync_at = NULL WHERE id = $1 AND NOT ({' OR '.join(USABLE_KEY.values())})"

# One that is queued, is being carried out or waits for the marketplace is joined. It is not touched: a schedule that waits for a run's lock holds everybody up.
QUEUE = """
    INSERT INTO sync_runs
           (id, tenant_id, marketplace, "trigger", scopes, "full", status, priority, not_before, queued_at,
            attempt, crashes, stages, done)
    SELECT id, tenant_id, $3, $4, $5, false, 'queued', $6, now(), now(), 0, 0, '[]', 0
      FROM unnest($1::uuid[], $2::uuid[]) AS due (id, tenant_id)
        ON CONFLICT (tenant_id, marketplace) WHERE status IN ('queued', 'running') DO NOTHING
"""

# A clock that leaps forward and is put back leaves appointments that are years away, maybe. No turn is further away than one interval by rights. The interval that
# a tenant wishes for is the shorter one, and asked first, being in its row.
TURNS_AHEAD = f"""
    UPDATE tenants SET next_sync_at = {NEXT_TURN}
      FROM (SELECT id, {EFFECTIVE_INTERVAL} * 60 AS seconds FROM tenants
             WHERE next_sync_at > now() + 2 * sync_interval_minutes * interval '1 min'
               AND next_sync_at > now() + 2 * {EFFECTIVE_INTERVAL} * interval '1 min'
               FOR NO KEY UPDATE SKIP LOCKED) AS rhythm
     WHERE tenants.id = rhythm.id
"""

RUNS_AHEAD = f"""
    UPDATE sync_runs
       SET not_before = CASE WHEN {IS_AHEAD} THEN now() ELSE not_before END, rung_at = NULL, revision = revision + 1
     WHERE id IN (
           SELECT id FROM sync_runs
            WHERE status = 'queued' AND ({IS_AHEAD} OR rung_at > now() + interval '1 min')
              FOR UPDATE SKIP LOCKED)
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
    metrics.tenants_queued.inc(len(rows))
    return len(rows)


async def plan_next_sync(connection: Connection, tenant_id: UUID) -> None:
    """Put the tenant on the schedule, in the caller's transaction, where it has a usable key again, or one that allows more frequent turns. A turn that is
    sooner stays: it is for all of its accounts."""
    await connection.execute(PLAN, tenant_id)


async def pause_schedule(connection: Connection, tenant_id: UUID) -> None:
    """No more turns, if no usable key is left; call it in the transaction that took one away. While another account has one, the tenant keeps its turns."""
    await connection.execute(PAUSE, tenant_id)


async def correct_appointments() -> None:
    """Bring turns and runs back that a leaping clock has put off. Call it now and then."""
    async with system_scope() as connection:
        await connection.execute(TURNS_AHEAD)
        await connection.execute(RUNS_AHEAD)
