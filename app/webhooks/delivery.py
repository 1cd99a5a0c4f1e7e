"""Delivering: claim what is due, sign, send, write down what became of it.

A claim moves `next_attempt_at` past the longest attempt, so it is a lease as well: if the worker is killed, the attempt is made again by another. That is "at least once";
the receiver recognises a repetition by `webhook-id`, which is the event's.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from app.database import Connection, system_scope, tenant_scope
from app.errors import Unavailable
from app.events.types import CATALOGUE, Payload
from app.ids import new_id
from app.secret import Secret
from app.vault import CredentialsUnreadable, get_vault
from app.webhooks.dispatch import dispatch
from app.webhooks.sender import Answer, Failure, Sender
from app.webhooks.signing import sign
from app.webhooks.tables import DeliveryStatus

MOST_IN_FLIGHT = 200
MOST_IN_FLIGHT_PER_ENDPOINT = 10
# Longer than an attempt can take (15 s) and its outcome needs to be written.
ATTEMPT_LEASE = timedelta(seconds=60)
JITTER = 0.2
# A receiver that asks for more patience gets at most this many times our own delay.
MOST_PATIENCE = 2.0
DISABLED_AFTER = timedelta(days=5)
DISABLED_AFTER_ATTEMPTS = 20

SECRET_PURPOSE = "webhook"  # noqa: S105 - what the vault derives a key for

# Each endpoint gets its turn: ten thousand due deliveries of one do not keep the others waiting. Endpoints with all their places taken are left out.
CLAIM = """
    WITH due AS (
        SELECT turn.id
          FROM (SELECT DISTINCT endpoint_id FROM webhook_deliveries
                 WHERE status = 'pending' AND next_attempt_at <= now() AND endpoint_id <> ALL($3::uuid[])) AS endpoint
         CROSS JOIN LATERAL (
               SELECT id FROM webhook_deliveries
                WHERE endpoint_id = endpoint.endpoint_id AND status = 'pending' AND next_attempt_at <= now()
                ORDER BY next_attempt_at, id LIMIT $2
                  FOR UPDATE SKIP LOCKED) AS turn
         LIMIT $1)
    UPDATE webhook_deliveries AS delivery
       SET attempts = attempts + 1, next_attempt_at = now() + $4
      FROM due, webhook_endpoints AS endpoint, events AS event
     WHERE delivery.id = due.id AND endpoint.id = delivery.endpoint_id AND event.id = delivery.event_id
 RETURNING delivery.id, delivery.tenant_id, delivery.endpoint_id, delivery.attempts, endpoint.url, endpoint.secret_encrypted, endpoint.enabled,
           event.id AS event_id, event.type, event.body, now() - event.occurred_at AS age
"""

ATTEMPT = """
    INSERT INTO webhook_attempts (id, tenant_id, delivery_id, number, attempted_at, status_code, excerpt, duration_ms, error)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""

# Whoever lost the lease meanwhile finds another number of attempts, and changes nothing.
OUTCOME = """
    UPDATE webhook_deliveries
       SET status = $4::text, next_attempt_at = CASE WHEN $4::text = 'pending' THEN now() + $5::interval END,
           finished_at = CASE WHEN $4::text <> 'pending' THEN now() END
     WHERE id = $1 AND tenant_id = $2 AND attempts = $3 AND status = 'pending'
"""

HEALTHY = "UPDATE webhook_endpoints SET failing_since = NULL, failed_attempts = 0 WHERE id = $1 AND failed_attempts > 0"

FAILING = """
    UPDATE webhook_endpoints
       SET failing_since = coalesce(failing_since, now()), failed_attempts = failed_attempts + 1
     WHERE id = $1
 RETURNING failed_attempts, now() - failing_since AS failing_for
"""

DISABLE = "UPDATE webhook_endpoints SET enabled = false, disabled_reason = $2, updated_at = now() WHERE id = $1 AND enabled"

GIVE_UP = "UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL, finished_at = now() WHERE endpoint_id = $1 AND status = 'pending'"

log = structlog.get_logger(__name__)


class Deliverer:
    """Delivers in the background of one process, many endpoints at once. `wake` says that something may be due."""

    def __init__(self, sender: Sender, retry_schedule_s: Sequence[int]) -> None:
        self._sender = sender
        self._retry_schedule_s = retry_schedule_s
        self._bell = asyncio.Event()
        self._stopping = False
        self._in_flight: Counter[UUID] = Counter()
        self._attempts: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="webhooks")

    def wake(self) -> None:
        self._bell.set()

    async def stop(self) -> None:
        """Claim nothing more, and let the attempts that are under way end: at most 15 s, since no attempt takes longer."""
        self._stopping = True
        self._bell.set()
        if self._loop is not None:
            await self._loop
        if self._attempts:
            await asyncio.wait(self._attempts)

    async def _run(self) -> None:
        while not self._stopping:
            await self._bell.wait()
            self._bell.clear()
            try:
                while not self._stopping and await self._claim_and_start():
                    pass
            except Unavailable as error:
                # The scheduler rings again.
                log.warning("webhooks.database_unavailable", detail=error.detail)

    async def _claim_and_start(self) -> bool:
        """Start the attempts that are due and for which there is a place. False where there was none."""
        places = MOST_IN_FLIGHT - self._in_flight.total()
        if places <= 0:
            return False
        full = [endpoint for endpoint, count in self._in_flight.items() if count >= MOST_IN_FLIGHT_PER_ENDPOINT]
        claimed = await claim(places, full)
        for delivery in claimed:
            self._in_flight[delivery["endpoint_id"]] += 1
            attempt = asyncio.create_task(self._attempt(delivery))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempts.discard)
        return bool(claimed)

    async def _attempt(self, delivery: Any) -> None:
        try:
            await deliver(self._sender, delivery, self._retry_schedule_s)
        except Unavailable as error:
            # The lease runs out and the attempt is made again.
            log.warning("webhooks.outcome_not_written", delivery_id=str(delivery["id"]), detail=error.detail)
        except Exception:
            log.exception("webhooks.attempt_crashed", delivery_id=str(delivery["id"]))
        finally:
            endpoint = delivery["endpoint_id"]
            was_full = self._in_flight[endpoint] >= MOST_IN_FLIGHT_PER_ENDPOINT or self._in_flight.total() >= MOST_IN_FLIGHT
            self._in_flight[endpoint] -= 1
            if not self._in_flight[endpoint]:
                del self._in_flight[endpoint]
            if was_full:
                self.wake()


async def claim(limit: int, full_endpoints: Sequence[UUID] = ()) -> list[Any]:
    """Dispatch new events, then take deliveries that are due, in turns between endpoints."""
    async with system_scope() as connection:
        await dispatch(connection)
        return await connection.fetch(CLAIM, limit, MOST_IN_FLIGHT_PER_ENDPOINT, list(full_endpoints), ATTEMPT_LEASE)


async def deliver(sender: Sender, delivery: Any, retry_schedule_s: Sequence[int]) -> Answer | None:
    """Make one claimed attempt and write down its outcome; gives the answer, or None where nothing was to be sent any more."""
    if not delivery["enabled"]:
        await _finish_unsent(delivery, DeliveryStatus.FAILED)
        return None
    lifetime = CATALOGUE.get(delivery["type"], Payload).lifetime
    if delivery["age"] > lifetime:
        await _finish_unsent(delivery, DeliveryStatus.EXPIRED)
        return None
    try:
        secret = get_vault().unseal(delivery["secret_encrypted"], tenant_id=delivery["tenant_id"], purpose=SECRET_PURPOSE)
    except CredentialsUnreadable:
        log.exception("webhooks.secret_unreadable", endpoint_id=str(delivery["endpoint_id"]))
        await _finish_unsent(delivery, DeliveryStatus.FAILED)
        return None
    attempted_at = datetime.now(UTC)
    answer = await _send(sender, delivery, secret, attempted_at)
    async with tenant_scope(delivery["tenant_id"]) as connection:
        await _write_outcome(connection, delivery, attempted_at, answer, retry_schedule_s)
    return answer


async def _send(sender: Sender, delivery: Any, secret: Secret, attempted_at: datetime) -> Answer:
    body: bytes = delivery["body"].encode()
    headers = sign(f"msg_{delivery['event_id'].hex}", attempted_at, body, [secret])
    return await sender.send(delivery["url"], headers, body)


async def _write_outcome(
    connection: Connection, delivery: Any, attempted_at: datetime, answer: Answer, retry_schedule_s: Sequence[int]
) -> None:
    delivery_id, tenant_id, number = delivery["id"], delivery["tenant_id"], delivery["attempts"]
    status, delay = _next(answer, number, retry_schedule_s)
    await connection.execute(
        ATTEMPT, new_id(), tenant_id, delivery_id, number, attempted_at, answer.status_code, answer.excerpt,
        round(answer.duration_s * 1000), answer.error,
    )  # fmt: skip
    if await connection.execute(OUTCOME, delivery_id, tenant_id, number, status, delay) == "UPDATE 0":
        return
    if answer.delivered:
        await connection.execute(HEALTHY, delivery["endpoint_id"])
        return
    log.info("webhooks.attempt_failed", delivery_id=str(delivery_id), number=number, error=answer.error, status_code=answer.status_code)
    health = await connection.fetchrow(FAILING, delivery["endpoint_id"])
    if health is None:  # it was deleted meanwhile
        return
    if answer.status_code == 410:
        await disable(connection, delivery["endpoint_id"], "The receiver answered 410 Gone.")
    elif health["failed_attempts"] >= DISABLED_AFTER_ATTEMPTS and health["failing_for"] >= DISABLED_AFTER:
        await disable(connection, delivery["endpoint_id"], f"Every attempt of {DISABLED_AFTER.days} days failed.")


async def disable(connection: Connection, endpoint_id: UUID, reason: str) -> None:
    """Send nothing more to this endpoint, in the caller's transaction."""
    await connection.execute(DISABLE, endpoint_id, reason)
    await connection.execute(GIVE_UP, endpoint_id)
    log.warning("webhooks.endpoint_disabled", endpoint_id=str(endpoint_id), reason=reason)


def _next(answer: Answer, number: int, retry_schedule_s: Sequence[int]) -> tuple[DeliveryStatus, timedelta]:
    """What follows attempt `number`, which counts from 1."""
    if answer.delivered:
        return DeliveryStatus.DELIVERED, timedelta()
    if answer.error is Failure.DESTINATION_BARRED or answer.status_code == 410 or number > len(retry_schedule_s):
        return DeliveryStatus.FAILED, timedelta()
    own_s = retry_schedule_s[number - 1]
    delay_s = own_s * random.uniform(1.0, 1.0 + JITTER)
    if answer.retry_after_s is not None:
        delay_s = max(delay_s, min(answer.retry_after_s, MOST_PATIENCE * own_s))
    return DeliveryStatus.PENDING, timedelta(seconds=delay_s)


async def _finish_unsent(delivery: Any, status: DeliveryStatus) -> None:
    async with tenant_scope(delivery["tenant_id"]) as connection:
        await connection.execute(OUTCOME, delivery["id"], delivery["tenant_id"], delivery["attempts"], status, timedelta())
