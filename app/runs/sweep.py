"""Finding what was lost: runs whose worker vanished, and runs that nobody was woken for. Any number of schedulers may sweep at once."""

from app.database import system_scope
from app.jobs import enqueue
from app.runs.jobs import WakeWorker

# A doorbell may be lost with Redis; after this it is rung again.
RING_AGAIN_S = 20
# One ring wakes one worker slot, and a slot goes on until nothing is due: more rings than slots help nobody.
MOST_RINGS = 64

EXPIRED = """
    UPDATE sync_runs
       SET status = 'queued', revision = revision + 1, crashes = crashes + 1, lease_until = NULL, worker = NULL, not_before = now(), rung_at = NULL
     WHERE id IN (SELECT id FROM sync_runs WHERE status = 'running' AND lease_until < now() FOR UPDATE SKIP LOCKED)
"""

FORGOTTEN = f"""
    UPDATE sync_runs SET rung_at = now()
     WHERE id IN (
           SELECT id FROM sync_runs
            WHERE status = 'queued' AND not_before <= now()
              AND (rung_at IS NULL OR rung_at < not_before OR rung_at < now() - interval '{RING_AGAIN_S} s')
            ORDER BY priority, not_before
              FOR UPDATE SKIP LOCKED
            LIMIT $1)
"""


async def requeue_expired() -> int:
    """Put runs back whose lease ran out; their worker was killed or lost its connection. The next one goes on at the checkpoint."""
    async with system_scope() as connection:
        return _count(await connection.execute(EXPIRED))


async def ring_for_waiting() -> int:
    """Wake workers for runs that are due and that nobody was woken for. Gives how many were rung for."""
    async with system_scope() as connection:
        waiting = _count(await connection.execute(FORGOTTEN, MOST_RINGS))
    for _ in range(waiting):
        await enqueue(WakeWorker())
    return waiting


def _count(command_tag: str) -> int:
    return int(command_tag.rsplit(" ", 1)[1])
