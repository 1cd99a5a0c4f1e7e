"""Runs that ended long ago, and their logs."""

from datetime import timedelta

from app.database import Connection
from app.retention import Batch, Position, removal, remove_batch

# The last run of an account stays, however old: it tells how the account stands.
RUNS = removal(
    "sync_runs",
    """candidate.finished_at < now() - $2
       AND (SELECT id FROM sync_runs AS later
             WHERE later.tenant_id = candidate.tenant_id AND later.id > candidate.id AND later.marketplace = candidate.marketplace
             ORDER BY later.id LIMIT 1) IS NOT NULL""",
)

LOGS = removal("sync_logs", "candidate.finished_at < now() - $2")


async def remove_old_runs(connection: Connection, after: Position | None, kept: timedelta) -> Batch:
    """The next batch of runs that ended longer ago than `kept`, but for the last one of each account."""
    return await remove_batch(connection, RUNS, after, kept)


async def remove_old_logs(connection: Connection, after: Position | None, kept: timedelta) -> Batch:
    """The next batch of logs older than `kept`. Before the runs: a run that goes would first write its absence into each of its logs."""
    return await remove_batch(connection, LOGS, after, kept)
