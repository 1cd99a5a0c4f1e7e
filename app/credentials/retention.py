"""One-time links that are over."""

from datetime import timedelta
from typing import Final

from app.database import Connection
from app.retention import Batch, Position, removal, remove_batch

KEPT: Final = timedelta(days=1)

LINKS = removal("credential_links", "candidate.expires_at < now() - $2")


async def remove_old_links(connection: Connection, after: Position | None) -> Batch:
    """The next batch of links that ended longer ago than `KEPT`. Who made and used them, the audit log knows."""
    return await remove_batch(connection, LINKS, after, KEPT)
