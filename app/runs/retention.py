"""Runs that ended long ago, and their logs; sooner, those of which nobody would miss anything."""

from datetime import timedelta

from app.database import Connection
from app.retention import Batch, Position, removal, remove_batch
from app.runs.tables import PRIORITY, RunStatus, Trigger

# The last run of an account stays, however old: it tells how the account stands.
IS_OVER = """
    candidate.finished_at < now() - $2
    AND (SELECT id FROM sync_runs AS later
          WHERE later.tenant_id = candidate.tenant_id AND later.id > candidate.id AND later.marketplace = candidate.marketplace
          ORDER BY later.id LIMIT 1) IS NOT NULL
"""

RUNS = removal("sync_runs", IS_OVER)

# Nearly all runs are such ones. The priority tells who waited better than the trigger: a button that joined a scheduled run raised it.
FOUND_NOTHING = f"""
    candidate.status = '{RunStatus.SUCCEEDED}' AND candidate.priority = {PRIORITY[Trigger.SCHEDULE]}
    AND NOT jsonb_path_exists(candidate.stages, '$[*] ? (@.created > 0 || @.updated > 0 || @.archived > 0 || @.rejected > 0)')
"""

# Runs that found something stay and would be met again by each walk for a month. What lies further back was left while no scheduler ran, or the setting was
# longer; it goes with the others.
UNCHANGED_RUNS = removal("sync_runs", f"{FOUND_NOTHING} AND {IS_OVER}", along_with=("sync_logs", "run_id"), looking_back="2 days")

LOGS = removal("sync_logs", "candidate.finished_at < now() - $2")


async def remove_old_runs(connection: Connection, after: Position | None, kept: timedelta) -> Batch:
    """The next batch of runs that ended longer ago than `kept`, but for the last one of each account."""
    return await remove_batch(connection, RUNS, after, kept)


async def remove_old_logs(connection: Connection, after: Position | None, kept: timedelta) -> Batch:
    """The next batch of logs older than `kept`. Before the runs: a run that goes would first write its absence into each of its logs."""
    return await remove_batch(connection, LOGS, after, kept)


async def remove_unchanged_runs(connection: Connection, after: Position | None, kept: timedelta) -> Batch:
    """The next batch of the schedule's runs that found nothing and ended longer ago than `kept`, with their logs; not the last one of each account.

    Runs older than `kept` and two days more are left to `remove_old_runs`.
    """
    return await remove_batch(connection, UNCHANGED_RUNS, after, kept)
