"""Recording what happened, in the transaction that makes it true: the event is stored exactly if the fact is."""

from datetime import datetime
from uuid import UUID

import msgspec

from app.database import Connection
from app.events.types import MAX_TELEGRAM_USERS, Payload, ToMembers
from app.ids import new_id

MAX_BODY_BYTES = 20_000

# The tenant's row is locked until the commit, so numbers follow the order of the commits, without gaps. The clock is read once the lock is had:
# now() is when the transaction began, and would turn the order around. With it come the Telegram ids of the tenant's members.
NEXT_SEQUENCE = f"""
    UPDATE tenants SET event_sequence = event_sequence + 1 WHERE id = $1
 RETURNING event_sequence, clock_timestamp(),
           ARRAY(SELECT telegram_user_id FROM memberships AS membership JOIN users ON users.id = membership.user_id
                  WHERE membership.tenant_id = $1 AND telegram_user_id IS NOT NULL ORDER BY membership.id LIMIT {MAX_TELEGRAM_USERS})
"""

INSERT = "INSERT INTO events (id, tenant_id, sequence, type, body, occurred_at) VALUES ($1, $2, $3, $4, $5, $6)"


class Body(msgspec.Struct, frozen=True):
    """What a webhook carries. `sequence` counts the tenant's events without gaps, so a receiver sees when one is missing."""

    type: str
    timestamp: datetime
    sequence: int
    data: Payload


async def record(connection: Connection, tenant_id: UUID, payload: Payload) -> UUID:
    """Store an event for the tenant in the caller's transaction; gives its id. After the commit ring with `DeliverEvents`.

    Raises:
        ValueError: the payload breaks the bounds of its schema, or there is no such tenant: a mistake of ours.
    """
    row = await connection.fetchrow(NEXT_SEQUENCE, tenant_id)
    if row is None:
        raise ValueError(f"There is no tenant {tenant_id} in this scope.")
    sequence, occurred_at, telegram_user_ids = row
    if isinstance(payload, ToMembers):
        payload = msgspec.structs.replace(payload, telegram_user_ids=telegram_user_ids)
    event_id = new_id()
    await connection.execute(INSERT, event_id, tenant_id, sequence, payload.type, encode(payload, sequence, occurred_at), occurred_at)
    return event_id


def encode(payload: Payload, sequence: int, occurred_at: datetime) -> str:
    """The document that every delivery of the event carries, byte for byte.

    Raises:
        ValueError: it breaks the bounds of its schema, which is our mistake.
    """
    data = msgspec.json.encode(payload)
    try:
        # Encoding doesn't check bounds; decoding does.
        msgspec.json.decode(data, type=type(payload))
    except msgspec.ValidationError as error:
        raise ValueError(f"An event of type {payload.type} breaks its schema: {error}") from error
    body = msgspec.json.encode(Body(payload.type, occurred_at, sequence, payload))
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"An event of type {payload.type} has {len(body)} bytes; {MAX_BODY_BYTES} are allowed.")
    return body.decode()
