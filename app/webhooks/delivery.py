"""Delivering: claim what is due, sign, send, write down what became of it.

A claim moves `next_attempt_at` past the longest attempt, so it is a lease as well: if the worker is killed, the attempt is made again by another.
That is "at least once"; the receiver recognises a repetition by `webhook-id`, which is the event's.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from app.database import Connection, system_scope, tenant_scope
from app.errors import Unavailable
from app.events.types import CATALOGUE, Payload
from app.observability import metrics
from app.vault import CredentialsUnreadable, get_vault
from app.webhooks.dispatch import EVENTS_PER_BATCH, dispatch
from app.webhooks.outcome import write_outcome, write_unsent
from app.webhooks.sender import Answer, Sender
from app.webhooks.signing import sign
from app.webhooks.tables import DeliveryStatus

MOST_IN_FLIGHT = 200
"""In one process."""

MOST_IN_FLIGHT_PER_ENDPOINT = 10

PROBED_AFTER = 3
"""So many failures in a row, and an endpoint gets one attempt at a time: a dead one takes no more than one place, and shows when it is back."""

ATTEMPT_LEASE_S = 60
"""Longer than an attempt can take (15 s) and its outcome needs to be written."""

LOOK_AHEAD = 1000
"""Of so many deliveries that are due, of endpoints with a free place, a claim finds the endpoints."""

STOP_PATIENCE_S = 4.0
"""How long a stop waits for answers. What has none by then is attempted again when its lease runs out."""

SECRET_PURPOSE = "webhook"  # noqa: S105 - what the vault derives a key for

_PLACES = f"CASE WHEN endpoint.failed_attempts < {PROBED_AFTER} THEN {MOST_IN_FLIGHT_PER_ENDPOINT} ELSE 1 END"

_TAKE = f"""
    UPDATE webhook_deliveries AS delivery
       SET attempts = delivery.attempts + 1, next_attempt_at = now() + interval '{ATTEMPT_LEASE_S} seconds'
      FROM webhook_endpoints AS endpoint, events AS event
     WHERE delivery.id = ANY (ARRAY(SELECT id FROM turn)) AND endpoint.id = delivery.endpoint_id AND event.id = delivery.event_id
 RETURNING delivery.id, delivery.tenant_id, delivery.endpoint_id, delivery.attempts AS number, endpoint.url, endpoint.secret_encrypted,
           endpoint.enabled, event.id AS event_id, event.type, event.body, now() - event.occurred_at AS age
"""

# What is due is found by time, and then taken endpoint by endpoint, at random: nobody's turn comes always first. Rows that another worker is about to
# take are stepped over.
CLAIM = f"""
    WITH in_flight AS (
        SELECT endpoint.id AS endpoint_id, attempts, attempts >= {_PLACES} AS is_full
          FROM unnest($2::uuid[], $3::int[]) AS present (endpoint_id, attempts) JOIN webhook_endpoints AS endpoint ON endpoint.id = endpoint_id),
    due AS (
        SELECT endpoint_id FROM webhook_deliveries
         WHERE status = 'pending' AND next_attempt_at <= now() AND endpoint_id NOT IN (SELECT endpoint_id FROM in_flight WHERE is_full)
         ORDER BY next_attempt_at LIMIT {LOOK_AHEAD}),
    turn AS (
        SELECT delivery.id
          FROM (SELECT endpoint.id, {_PLACES} - coalesce(in_flight.attempts, 0) AS places
                  FROM webhook_endpoints AS endpoint LEFT JOIN in_flight ON in_flight.endpoint_id = endpoint.id
                 WHERE endpoint.id IN (SELECT endpoint_id FROM due)
                 ORDER BY random()) AS endpoint
         CROSS JOIN LATERAL (
               SELECT id FROM webhook_deliveries
                WHERE endpoint_id = endpoint.id AND status = 'pending' AND next_attempt_at <= now()
                ORDER BY next_attempt_at LIMIT endpoint.places
                  FOR NO KEY UPDATE SKIP LOCKED) AS delivery
         LIMIT $1)
    {_TAKE}, (SELECT count(*) = {LOOK_AHEAD} FROM due) AS may_be_more
"""

CLAIM_ONE = f"WITH turn AS (SELECT $1::uuid AS id) {_TAKE}"

log = structlog.get_logger(__name__)


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery whose attempt `number`, from 1, is ours to make, with what it takes."""

    id: UUID
    tenant_id: UUID
    endpoint_id: UUID
    number: int
    url: str
    secret_encrypted: str
    enabled: bool
    event_id: UUID
    type: str
    body: str
    age: timedelta


async def claim(connection: Connection, limit: int, in_flight: Mapping[UUID, int]) -> tuple[list[Claimed], bool]:
    """Take at most `limit` deliveries that are due, oldest event first, in the caller's `system_scope()`.

    `in_flight` counts this process's attempts per endpoint. The flag says that there may be more, of endpoints whose turn did not come.
    """
    rows = await connection.fetch(CLAIM, limit, list(in_flight.keys()), list(in_flight.values()))
    may_be_more = bool(rows) and rows[0]["may_be_more"]
    claimed = [msgspec.convert(dict(row), Claimed) for row in rows]
    return sorted(claimed, key=lambda delivery: delivery.event_id), may_be_more


async def claim_one(connection: Connection, delivery_id: UUID) -> Claimed:
    """Take this very delivery, which must be there."""
    return msgspec.convert(dict(await connection.fetchrow(CLAIM_ONE, delivery_id)), Claimed)


async def deliver(sender: Sender, claimed: Claimed, retry_schedule_s: Sequence[int]) -> Answer | None:
    """Make one claimed attempt and write down its outcome; gives the answer, or None where nothing was sent.

    Raises:
        Unavailable: the outcome could not be written. The lease runs out and the attempt is made again.
    """
    if not claimed.enabled:
        await _leave_unsent(claimed, DeliveryStatus.FAILED)
        return None
    if claimed.age > CATALOGUE.get(claimed.type, Payload).lifetime:
        await _leave_unsent(claimed, DeliveryStatus.EXPIRED)
        return None
    try:
        secret = get_vault().unseal(claimed.secret_encrypted, tenant_id=claimed.tenant_id, purpose=SECRET_PURPOSE)
    except CredentialsUnreadable:
        # The operator's mistake, which he can mend: neither the endpoint nor the event pays for it.
        log.error("webhooks.secret_unreadable", endpoint_id=str(claimed.endpoint_id))  # noqa: TRY400 - the trace says no more
        await _leave_unsent(claimed, DeliveryStatus.PENDING, timedelta(seconds=retry_schedule_s[-1] if retry_schedule_s else 0))
        return None
    attempted_at = datetime.now(UTC)
    body = claimed.body.encode()
    answer = await sender.send(claimed.url, sign(f"msg_{claimed.event_id.hex}", attempted_at, body, [secret]), body)
    metrics.webhook_attempts.labels((answer.error or DeliveryStatus.DELIVERED).value).inc()
    metrics.webhook_attempt_duration.observe(answer.duration_s)
    async with tenant_scope(claimed.tenant_id) as connection:
        await write_outcome(
            connection,
            tenant_id=claimed.tenant_id,
            endpoint_id=claimed.endpoint_id,
            delivery_id=claimed.id,
            number=claimed.number,
            attempted_at=attempted_at,
            answer=answer,
            retry_schedule_s=retry_schedule_s,
        )
    return answer


class Deliverer:
    """Delivers in the background of one process, many endpoints at once. `wake` says that something may be due."""

    def __init__(self, sender: Sender, retry_schedule_s: Sequence[int]) -> None:
        self._sender = sender
        self._retry_schedule_s = retry_schedule_s
        self._bell = asyncio.Event()
        self._stopping = False
        self._in_flight: Counter[UUID] = Counter()
        self._backlogged: set[UUID] = set()  # endpoints that took all their places at the last claim
        self._attempts: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Inside the event loop."""
        self._loop = asyncio.create_task(self._run(), name="webhooks")

    def wake(self) -> None:
        self._bell.set()

    async def stop(self) -> None:
        """Claim nothing more, let the attempts that are under way end for a while, and cut off the others."""
        self._stopping = True
        self._bell.set()
        if self._loop is not None:
            # The database may hang.
            await asyncio.wait([self._loop], timeout=STOP_PATIENCE_S)
            self._loop.cancel()
        if self._attempts:
            _, late = await asyncio.wait(self._attempts, timeout=STOP_PATIENCE_S)
            for attempt in late:
                attempt.cancel()
            if late:
                await asyncio.wait(late)

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
            except Exception:
                # Whatever it was, the next ring finds a deliverer.
                log.exception("webhooks.claim_crashed")

    async def _claim_and_start(self) -> bool:
        """Start the attempts that are due and for which there is a place. True: look again at once."""
        places = MOST_IN_FLIGHT - self._in_flight.total()
        if places <= 0:
            return False
        before = self._in_flight.copy()
        async with system_scope() as connection:
            dispatched = await dispatch(connection)
            claimed, may_be_more = await claim(connection, places, before)
        for delivery in claimed:
            self._in_flight[delivery.endpoint_id] += 1
            attempt = asyncio.create_task(self._attempt(delivery))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempts.discard)
        for endpoint_id, count in Counter(delivery.endpoint_id for delivery in claimed).items():
            if before[endpoint_id] + count == MOST_IN_FLIGHT_PER_ENDPOINT:
                self._backlogged.add(endpoint_id)
                self._refill(endpoint_id)
        return may_be_more or len(claimed) == places or dispatched == EVENTS_PER_BATCH

    async def _attempt(self, delivery: Claimed) -> None:
        try:
            await deliver(self._sender, delivery, self._retry_schedule_s)
        except Unavailable as error:
            log.warning("webhooks.outcome_not_written", delivery_id=str(delivery.id), detail=error.detail)
        except Exception:
            # Likewise: its lease runs out.
            log.exception("webhooks.attempt_crashed", delivery_id=str(delivery.id))
        finally:
            self._leave_place(delivery.endpoint_id)

    def _leave_place(self, endpoint_id: UUID) -> None:
        were_all_taken = self._in_flight.total() >= MOST_IN_FLIGHT
        self._in_flight[endpoint_id] -= 1
        self._refill(endpoint_id)
        if not self._in_flight[endpoint_id]:
            del self._in_flight[endpoint_id]
        if were_all_taken:
            self.wake()

    def _refill(self, endpoint_id: UUID) -> None:
        """Look again for an endpoint with a backlog when half of its places are free: one claim for five deliveries."""
        if endpoint_id in self._backlogged and self._in_flight[endpoint_id] <= MOST_IN_FLIGHT_PER_ENDPOINT // 2:
            self._backlogged.discard(endpoint_id)
            self.wake()


async def _leave_unsent(claimed: Claimed, status: DeliveryStatus, delay: timedelta = timedelta()) -> None:
    metrics.webhook_attempts.labels("unsent").inc()
    async with tenant_scope(claimed.tenant_id) as connection:
        await write_unsent(connection, claimed.id, claimed.number, status, delay)
