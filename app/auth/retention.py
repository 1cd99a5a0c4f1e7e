"""Login sessions that are over, and launch data that was used."""

from datetime import timedelta
from typing import Final

from app.database import Connection
from app.retention import BATCH, Batch, Position, removal, remove_batch, take_batch

KEPT: Final = timedelta(days=30)
"""After the end of a session, for whoever asks who was signed in."""

SESSIONS = removal("login_sessions", "least(candidate.revoked_at, candidate.expires_at) < now() - $2")


async def remove_old_sessions(connection: Connection, after: Position | None) -> Batch:
    """The next batch of sessions that were ended, or ran out, longer ago than `KEPT`."""
    return await remove_batch(connection, SESSIONS, after, KEPT)


# Launch data is refused by its age before it is forgotten: an hour is more than clocks differ.
USED_LAUNCHES: Final = """
    WITH old AS (SELECT hash FROM web_app_sign_ins WHERE expires_at < now() - interval '1 hour' ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED),
         removed AS (DELETE FROM web_app_sign_ins WHERE hash = ANY (ARRAY(SELECT hash FROM old)) RETURNING expires_at)
    SELECT (SELECT count(*) FROM old) AS seen, (SELECT count(*) FROM removed) AS removed, (SELECT max(expires_at) FROM removed) AS reached
"""


async def remove_used_launches(connection: Connection, _: Position | None) -> Batch:
    """The next batch of used launch data that is too old to be used again anyway."""
    return await take_batch(connection, USED_LAUNCHES, BATCH)
