"""Login sessions that are over."""

from datetime import timedelta
from typing import Final

from app.database import Connection
from app.retention import Batch, Position, removal, remove_batch

KEPT: Final = timedelta(days=30)
"""After the end of a session, for whoever asks who was signed in."""

SESSIONS = removal("login_sessions", "least(candidate.revoked_at, candidate.expires_at) < now() - $2")


async def remove_old_sessions(connection: Connection, after: Position | None) -> Batch:
    """The next batch of sessions that were ended, or ran out, longer ago than `KEPT`."""
    return await remove_batch(connection, SESSIONS, after, KEPT)
