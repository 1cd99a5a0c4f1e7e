"""From events to deliveries: one for each endpoint that wants the event. Any number of workers may do this at once."""

from app.database import Connection, system_scope
from app.events.jobs import DeliverEvents
from app.jobs import enqueue

EVENTS_PER_BATCH = 200

# An endpoint without event types wants all of them. A delivery's id is its event's but for the last 32 bits, so that the log has the order of the
# events: these bits are random in the event's id too, all before them is time and counter. Due since the event happened, the oldest comes first.
DISPATCH = """
    WITH batch AS (
        SELECT id, tenant_id, type, occurred_at FROM events WHERE dispatched_at IS NULL ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED),
    made AS (
        INSERT INTO webhook_deliveries (id, tenant_id, endpoint_id, event_id, status, attempts, next_attempt_at, created_at)
        SELECT (left(event.id::text, 28) || right(gen_random_uuid()::text, 8))::uuid, event.tenant_id, endpoint.id, event.id, 'pending', 0,
               event.occurred_at, now()
          FROM batch AS event JOIN webhook_endpoints AS endpoint ON endpoint.tenant_id = event.tenant_id
         WHERE endpoint.enabled AND (endpoint.event_types = '{}' OR event.type = ANY (endpoint.event_types))
           FOR KEY SHARE OF endpoint
            ON CONFLICT (event_id, endpoint_id) DO NOTHING)
    UPDATE events SET dispatched_at = now() FROM batch WHERE events.id = batch.id
"""

IS_ANYTHING_DUE = """
    SELECT EXISTS (SELECT FROM events WHERE dispatched_at IS NULL)
        OR EXISTS (SELECT FROM webhook_deliveries WHERE status = 'pending' AND next_attempt_at <= now())
"""


async def dispatch(connection: Connection) -> int:
    """Make the deliveries of a batch of events, in the caller's `system_scope()`; gives the number of events, at most EVENTS_PER_BATCH."""
    tag = await connection.execute(DISPATCH, EVENTS_PER_BATCH)
    return int(tag.rpartition(" ")[2])


async def ring_if_due() -> bool:
    """Wake a worker if there is anything to dispatch or to deliver: the net below the doorbell, and the clock of the retries."""
    async with system_scope() as connection:
        due: bool = await connection.fetchval(IS_ANYTHING_DUE)
    if due:
        await enqueue(DeliverEvents())
    return due
