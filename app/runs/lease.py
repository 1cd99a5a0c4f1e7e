"""Who carries out a run: claim, heartbeat, fencing, giving back.

A claim raises the run's `attempt`. Whoever writes for the run does it in `Lease.writing`, a transaction that ends by locking the run's row and checking
that number: a worker that was paused past its lease, or whose run was cancelled, finds another state there and is rolled back. The database's
clock decides.

A transaction that found nothing to write leaves the run's row alone, but for once a second: most syncs find nothing new, and each version of that row is
two kilobytes of log on the database's disk.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from app.database import Connection, system_scope, tenant_scope
from app.marketplaces.contract import Marketplace
from app.observability import metrics
from app.runs.checkpoints import COLUMNS as CHECKPOINT_COLUMNS
from app.runs.checkpoints import Progressed, begin_again, save_checkpoint
from app.runs.log import SELECTED_LOGS, LogRow, write_logs
from app.runs.log import encode as encode_logs
from app.runs.pauses import PAUSED
from app.runs.schemas import ErrorOut, Notice, StageReport
from app.runs.tables import PRIORITY, RunStatus, Stage, Trigger

LEASE = timedelta(seconds=60)
MOST_CRASHES = 3
# A run that the marketplace keeps waiting ends at some time, for the next one to begin.
MOST_WAITING = timedelta(hours=24)
MOST_NOTED = 50
TELL_EVERY_S = 1.0

_stages = msgspec.json.Decoder(list[StageReport])
_notices = msgspec.json.Decoder(dict[str, Notice])

CLAIMED = (
    'id, tenant_id, marketplace, trigger, priority, scopes, "full", attempt, crashes, stages, started_at, not_before, now() AS claimed_at, '
    "notices, (SELECT language FROM tenants WHERE tenants.id = tenant_id) AS language, "
    "(SELECT updated_at FROM credentials WHERE credentials.tenant_id = sync_runs.tenant_id AND provider = marketplace) AS key_stored_at, "
    f"ARRAY(SELECT ROW (stage, {CHECKPOINT_COLUMNS}) FROM checkpoints "
    "WHERE checkpoints.tenant_id = sync_runs.tenant_id AND checkpoints.marketplace = sync_runs.marketplace) AS checkpoints"
)

# A run that began in the future began when the clock was ahead.
CLAIM = f"""
    UPDATE sync_runs
       SET status = 'running', attempt = attempt + 1, revision = revision + 1, lease_until = now() + $1, worker = $2, started_at = least(started_at, now())
     WHERE id = (
           SELECT id FROM sync_runs
            WHERE status = 'queued' AND not_before <= now() AND ($3::uuid IS NULL OR id = $3) AND priority <= $4 AND NOT {PAUSED}
            ORDER BY priority, not_before
              FOR UPDATE SKIP LOCKED
            LIMIT 1)
 RETURNING {CLAIMED}
"""

# Whether this transaction has written anything so far is what PostgreSQL knows best: then it has a number.
# https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
HOLD = f"""
    WITH held AS (
        UPDATE sync_runs
           SET lease_until = now() + $6, stages = $7, stage = $8, done = $9, total = $10, notices = $11, revision = revision + 1
         WHERE id = $2 AND tenant_id = $1 AND attempt = $5 AND status = 'running' AND ($12 OR pg_current_xact_id_if_assigned() IS NOT NULL)
     RETURNING true),
    logged AS (
        INSERT INTO sync_logs
               (id, tenant_id, run_id, marketplace, operation, status, fetched, created, updated, unchanged, archived, rejected, requests, duration_ms,
                error_code, error_detail, started_at, finished_at)
        SELECT * FROM ({SELECTED_LOGS}) AS log WHERE EXISTS (SELECT FROM held)
            ON CONFLICT (id) DO NOTHING)
    SELECT EXISTS (SELECT FROM held), NOT $12 AND pg_current_xact_id_if_assigned() IS NULL
"""

HEARTBEAT = "UPDATE sync_runs SET lease_until = now() + $3 WHERE id = $1 AND attempt = $2 AND status = 'running'"

PUT_BACK = """
    UPDATE sync_runs
       SET status = 'queued', lease_until = NULL, worker = NULL, stages = coalesce($3, stages), not_before = now() + $4, rung_at = NULL, revision = revision + 1
     WHERE id = $1 AND attempt = $2 AND status = 'running'
"""

FINISH = """
    UPDATE sync_runs
       SET status = $3, lease_until = NULL, stages = $4, stage = NULL, notices = NULL, error_code = $5, error_detail = $6, finished_at = now(),
           revision = revision + 1
     WHERE id = $1 AND attempt = $2 AND status = 'running'
 RETURNING greatest(extract(epoch FROM now() - started_at), 0)
"""


class LeaseLost(Exception):
    """Another worker has the run now, or it is finished or cancelled. Stop without writing anything."""


class Lease:
    """A worker's hold on a run, and the run's facts as they were claimed.

    `stages` are the reports of all its stages; what an earlier worker did is in them, so that counts survive a crash.
    """

    def __init__(self, row: Any, lease: timedelta = LEASE) -> None:
        self.run_id: UUID = row["id"]
        self.tenant_id: UUID = row["tenant_id"]
        self.marketplace = Marketplace(row["marketplace"])
        self.trigger = Trigger(row["trigger"])
        self.is_urgent: bool = row["priority"] <= PRIORITY[Trigger.MANUAL]
        self.full: bool = row["full"]
        self.attempt: int = row["attempt"]
        self.crashes: int = row["crashes"]
        self.started_at: datetime = row["started_at"]
        self.claimed_at: datetime = row["claimed_at"]
        # Known before the key is read: should another one be stored in between, nothing that is learnt of a key is taken for this one's.
        self.key_stored_at: datetime | None = row["key_stored_at"]
        self._claimed = time.monotonic()
        self.language: str = row["language"]
        self.length = lease
        # What the end of the run will tell, by event type; what an earlier worker noted is in it.
        self.notices: Mapping[str, Notice] = _notices.decode(row["notices"]) if row["notices"] else {}
        self._ended: Sequence[LogRow] = ()
        self._held = self._claimed
        self.is_writing = False
        self._when_written: Callable[[], object] | None = None
        done = {report.name: report for report in _stages.decode(row["stages"])}
        checkpoints = {Stage(stage): Progressed(*reached) for stage, *reached in row["checkpoints"]}
        # Somebody asked again while the run waited, and these are to be done once more: where they came to is no place to go on at.
        self.again = [stage for stage, reached in checkpoints.items() if reached.run_id == self.run_id and stage not in done]
        checkpoints |= {stage: msgspec.structs.replace(checkpoints[stage], run_id=None) for stage in self.again}
        self._checkpoints: Mapping[Stage, Progressed] = checkpoints
        self.stages = [done.get(stage) or StageReport(stage) for stage in Stage if stage in row["scopes"]]

    def now(self) -> datetime:
        """The time by the database's clock, and never ahead of it."""
        return self.claimed_at + timedelta(seconds=time.monotonic() - self._claimed)

    @asynccontextmanager
    async def writing(self, stage: StageReport, *, total: int | None = None) -> AsyncGenerator[Connection]:
        """A transaction that writes for the run. It ends by proving the lease, renewing it, and saying how far the stage is; if it does not commit, the
        counts that the body raised, what it noted and what it saved are as they were before.

        Raises:
            LeaseLost: nothing was written; stop.
        """
        self.is_writing = True
        before, kept = msgspec.structs.asdict(stage), (self.notices, self._checkpoints, self._ended)
        try:
            async with tenant_scope(self.tenant_id) as connection:
                yield connection
                await self.hold(connection, stage, total=total)
        except BaseException:
            for name, value in before.items():
                setattr(stage, name, value)
            self.notices, self._checkpoints, self._ended = kept
            raise
        finally:
            self.is_writing = False
            if self._when_written is not None:
                self._when_written()

    def call_between_writes(self, call: Callable[[], object]) -> None:
        """Call it now, or, while a page is being written, as soon as that is done."""
        if self.is_writing:
            self._when_written = call
        else:
            call()

    def note(self, event_type: str, ids: Sequence[UUID]) -> None:
        """Have the end of the run tell of these products or orders; call it inside `writing`, whose transaction keeps it."""
        if ids:
            before = self.notices.get(event_type, Notice())
            noted = Notice(before.total + len(ids), (*before.ids, *ids)[:MOST_NOTED])
            self.notices = {**self.notices, event_type: noted}

    def reached(self, stage: Stage) -> Progressed:
        """Where the stage stands; the beginning, if it never ran. Nobody else writes it while the lease lasts."""
        return self._checkpoints.get(stage, Progressed())

    def has_saved(self, stage: Stage, reached: Progressed) -> bool:
        """Whether what is stored says as much: then there is nothing to save."""
        return stage in self._checkpoints and reached.says_no_more_than(self._checkpoints[stage])

    async def save(self, connection: Connection, stage: Stage, reached: Progressed, *, anew: bool = False) -> None:
        """Write how far the stage came, inside `writing`. What would say no more than what is stored is written only `anew`."""
        if anew or not self.has_saved(stage, reached):
            await save_checkpoint(connection, self.tenant_id, self.marketplace, stage, reached)
            self._checkpoints = {**self._checkpoints, stage: reached}

    def end(self, stage: StageReport) -> None:
        """The stage is over. Its log is written with what is written next for the run; should the worker die before, the next one ends it again."""
        self._ended = (*self._ended, LogRow.of(stage, self.now()))

    async def hold(self, connection: Connection, stage: StageReport, *, total: int | None = None) -> None:
        """Prove the lease in a transaction that wrote for the run, and lock it until the commit.

        Raises:
            LeaseLost: roll back and stop.
        """
        overdue = time.monotonic() - self._held >= TELL_EVERY_S
        notices = msgspec.json.encode(self.notices).decode() if self.notices else None
        what = (self.tenant_id, self.run_id, self.marketplace, encode_logs(self._ended), self.attempt, self.length)
        held, idle = await connection.fetchrow(HOLD, *what, self._reports(), stage.name, stage.fetched, total, notices, overdue)
        if held:
            self._ended, self._held = (), time.monotonic()
        elif not idle:
            raise LeaseLost

    async def renew(self) -> None:
        """The heartbeat.

        Raises:
            LeaseLost: stop.
        """
        async with tenant_scope(self.tenant_id) as connection:
            if await connection.execute(HEARTBEAT, self.run_id, self.attempt, self.length) == "UPDATE 0":
                raise LeaseLost

    async def give_back(self) -> None:
        """Give the run back to the queue as the database has it: the outcome of the last transaction is not known here.

        Raises:
            LeaseLost: it is not ours to give.
        """
        async with tenant_scope(self.tenant_id) as connection:
            if await connection.execute(PUT_BACK, self.run_id, self.attempt, None, timedelta()) == "UPDATE 0":
                raise LeaseLost

    async def put_back(self, delay: timedelta = timedelta()) -> None:
        """Give the run back to the queue as it stands, due after `delay`.

        Raises:
            LeaseLost: it is not ours to give.
        """
        async with tenant_scope(self.tenant_id) as connection:
            if await connection.execute(PUT_BACK, self.run_id, self.attempt, self._reports(), delay) == "UPDATE 0":
                raise LeaseLost
            await self._log(connection)

    async def finish(self, connection: Connection, status: RunStatus, error: ErrorOut | None = None) -> float:
        """End the run, in the transaction that also records its event. Gives the seconds since it was first started.

        Raises:
            LeaseLost: roll back; whoever has the lease finishes it.
        """
        detail = error.detail[:500] if error else None
        seconds = await connection.fetchval(
            FINISH, self.run_id, self.attempt, status, self._reports(), error.code if error else None, detail
        )
        if seconds is None:
            raise LeaseLost
        await self._log(connection)
        return float(seconds)

    async def _log(self, connection: Connection) -> None:
        await write_logs(connection, self.tenant_id, self.run_id, self.marketplace, self._ended)

    def _reports(self) -> str:
        return msgspec.json.encode(self.stages).decode()


STRAYS = """
    UPDATE sync_runs
       SET status = 'queued', lease_until = NULL, worker = NULL, rung_at = NULL, revision = revision + 1
     WHERE status = 'running' AND worker = $1 AND NOT id = ANY($2::uuid[])
"""


async def return_strays(worker: str, in_hands: Sequence[UUID]) -> int:
    """Give back the runs that stand under this worker's name and that it does not have: a claim whose answer got lost with the database. Gives how many.

    Raises:
        Unavailable: the database does not answer yet.
    """
    async with system_scope() as connection:
        return int((await connection.execute(STRAYS, worker, in_hands)).rpartition(" ")[2])


async def claim(worker: str, run_id: UUID | None = None, length: timedelta = LEASE, *, urgent_only: bool = False) -> Lease | None:
    """The most urgent run that is due, or that very run if it waits; None where there is nothing to do.

    `urgent_only`: one that somebody waits for, and none of the schedule's.
    """
    patient = PRIORITY[Trigger.MANUAL if urgent_only else Trigger.SCHEDULE]
    async with system_scope() as connection:
        row = await connection.fetchrow(CLAIM, length, worker, run_id, patient)
    if row is None:
        return None
    priority = metrics.priority_of(row["priority"])
    metrics.claims.labels(priority).inc()
    metrics.claim_delay.labels(priority).observe((row["claimed_at"] - row["not_before"]).total_seconds())
    lease = Lease(row, length)
    if lease.again:
        # Before anything is written for the run: from then on its stages have reports again, and the next worker could not tell.
        async with tenant_scope(lease.tenant_id) as connection:
            await begin_again(connection, lease.tenant_id, lease.marketplace, lease.again)
    return lease
