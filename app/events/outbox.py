"""Recording what happened, in the transaction that makes it true: the event is stored exactly if the fact is."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from app.database import Connection
from app.events.types import Payload
from app.ids import new_id

MAX_BODY_BYTES = 20_000

# The tenant's row is locked until the commit, so numbers are given in the order of commits and without gaps.
NEXT_SEQUENCE = "UPDATE tenants SET event_sequence = event_sequence + 1 WHERE id = $1 RETURNING event_sequence, now()"

INSERT = "INSERT INTO events (id, tenant_id, sequence, type, body, occurred_at) VALUES ($1, $2, $3, $4, $5, $6)"


class Body(msgspec.Struct, frozen=True):
    """What a webhook carries. `sequence` counts the tenant's events, so a receiver sees when one is missing; null for a test."""

    type: str
    timestamp: datetime
    sequence: int | None
    data: Payload


async def record(connection: Connection, tenant_id: UUID, payload: Payload) -> UUID:
    """Store an event for the tenant in the caller's transaction; gives its id. After the commit ring with `DeliverEvents`."""
    row = await connection.fetchrow(NEXT_SEQUENCE, tenant_id)
    sequence, occurred_at = row
    event_id = new_id()
    await connection.execute(INSERT, event_id, tenant_id, sequence, payload.type, encode(payload, sequence, occurred_at), occurred_at)
    return event_id


def encode(payload: Payload, sequence: int | None = None, occurred_at: datetime | None = None) -> str:
    """The document that every delivery of the event carries, byte for byte.

    Raises:
        ValueError: it breaks the bounds of its schema, which is our mistake.
    """
    text = msgspec.json.encode(Body(payload.type, occurred_at or datetime.now(UTC), sequence, payload))
    # Encoding doesn't check bounds; decoding does.
    msgspec.json.decode(msgspec.json.encode(payload), type=type(payload))
    if len(text) > MAX_BODY_BYTES:
        raise ValueError(f"An event of type {payload.type} has {len(text)} bytes; {MAX_BODY_BYTES} are allowed.")
    return text.decode()
