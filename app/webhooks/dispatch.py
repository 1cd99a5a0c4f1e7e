"""From events to deliveries: one for each endpoint that wants the event. Any number of workers may do this at once."""

from app.database import Connection, system_scope
from app.events.jobs import DeliverEvents
from app.ids import new_id
from app.jobs import enqueue

EVENTS_PER_BATCH = 200

UNDISPATCHED = """
    SELECT id FROM events WHERE dispatched_at IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
"""

# An endpoint without event types wants all of them.
WANTED = """
    SELECT event.id AS event_id, event.tenant_id, endpoint.id AS endpoint_id
      FROM events AS event JOIN webhook_endpoints AS endpoint ON endpoint.tenant_id = event.tenant_id
     WHERE event.id = ANY($1::uuid[]) AND endpoint.enabled
       AND (endpoint.event_types = '{}' OR event.type = ANY(endpoint.event_types))
     ORDER BY event.tenant_id, event.sequence
"""

MAKE = """
    INSERT INTO webhook_deliveries (id, tenant_id, endpoint_id, event_id, status, attempts, next_attempt_at, created_at)
    SELECT id, tenant_id, endpoint_id, event_id, 'pending', 0, now(), now()
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) AS made (id, tenant_id, endpoint_id, event_id)
        ON CONFLICT (event_id, endpoint_id) DO NOTHING
"""

IS_ANYTHING_DUE = """
    SELECT EXISTS (SELECT FROM events WHERE dispatched_at IS NULL)
        OR EXISTS (SELECT FROM webhook_deliveries WHERE status = 'pending' AND next_attempt_at <= now())
"""


async def dispatch(connection: Connection) -> None:
    """Make the deliveries of a batch of events, in the caller's `system_scope()`."""
    events = [row["id"] for row in await connection.fetch(UNDISPATCHED, EVENTS_PER_BATCH)]
    if not events:
        return
    wanted = await connection.fetch(WANTED, events)
    if wanted:
        columns = ("tenant_id", "endpoint_id", "event_id")
        await connection.execute(MAKE, [new_id() for _ in wanted], *([row[column] for row in wanted] for column in columns))
    await connection.execute("UPDATE events SET dispatched_at = now() WHERE id = ANY($1::uuid[])", events)


async def ring_if_due() -> bool:
    """Wake a worker if there is anything to dispatch or to deliver: the net below the doorbell, and the clock of the retries."""
    async with system_scope() as connection:
        due: bool = await connection.fetchval(IS_ANYTHING_DUE)
    if due:
        await enqueue(DeliverEvents())
    return due
