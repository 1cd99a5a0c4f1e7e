"""Endpoints: made, looked at, tried out, removed; and the log of what was delivered."""

import inspect
from datetime import datetime
from uuid import UUID

import msgspec

from app.api.pagination import PageOut, decode_cursor, encode_cursor
from app.audit.service import record as audit
from app.database import tenant_scope
from app.errors import Conflict, FieldError, InvalidInput, NotFound
from app.events.examples import EXAMPLES
from app.events.outbox import record
from app.events.types import CATALOGUE, WebhookTest
from app.idempotency.reservations import keep_answer
from app.ids import new_id
from app.settings import get_settings
from app.tenants.service import lock_tenant
from app.vault import get_vault
from app.webhooks.delivery import SECRET_PURPOSE, claim_one, deliver
from app.webhooks.destinations import DestinationPolicy, check_url
from app.webhooks.schemas import AttemptOut, DeliveryOut, EventTypeOut, WebhookIn, WebhookOut, WebhookTestOut
from app.webhooks.sender import get_sender
from app.webhooks.signing import new_secret
from app.webhooks.tables import DeliveryStatus

MOST_ENDPOINTS = 20

TEST_MESSAGES = {"ru": "Проверка: события Stock Tracker доходят до бота.", "en": "A test: events of Stock Tracker reach the bot."}

COLUMNS = "id, url, event_types, description, enabled, disabled_reason, created_at"

INSERT = f"""
    INSERT INTO webhook_endpoints
           (id, tenant_id, url, description, event_types, secret_encrypted, enabled, failed_attempts, created_at, updated_at)
    SELECT $1, $2, $3, $4, $5, $6, true, 0, now(), now()
     WHERE (SELECT count(*) FROM webhook_endpoints WHERE tenant_id = $2) < {MOST_ENDPOINTS}
 RETURNING {COLUMNS}
"""

DELIVERIES = """
    SELECT delivery.id, delivery.event_id, event.type AS event_type, delivery.status, delivery.created_at, delivery.next_attempt_at,
           delivery.finished_at
      FROM webhook_deliveries AS delivery JOIN events AS event ON event.id = delivery.event_id
     WHERE delivery.endpoint_id = $1 AND delivery.tenant_id = $2 AND ($3::text IS NULL OR delivery.status = $3)
       AND ($4::text IS NULL OR event.type = $4) AND ($5::timestamptz IS NULL OR delivery.created_at >= $5)
       AND ($6::uuid IS NULL OR delivery.id < $6)
     ORDER BY delivery.id DESC LIMIT $7
"""

ATTEMPTS = """
    SELECT delivery_id, number, attempted_at, status_code, duration_ms, error, excerpt
      FROM webhook_attempts WHERE delivery_id = ANY($1::uuid[]) AND tenant_id = $2 ORDER BY number
"""

ENDPOINT_TO_TEST = """
    SELECT endpoint.enabled, tenant.language
      FROM webhook_endpoints AS endpoint JOIN tenants AS tenant ON tenant.id = endpoint.tenant_id
     WHERE endpoint.id = $1 AND endpoint.tenant_id = $2
       FOR KEY SHARE OF endpoint
"""

# The dispatcher would make one for every endpoint.
DISPATCH_TO_ONE = """
    WITH event AS (UPDATE events SET dispatched_at = now() WHERE id = $1 RETURNING id, tenant_id)
    INSERT INTO webhook_deliveries (id, tenant_id, endpoint_id, event_id, status, attempts, next_attempt_at, created_at)
    SELECT $2, tenant_id, $3, id, 'pending', 0, now(), now() FROM event
"""


class TooManyEndpoints(Conflict):
    """The tenant has as many endpoints as are allowed."""

    code = "too_many_webhooks"
    title = "Too many webhooks"


async def create_webhook(tenant_id: UUID, actor: str, data: WebhookIn) -> WebhookOut:
    """Make an endpoint; the answer is the only place where its secret stands.

    Raises:
        InvalidInput: an event type does not exist.
        DestinationBarred: nothing may be sent to that URL.
        TooManyEndpoints: one must be removed first.
    """
    unknown = [FieldError(f"event_types[{n}]", "No such event type") for n, name in enumerate(data.event_types) if name not in CATALOGUE]
    if unknown:
        raise InvalidInput("There is no such event type; GET /api/v1/webhooks/event-types lists them.", tuple(unknown))
    await check_url(data.url, DestinationPolicy(get_settings().webhook_allowed_networks))
    secret = new_secret()
    sealed = get_vault().seal(secret, tenant_id=tenant_id, purpose=SECRET_PURPOSE)
    async with tenant_scope(tenant_id) as connection:
        # Of two requests at once the second counts what the first has made.
        await lock_tenant(connection, tenant_id)
        row = await connection.fetchrow(INSERT, new_id(), tenant_id, data.url, data.description, sorted(set(data.event_types)), sealed)
        if row is None:
            raise TooManyEndpoints(f"There are {MOST_ENDPOINTS} webhooks already; remove one first.")
        await audit(connection, tenant_id, actor, "webhook.created", {"webhook_id": str(row["id"])})
        webhook = msgspec.structs.replace(msgspec.convert(dict(row), WebhookOut), secret=secret.reveal())
        await keep_answer(connection, webhook)
    return webhook


async def list_webhooks(tenant_id: UUID, *, limit: int, cursor: str | None) -> PageOut[WebhookOut]:
    """The tenant's endpoints, newest first."""
    query = ("webhooks",)
    after = decode_cursor(cursor, query, (UUID,))[0] if cursor else None
    async with tenant_scope(tenant_id) as connection:
        rows = await connection.fetch(
            f"SELECT {COLUMNS} FROM webhook_endpoints WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
            tenant_id, after, limit + 1,
        )  # fmt: skip
    items = [msgspec.convert(dict(row), WebhookOut) for row in rows[:limit]]
    return PageOut(items, encode_cursor(query, (items[-1].id,)) if len(rows) > limit else None)


async def get_webhook(tenant_id: UUID, webhook_id: UUID) -> WebhookOut:
    """One endpoint.

    Raises:
        NotFound: the tenant has no such endpoint.
    """
    async with tenant_scope(tenant_id) as connection:
        row = await connection.fetchrow(f"SELECT {COLUMNS} FROM webhook_endpoints WHERE id = $1 AND tenant_id = $2", webhook_id, tenant_id)
    if row is None:
        raise _no_webhook(webhook_id)
    return msgspec.convert(dict(row), WebhookOut)


async def delete_webhook(tenant_id: UUID, actor: str, webhook_id: UUID) -> None:
    """Remove an endpoint; what was not delivered yet never will be.

    Raises:
        NotFound: the tenant has no such endpoint.
    """
    async with tenant_scope(tenant_id) as connection:
        tag = await connection.execute("DELETE FROM webhook_endpoints WHERE id = $1 AND tenant_id = $2", webhook_id, tenant_id)
        if tag == "DELETE 0":
            raise _no_webhook(webhook_id)
        await audit(connection, tenant_id, actor, "webhook.deleted", {"webhook_id": str(webhook_id)})


async def test_webhook(tenant_id: UUID, webhook_id: UUID) -> WebhookTestOut:
    """Send `webhook.test` to this endpoint alone, now and once, and tell what it answered.

    It is an event like others, numbered, signed and logged, so nobody's sequence gets a gap that the feed can't explain. It moves the endpoint's
    health like others too: an answer clears it, a 410 disables it.

    Raises:
        NotFound: the tenant has no such endpoint.
        Conflict: it is disabled, or its secret can't be read.
    """
    async with tenant_scope(tenant_id) as connection:
        await lock_tenant(connection, tenant_id)
        row = await connection.fetchrow(ENDPOINT_TO_TEST, webhook_id, tenant_id)
        if row is None:
            raise _no_webhook(webhook_id)
        if not row["enabled"]:
            raise Conflict("This webhook is disabled.")
        message = TEST_MESSAGES.get(row["language"], TEST_MESSAGES["en"])
        event_id = await record(connection, tenant_id, WebhookTest(tenant_id=tenant_id, message=message))
        delivery_id = new_id()
        await connection.execute(DISPATCH_TO_ONE, event_id, delivery_id, webhook_id)
        claimed = await claim_one(connection, delivery_id)
    answer = await deliver(get_sender(), claimed, retry_schedule_s=())
    if answer is None:
        raise Conflict("This webhook's secret can't be read any more; remove it and make a new one.")
    return WebhookTestOut(
        delivered=answer.delivered,
        status_code=answer.status_code,
        duration_ms=round(answer.duration_s * 1000),
        error=answer.error,
        excerpt=answer.excerpt,
    )


async def list_deliveries(
    tenant_id: UUID,
    webhook_id: UUID,
    *,
    status: DeliveryStatus | None,
    event_type: str | None,
    since: datetime | None,
    limit: int,
    cursor: str | None,
) -> PageOut[DeliveryOut]:
    """The delivery log of an endpoint, newest first; `since` is about when the delivery was made.

    Raises:
        NotFound: the tenant has no such endpoint.
    """
    query = ("deliveries", webhook_id, status, event_type, since)
    after = decode_cursor(cursor, query, (UUID,))[0] if cursor else None
    async with tenant_scope(tenant_id) as connection:
        if not await connection.fetchval("SELECT true FROM webhook_endpoints WHERE id = $1 AND tenant_id = $2", webhook_id, tenant_id):
            raise _no_webhook(webhook_id)
        rows = await connection.fetch(DELIVERIES, webhook_id, tenant_id, status, event_type, since, after, limit + 1)
        attempts = await connection.fetch(ATTEMPTS, [row["id"] for row in rows[:limit]], tenant_id)
    by_delivery: dict[UUID, list[AttemptOut]] = {}
    for attempt in attempts:
        fields = dict(attempt)
        by_delivery.setdefault(fields.pop("delivery_id"), []).append(AttemptOut(**fields))
    items = [msgspec.convert({**dict(row), "attempts": by_delivery.get(row["id"], [])}, DeliveryOut) for row in rows[:limit]]
    return PageOut(items, encode_cursor(query, (items[-1].id,)) if len(rows) > limit else None)


def event_types() -> list[EventTypeOut]:
    """The catalogue."""
    return [
        EventTypeOut(
            type=payload.type,
            description=inspect.cleandoc(payload.__doc__ or ""),
            lifetime_s=int(payload.lifetime.total_seconds()),
            schema=msgspec.json.schema(payload),
            example=EXAMPLES[payload.type],
        )
        for payload in CATALOGUE.values()
    ]


def _no_webhook(webhook_id: UUID) -> NotFound:
    return NotFound(f"No webhook {webhook_id}.")
