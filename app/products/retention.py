"""What a full pass that never came to its end left behind."""

from datetime import timedelta
from typing import Final

from app.database import Connection
from app.retention import Batch, Position, removal, remove_batch

KEPT: Final = timedelta(days=1)

# While a run waits, however long, its sightings are what it goes on with. Another run begins anew and forgets them anyway.
SIGHTINGS = removal(
    "sightings",
    """(SELECT id FROM sync_runs AS run
         WHERE run.tenant_id = candidate.tenant_id AND run.marketplace = candidate.marketplace AND run.status IN ('queued', 'running') LIMIT 1) IS NULL""",
)


async def remove_old_sightings(connection: Connection, after: Position | None) -> Batch:
    """The next batch of sightings older than `KEPT` of accounts that have no run under way."""
    return await remove_batch(connection, SIGHTINGS, after, KEPT)
