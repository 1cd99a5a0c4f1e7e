"""Finding what was lost: runs whose worker vanished, runs that nobody was woken for, and locks of a process that froze. Any number of schedulers may sweep at
once."""

import time

import structlog

from app.database import APPLICATION_NAME, IDLE_TIMEOUT_S, system_scope
from app.jobs import enqueue
from app.observability import metrics
from app.runs.jobs import WakeWorker
from app.runs.pauses import PAUSED
from app.settings import LONGEST_LEASE_S

# A doorbell may be lost with Redis; after this it is rung again.
RING_AGAIN_S = 20
# One ring wakes one worker slot, and a slot goes on until nothing is due: more rings than slots help nobody.
MOST_RINGS = 64
# Between two looks; more is a time in which the database was away, or this process was stopped.
LONGEST_GAP_S = 5.0
APART_S = 40

# A lease that reaches further into the future than any is given was given by a clock that has been put back since; its worker is not known to be dead.
# Runs that were lost together twice come back one by one: the one that kills its worker takes all that run beside it along, and they must not be taken for
# its accomplices three times.
EXPIRED = f"""
    UPDATE sync_runs
       SET status = 'queued', revision = revision + 1, crashes = crashes + (lease_until < now())::int, lease_until = NULL, worker = NULL,
           not_before = now() + random() * crashes * interval '{APART_S} s', rung_at = NULL
     WHERE id IN (
           SELECT id FROM sync_runs
            WHERE status = 'running' AND (lease_until < now() OR lease_until > now() + interval '{2 * LONGEST_LEASE_S} s')
              FOR UPDATE SKIP LOCKED)
"""

FORGOTTEN = f"""
    UPDATE sync_runs SET rung_at = now()
     WHERE id IN (
           SELECT id FROM sync_runs
            WHERE status = 'queued' AND not_before <= now() AND NOT {PAUSED}
              AND (rung_at IS NULL OR rung_at < not_before OR rung_at < now() - interval '{RING_AGAIN_S} s')
            ORDER BY priority, not_before
              FOR UPDATE SKIP LOCKED
            LIMIT $1)
"""

# A process that froze between two messages of one statement: asyncpg asks what a new statement's parameters are, and sends them next. No timeout of PostgreSQL
# ends that (https://www.postgresql.org/docs/current/runtime-config-client.html): to the one it is not idle, and the others can't interrupt while it reads. What has
# a number has locked something. A backup under our role has another name.
SILENT = f"""
    SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE application_name = '{APPLICATION_NAME}' AND datname = current_database() AND usename = current_user
       AND state = 'active' AND wait_event IN ('ClientRead', 'ClientWrite') AND backend_xid IS NOT NULL
       AND state_change < clock_timestamp() - $1 * interval '1 s'
"""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class Sweep:
    """Puts runs back whose lease ran out. A scheduler calls it at each tick, with one object all the time.

    After a time without the database it waits for `patience_s` seconds: workers that are alive could not renew their leases either, and do so now, or give their
    runs back themselves. Only what is left then was lost by a crash.
    """

    def __init__(self, patience_s: float = 0.0) -> None:
        self.patience_s = patience_s
        self._seen: float | None = None
        self._steady_since = 0.0

    async def requeue_expired(self) -> int:
        """Gives how many there were.

        Raises:
            Unavailable: the database does not answer.
        """
        now = time.monotonic()
        if self._seen is None or now - self._seen > LONGEST_GAP_S:
            self._steady_since = now
        if now - self._steady_since < self.patience_s:
            async with system_scope():
                self._seen = time.monotonic()
            return 0
        lost = await requeue_expired()
        self._seen = time.monotonic()
        return lost


async def requeue_expired() -> int:
    """Put runs back whose lease ran out; their worker was killed or lost its connection. The next one goes on at the checkpoint."""
    async with system_scope() as connection:
        expired = _count(await connection.execute(EXPIRED))
    metrics.leases_expired.inc(expired)
    return expired


async def end_silent_sessions(patience_s: float = IDLE_TIMEOUT_S) -> int:
    """Cut the sessions of processes that stopped in the middle of a statement, and so give their locks up. Gives how many there were."""
    async with system_scope() as connection:
        silent = await connection.fetch(SILENT, patience_s)
    for row in silent:
        log.warning("database.silent_session_ended", pid=row["pid"])
    return len(silent)


async def ring_for_waiting() -> int:
    """Wake workers for runs that are due and that nobody was woken for. Gives how many there were."""
    async with system_scope() as connection:
        waiting = _count(await connection.execute(FORGOTTEN, MOST_RINGS))
    for _ in range(waiting):
        if not await enqueue(WakeWorker()):
            # A Redis that hangs lets each ring wait; together they would keep the scheduler from its other work for half a minute.
            break
    return waiting


def _count(command_tag: str) -> int:
    return int(command_tag.rsplit(" ", 1)[1])
