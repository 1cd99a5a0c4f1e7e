"""Events and their deliveries: what is over, and what is too late to be sent."""

from datetime import timedelta

from app.database import Connection
from app.events.types import CATALOGUE, Payload
from app.retention import BATCH, Batch, Position, removal, remove_batch, take_batch

# Its deliveries and their attempts go with an event. One that is still to be delivered stays, however old.
EVENTS = removal(
    "events",
    """candidate.dispatched_at IS NOT NULL AND candidate.occurred_at < now() - $2
       AND NOT (SELECT coalesce(bool_or(delivery.status = 'pending'), false) FROM webhook_deliveries AS delivery WHERE delivery.event_id = candidate.id)""",
)

# What an endpoint that fails can't take in time would be shed one at a time, as it comes up for its attempt. A delivery whose attempt is under way is not
# due, and so not met. With all that is due at the last instant, so that the walk goes on behind it.
EXPIRE = f"""
    WITH seen AS (
        SELECT id, event_id, next_attempt_at FROM webhook_deliveries
         WHERE status = 'pending' AND next_attempt_at <= now() AND next_attempt_at > coalesce($1::timestamptz, '-infinity')
         ORDER BY next_attempt_at FETCH FIRST {BATCH} ROWS WITH TIES),
    late AS (
        SELECT id FROM seen
         WHERE (SELECT event.occurred_at < now() - coalesce((SELECT lifetime FROM unnest($2::text[], $3::interval[]) AS known (type, lifetime)
                                                              WHERE known.type = event.type), $4)
                  FROM events AS event WHERE event.id = seen.event_id)),
    free AS (
        SELECT id FROM webhook_deliveries
         WHERE id = ANY (ARRAY(SELECT id FROM late)) AND status = 'pending' AND next_attempt_at <= now() FOR NO KEY UPDATE SKIP LOCKED),
    expired AS (
        UPDATE webhook_deliveries SET status = 'expired', finished_at = now(), next_attempt_at = NULL
         WHERE id = ANY (ARRAY(SELECT id FROM free)) RETURNING id)
    SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM expired), (SELECT next_attempt_at FROM seen ORDER BY next_attempt_at DESC LIMIT 1)
"""


async def remove_old_events(connection: Connection, after: Position | None, kept: timedelta) -> Batch:
    """The next batch of events older than `kept`, with their deliveries and attempts."""
    return await remove_batch(connection, EVENTS, after, kept)


async def expire_deliveries(connection: Connection, after: Position | None) -> Batch:
    """End those of the next batch of deliveries that were not made within the lifetime of their event; `removed` counts them."""
    lifetimes = {name: payload.lifetime for name, payload in CATALOGUE.items()}
    return await take_batch(connection, EXPIRE, after, list(lifetimes), list(lifetimes.values()), Payload.lifetime)
