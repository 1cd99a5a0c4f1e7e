"""What an operator holds up: a tenant's syncs, a marketplace's, or all. Nothing is lost by it, and nothing counts as failed.

While a run is held up nobody claims it, the schedule adds none, and a turn that falls into the pause is made up for by one when it ends.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from app.audit.service import record
from app.database import Connection, system_scope
from app.errors import InvalidInput, NotFound
from app.ids import new_id
from app.marketplaces.contract import Marketplace

OPERATOR = "operator"
LONGEST_REASON = 200

# Whether the run of the surrounding statement is held up. The table is nearly always empty, and then this costs nothing.
PAUSED = """
    (EXISTS (SELECT FROM sync_pauses AS pause
              WHERE pause.tenant_id IS NULL AND (pause.marketplace IS NULL OR pause.marketplace = sync_runs.marketplace))
     OR EXISTS (SELECT FROM sync_pauses AS pause
                 WHERE pause.tenant_id = sync_runs.tenant_id AND (pause.marketplace IS NULL OR pause.marketplace = sync_runs.marketplace)))
"""

ADD = """
    INSERT INTO sync_pauses (id, tenant_id, marketplace, reason, paused_at) VALUES ($1, $2, $3, $4, now())
        ON CONFLICT (tenant_id, marketplace) DO UPDATE SET reason = excluded.reason
"""

LIFT = """
    DELETE FROM sync_pauses WHERE tenant_id IS NOT DISTINCT FROM $1 AND ($2::text IS NULL OR marketplace = $2)
 RETURNING tenant_id, marketplace, reason, paused_at
"""

LIST = "SELECT tenant_id, marketplace, reason, paused_at FROM sync_pauses ORDER BY paused_at, id"

BACK_IN_THE_QUEUE = "status = 'queued', lease_until = NULL, worker = NULL, rung_at = NULL, revision = revision + 1"

# Takes the worker's lease, so that its next write fails, and lets those who look on know.
HOLD_UP = f"""
    UPDATE sync_runs SET {BACK_IN_THE_QUEUE}
     WHERE id IN (
           SELECT id FROM sync_runs
            WHERE status IN ('queued', 'running') AND ($1::uuid IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR marketplace = $2)
            ORDER BY id
              FOR UPDATE)
"""

# Another pause may still hold some of them up. A run that is kept waiting for too long ends: the pause is no part of that time.
RELEASE = f"""
    UPDATE sync_runs SET rung_at = NULL, started_at = started_at + (now() - $3), revision = revision + 1
     WHERE status = 'queued' AND ($1::uuid IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR marketplace = $2) AND NOT {PAUSED}
"""

# A claim that was under way when the pause was stored did not see it.
STRAYS = f"""
    UPDATE sync_runs SET {BACK_IN_THE_QUEUE}
     WHERE EXISTS (SELECT FROM sync_pauses)
       AND id IN (SELECT id FROM sync_runs WHERE status = 'running' AND {PAUSED} FOR UPDATE SKIP LOCKED)
"""


class Pause(msgspec.Struct, frozen=True):
    """Of one tenant or all, at one marketplace or both: null is all. `reason` is in the operator's words, for other operators."""

    tenant_id: UUID | None
    marketplace: Marketplace | None
    reason: str
    paused_at: datetime

    def holds(self, tenant_id: UUID, marketplace: Marketplace) -> bool:
        return self.tenant_id in (None, tenant_id) and self.marketplace in (None, marketplace)


async def pause_syncs(tenant_id: UUID | None, marketplace: Marketplace | None, reason: str = "") -> int:
    """Hold up the syncs of a tenant (None: of all) at a marketplace (None: at both). What is running stops at its next write and goes on from there when the
    pause ends. Gives how many queued and running ones it is now in the way of. Doing it again changes the reason.

    Raises:
        NotFound: there is no such tenant.
        InvalidInput: the reason has more than 200 characters.
    """
    if len(reason) > LONGEST_REASON:
        raise InvalidInput(f"A reason has at most {LONGEST_REASON} characters.")
    async with system_scope() as connection:
        if tenant_id is not None:
            await _check(connection, tenant_id)
        await connection.execute(ADD, new_id(), tenant_id, marketplace, reason)
        held = _count(await connection.execute(HOLD_UP, tenant_id, marketplace))
        if tenant_id is not None:
            await record(connection, tenant_id, OPERATOR, "sync.paused", {"marketplace": marketplace, "reason": reason})
    return held


async def resume_syncs(tenant_id: UUID | None, marketplace: Marketplace | None) -> list[Pause]:
    """End the pauses of a tenant (None: those of all tenants together) at a marketplace (None: all of its pauses), and give those that were ended.

    The runs are as good as never rung for: the next `ring_for_waiting`, which a scheduler calls each second, wakes workers for them.

    Raises:
        NotFound: there is no such tenant.
    """
    async with system_scope() as connection:
        if tenant_id is not None:
            await _check(connection, tenant_id)
        lifted = [_pause(row) for row in await connection.fetch(LIFT, tenant_id, marketplace)]
        for pause in lifted:
            await connection.execute(RELEASE, tenant_id, pause.marketplace, pause.paused_at)
            if tenant_id is not None:
                await record(connection, tenant_id, OPERATOR, "sync.resumed", {"marketplace": pause.marketplace})
    return lifted


async def list_pauses(connection: Connection) -> list[Pause]:
    """All that the caller's transaction may see, oldest first."""
    return [_pause(row) for row in await connection.fetch(LIST)]


async def stop_strays() -> int:
    """Stop runs that were being claimed at the moment of their pause. A scheduler calls it at each tick; gives how many there were."""
    async with system_scope() as connection:
        return _count(await connection.execute(STRAYS))


async def _check(connection: Connection, tenant_id: UUID) -> None:
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM tenants WHERE id = $1)", tenant_id):
        raise NotFound(f"There is no tenant {tenant_id}.")


def _pause(row: Any) -> Pause:
    return msgspec.convert(dict(row), Pause)


def _count(command_tag: str) -> int:
    return int(command_tag.rsplit(" ", 1)[1])
