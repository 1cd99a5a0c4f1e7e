"""Calling off a run that goes on."""

from typing import Any
from uuid import UUID

import msgspec

from app.audit.service import record as audit
from app.database import tenant_scope
from app.errors import Conflict, NotFound
from app.events.jobs import DeliverEvents
from app.jobs import enqueue
from app.runs.schemas import Notice, RunOut
from app.runs.service import CALLED_OFF, COLUMNS, run_out
from app.runs.tables import RunStatus
from app.sync.notices import record_notices
from app.tenants.service import lock_tenant

CANCEL = f"UPDATE sync_runs SET {CALLED_OFF} WHERE tenant_id = $1 AND id = $2 RETURNING {COLUMNS}"

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
    if noted:
        await enqueue(DeliverEvents())
    return run, True
