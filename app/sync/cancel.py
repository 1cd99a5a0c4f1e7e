"""Calling off a run that goes on, and telling what it noted until then."""

from typing import Any
from uuid import UUID

import msgspec

from app.audit.service import record as audit
from app.cache import get_cache
from app.database import system_scope, tenant_scope
from app.errors import Conflict, NotFound
from app.events.jobs import DeliverEvents
from app.jobs import enqueue
from app.marketplaces.contract import Marketplace
from app.runs.schemas import Notice, RunOut
from app.runs.service import CALLED_OFF, COLUMNS, run_out
from app.runs.tables import RunStatus
from app.sync.notices import record_notices
from app.sync.outcome import PRODUCT_LISTS
from app.tenants.service import lock_tenant

CANCEL = f"UPDATE sync_runs SET {CALLED_OFF}, notices = NULL WHERE tenant_id = $1 AND id = $2 RETURNING {COLUMNS}"

# Whoever takes a key away or replaces it ends its run without knowing of events. An index holds just these.
UNTOLD = "SELECT id, tenant_id FROM sync_runs WHERE status = 'cancelled' AND notices IS NOT NULL ORDER BY id LIMIT 100"

TAKE_NOTICES = """
    UPDATE sync_runs SET notices = NULL
      FROM (SELECT id, marketplace, notices FROM sync_runs WHERE tenant_id = $1 AND id = $2 AND notices IS NOT NULL FOR UPDATE) AS untold
     WHERE sync_runs.id = untold.id
 RETURNING untold.marketplace, untold.notices
"""

_notices = msgspec.json.Decoder(dict[str, Notice])


class SyncAlreadyFinished(Conflict):
    """The sync came to its end before it could be cancelled."""

    code = "sync_already_finished"
    title = "Sync already finished"


async def cancel_run(tenant_id: UUID, actor: str, run_id: UUID) -> tuple[RunOut, bool]:
    """End a run that is queued or running, as cancelled; what its pages stored stays, and what they noted is told. True beside it: it was this call that did
    it, and not one before.

    Raises:
        NotFound: the tenant has no such run.
        SyncAlreadyFinished: it succeeded or failed before.
    """
    async with tenant_scope(tenant_id) as connection:
        language = await lock_tenant(connection, tenant_id)
        row: Any = await connection.fetchrow(
            f"SELECT notices, {COLUMNS} FROM sync_runs WHERE tenant_id = $1 AND id = $2 FOR UPDATE", tenant_id, run_id
        )
        if row is None:
            raise NotFound(f"No sync {run_id}.")
        run = run_out(row)
        match run.status:
            case RunStatus.CANCELLED:
                return run, False
            case RunStatus.QUEUED | RunStatus.RUNNING:
                noted = _notices.decode(row["notices"]) if row["notices"] else {}
                run = run_out(await connection.fetchrow(CANCEL, tenant_id, run_id))
                await record_notices(connection, tenant_id, run_id, run.marketplace, language, noted)
                await audit(connection, tenant_id, actor, "sync.cancelled", {"sync_id": run_id, "marketplace": run.marketplace})
            case _:
                raise SyncAlreadyFinished(f"The sync has ended already, as {run.status}.")
    if any(stage.changes for stage in run.stages):
        # Before an event can go out: its worker may be dead, or notice later.
        await get_cache().invalidate_pattern(tenant_id, PRODUCT_LISTS)
    if noted:
        await enqueue(DeliverEvents())
    return run, True


async def tell_of_runs_called_off() -> int:
    """Record the events of runs that ended with their key. A scheduler calls it at each tick; gives how many runs there were."""
    async with system_scope() as connection:
        untold = await connection.fetch(UNTOLD)
    for run_id, tenant_id in untold:
        async with tenant_scope(tenant_id) as connection:
            language = await lock_tenant(connection, tenant_id)
            # None: another scheduler was faster.
            if row := await connection.fetchrow(TAKE_NOTICES, tenant_id, run_id):
                noted = _notices.decode(row["notices"])
                await record_notices(connection, tenant_id, run_id, Marketplace(row["marketplace"]), language, noted)
    return len(untold)
