"""Answers that nobody may ask for again."""

from app.database import Connection
from app.idempotency.reservations import KEPT_FOR
from app.retention import Batch, Position, removal, remove_batch

ANSWERS = removal("idempotent_requests", "candidate.created_at < now() - $2")


async def remove_old_answers(connection: Connection, after: Position | None) -> Batch:
    """The next batch of answers, and of reservations that were never answered, older than a key is good for."""
    return await remove_batch(connection, ANSWERS, after, KEPT_FOR)
