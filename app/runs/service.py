"""Asking for runs, and looking at them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from app.api.pagination import PageOut, decode_cursor, encode_cursor
from app.database import Connection, tenant_scope
from app.errors import CredentialsMissing, NotFound
from app.idempotency.reservations import keep_answer
from app.ids import new_id
from app.jobs import enqueue
from app.marketplaces.contract import Marketplace
from app.runs.checkpoints import lock_checkpoints
from app.runs.jobs import WakeWorker
from app.runs.lease import MOST_WAITING
from app.runs.pauses import PAUSED
from app.runs.schemas import ErrorOut, Progress, RunOut, StageReport
from app.runs.tables import PRIORITY, RunStatus, Stage, Trigger

ACTIVE = (RunStatus.QUEUED, RunStatus.RUNNING)

COLUMNS = (
    'id, marketplace, "trigger", status, "full", stage, done, total, stages, error_code, error_detail, not_before, '
    f"queued_at, started_at, finished_at, status = 'queued' AND {PAUSED} AS paused"
)

# A run that nobody began waits for nothing, and none waits for more than a day: a later time is of a clock that leapt and was put back.
IS_AHEAD = f"""
    sync_runs.not_before > now() + CASE WHEN sync_runs.attempt = 0 THEN 0 ELSE {MOST_WAITING.total_seconds():.0f} END * interval '1 s'
"""

# Some of its stages wait for the marketplace, for hours perhaps, the others are done; and now somebody asks who wants to see something fresh.
IS_WAITING = f"""
    sync_runs.status = 'queued' AND sync_runs.attempt > 0 AND sync_runs.not_before > now() AND excluded.priority <= {PRIORITY[Trigger.MANUAL]}
"""

# A run that is asked for again is joined. If nobody began it yet, it moves up and takes on what is asked for now. If it waits for the marketplace, the stages
# that are done are done again at once, and those that wait go on waiting.
REQUEST = f"""
    INSERT INTO sync_runs
           (id, tenant_id, marketplace, "trigger", scopes, "full", status, priority, not_before, queued_at, rung_at,
            attempt, crashes, stages, done)
    VALUES ($1, $2, $3, $4, $5, $6, 'queued', $7, now(), now(), now(), 0, 0, '[]', 0)
        ON CONFLICT (tenant_id, marketplace) WHERE status IN ('queued', 'running')
        DO UPDATE SET priority = least(sync_runs.priority, excluded.priority),
                      not_before = CASE WHEN {IS_AHEAD} OR {IS_WAITING} THEN now() ELSE sync_runs.not_before END,
                      rung_at = CASE WHEN {IS_AHEAD} OR {IS_WAITING} THEN NULL ELSE sync_runs.rung_at END,
                      "full" = sync_runs."full" OR (excluded."full" AND (sync_runs.attempt = 0 OR {IS_WAITING})),
                      revision = sync_runs.revision
                               + (({IS_AHEAD}) OR ({IS_WAITING}) OR (excluded."full" AND sync_runs.attempt = 0 AND NOT sync_runs."full"))::int,
                      scopes = CASE WHEN (sync_runs.attempt > 0 AND NOT ({IS_WAITING})) OR sync_runs.scopes @> excluded.scopes THEN sync_runs.scopes
                               ELSE ARRAY(SELECT DISTINCT unnest(sync_runs.scopes || excluded.scopes)) END,
                      stages = CASE WHEN {IS_WAITING} THEN coalesce(
                                    (SELECT jsonb_agg(report) FROM jsonb_array_elements(sync_runs.stages) AS told (report)
                                      WHERE report ->> 'status' IN ('pending', 'running') OR NOT report ->> 'name' = ANY(excluded.scopes)), '[]')
                               ELSE sync_runs.stages END
 RETURNING {COLUMNS}, id = $1 AS created
"""

# Without its lease, the worker that has the run can't write any more, and stops.
CALLED_OFF = "status = 'cancelled', lease_until = NULL, stage = NULL, finished_at = now(), revision = revision + 1"

CANCEL = f"UPDATE sync_runs SET {CALLED_OFF} WHERE tenant_id = $1 AND marketplace = $2 AND status IN ('queued', 'running')"


_reports = msgspec.json.Decoder(list[StageReport])


async def add_run(
    connection: Connection,
    tenant_id: UUID,
    marketplace: Marketplace,
    trigger: Trigger,
    *,
    scopes: Sequence[Stage] | None = None,
    full: bool = False,
) -> tuple[RunOut, bool]:
    """Queue a run in the caller's transaction, or join the active one. True beside it: it is new.

    After the commit the caller rings with `WakeWorker`; forgetting to costs a moment, since the scheduler rings too.
    """
    stages = [stage for stage in Stage if scopes is None or stage in scopes]
    row = await connection.fetchrow(REQUEST, new_id(), tenant_id, marketplace, trigger, stages, full, PRIORITY[trigger])
    assert row is not None  # an upsert without a WHERE gives its row
    return run_out(row), row["created"]


async def cancel_active(connection: Connection, tenant_id: UUID, marketplace: Marketplace) -> None:
    """Call the account's active run off, in the caller's transaction. A worker that has it finds its lease gone at the next page, and stops."""
    # A page locks its checkpoint first and the run last. Who goes on to forget the checkpoints would wait for a page that waits for him.
    await lock_checkpoints(connection, tenant_id, marketplace)
    await connection.execute(CANCEL, tenant_id, marketplace)


async def request_run(
    tenant_id: UUID, marketplace: Marketplace | None, trigger: Trigger, *, scopes: Sequence[Stage] | None = None, full: bool = False
) -> tuple[RunOut, bool]:
    """Ask for a run of the tenant's account, and wake a worker.

    Raises:
        CredentialsMissing: there is no key for that marketplace.
    """
    async with tenant_scope(tenant_id) as connection:
        tenant = await connection.fetchrow(
            "SELECT marketplace_type, wb_credentials_encrypted IS NOT NULL AS wildberries, "
            "ozon_credentials_encrypted IS NOT NULL AS ozon FROM tenants WHERE id = $1",
            tenant_id,
        )
        if tenant is None:
            raise NotFound("No such tenant.")
        chosen = marketplace or Marketplace(tenant["marketplace_type"])
        if not tenant[chosen.value]:
            raise CredentialsMissing(f"There is no {chosen.value} key yet; give one with PATCH /api/v1/tenants/me/credentials.")
        run, created = await add_run(connection, tenant_id, chosen, trigger, scopes=scopes, full=full)
        await keep_answer(connection, run, status=202 if created else 200, location=f"/api/v1/sync/{run.id}")
    await enqueue(WakeWorker())
    return run, created


async def get_run(tenant_id: UUID, run_id: UUID) -> RunOut:
    """One run.

    Raises:
        NotFound: the tenant has no such run.
    """
    async with tenant_scope(tenant_id) as connection:
        row = await connection.fetchrow(f"SELECT {COLUMNS} FROM sync_runs WHERE tenant_id = $1 AND id = $2", tenant_id, run_id)
    if row is None:
        raise NotFound(f"No sync {run_id}.")
    return run_out(row)


async def list_runs(
    tenant_id: UUID, *, status: RunStatus | None, marketplace: Marketplace | None, since: datetime | None, limit: int, cursor: str | None
) -> PageOut[RunOut]:
    """The tenant's runs, newest first; `since` is about `queued_at`."""
    query = ("runs", status, marketplace, since)
    after = decode_cursor(cursor, query, (UUID,))[0] if cursor else None
    async with tenant_scope(tenant_id) as connection:
        rows = await connection.fetch(
            f"""
            SELECT {COLUMNS} FROM sync_runs
             WHERE tenant_id = $1 AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR marketplace = $3)
               AND ($4::timestamptz IS NULL OR queued_at >= $4) AND ($5::uuid IS NULL OR id < $5)
             ORDER BY id DESC LIMIT $6
            """,
            tenant_id, status, marketplace, since, after, limit + 1,
        )  # fmt: skip
    more = len(rows) > limit
    items = [run_out(row) for row in rows[:limit]]
    return PageOut(items, encode_cursor(query, (items[-1].id,)) if more else None)


def run_out(row: Any) -> RunOut:
    """The run as the API tells it, from a row with `COLUMNS`."""
    return RunOut(
        id=row["id"],
        marketplace=Marketplace(row["marketplace"]),
        trigger=Trigger(row["trigger"]),
        status=RunStatus(row["status"]),
        paused=row["paused"],
        full=row["full"],
        progress=Progress(Stage(row["stage"]) if row["stage"] else None, row["done"], row["total"]),
        stages=stages_of(row),
        error=ErrorOut(row["error_code"], row["error_detail"]) if row["error_code"] else None,
        not_before=row["not_before"] if row["status"] == RunStatus.QUEUED else None,
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def stages_of(row: Any) -> list[StageReport]:
    """The reports of a run, from a row with its `status` and `stages`. Who takes a run from its worker writes nothing into them; but no stage is under way unless
    the run is, and none waits where the run has ended."""
    reports = _reports.decode(row["stages"])
    for report in reports:
        if report.status == "running" and row["status"] != RunStatus.RUNNING:
            report.status = "pending"
        if row["status"] not in ACTIVE:
            report.not_before = None
    return reports
