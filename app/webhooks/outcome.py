"""What an attempt leads to: its entry in the log, the delivery's next attempt or end, and the health of the endpoint.

Whoever writes locks the endpoint first and the delivery after it, as the removal of an endpoint does; so nobody waits in a circle.
"""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from app.database import Connection
from app.ids import new_id
from app.observability import metrics
from app.webhooks.sender import Answer, Failure
from app.webhooks.tables import DeliveryStatus

JITTER = 0.2
# A receiver that asks for more patience gets at most this many times our own delay.
MOST_PATIENCE = 2.0
DISABLED_AFTER = timedelta(days=5)
DISABLED_AFTER_ATTEMPTS = 20

HEALTHY = "UPDATE webhook_endpoints SET failing_since = NULL, failed_attempts = 0 WHERE id = $1 AND failed_attempts > 0"

FAILING = """
    UPDATE webhook_endpoints
       SET failing_since = coalesce(failing_since, now()), failed_attempts = failed_attempts + 1
     WHERE id = $1
 RETURNING failed_attempts, now() - failing_since AS failing_for
"""

_STEP = """
       SET status = $3::text, finished_at = CASE WHEN $3::text <> 'pending' THEN now() END,
           next_attempt_at = CASE WHEN $3::text = 'pending' THEN now() + $4::interval END
""".strip()

# Whoever lost the lease meanwhile finds another number of attempts, and when to try again is no more for him to say. That it was delivered is true
# whatever happened meanwhile.
OUTCOME = f"""
    WITH attempted AS (SELECT id, status, attempts FROM webhook_deliveries WHERE id = $1 FOR NO KEY UPDATE),
    logged AS (
        INSERT INTO webhook_attempts (id, tenant_id, delivery_id, number, attempted_at, status_code, excerpt, duration_ms, error)
        SELECT $5, $6, id, $2, $7, $8, $9, $10, $11 FROM attempted)
    UPDATE webhook_deliveries AS delivery
       {_STEP}
      FROM attempted
     WHERE delivery.id = attempted.id AND (attempted.status = 'pending' AND attempted.attempts = $2 OR $3::text = 'delivered')
"""

UNSENT = f"""
    UPDATE webhook_deliveries
       {_STEP}
     WHERE id = $1 AND status = 'pending' AND attempts = $2
"""

DISABLE = "UPDATE webhook_endpoints SET enabled = false, disabled_reason = $2, updated_at = now() WHERE id = $1 AND enabled"

GIVE_UP = "UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL, finished_at = now() WHERE endpoint_id = $1 AND status = 'pending'"

log = structlog.get_logger(__name__)


async def write_outcome(
    connection: Connection,
    *,
    tenant_id: UUID,
    endpoint_id: UUID,
    delivery_id: UUID,
    number: int,
    attempted_at: datetime,
    answer: Answer,
    retry_schedule_s: Sequence[int],
) -> None:
    """Write down attempt `number` (from 1) and all that follows from it, in the caller's transaction.

    Of an endpoint that was removed meanwhile nothing is written.
    """
    status, delay = next_step(answer, number, retry_schedule_s)
    health: Any = None
    if answer.delivered:
        await connection.execute(HEALTHY, endpoint_id)
    else:
        health = await connection.fetchrow(FAILING, endpoint_id)
        log.info("webhooks.attempt_failed", delivery_id=str(delivery_id), number=number, error=answer.error, status_code=answer.status_code)
    await connection.execute(
        OUTCOME, delivery_id, number, status, delay,
        new_id(), tenant_id, attempted_at, answer.status_code, answer.excerpt, round(answer.duration_s * 1000), answer.error,
    )  # fmt: skip
    if health is None:
        return
    if answer.status_code == 410:
        await disable(connection, endpoint_id, "The receiver answered 410 Gone.")
    elif health["failed_attempts"] >= DISABLED_AFTER_ATTEMPTS and health["failing_for"] >= DISABLED_AFTER:
        await disable(connection, endpoint_id, f"Every attempt of {DISABLED_AFTER.days} days failed.")


async def write_unsent(
    connection: Connection, delivery_id: UUID, number: int, status: DeliveryStatus, delay: timedelta = timedelta()
) -> None:
    """The delivery was claimed, and nothing was to be sent; `delay` is until the next attempt, for `pending`."""
    await connection.execute(UNSENT, delivery_id, number, status, delay)


async def disable(connection: Connection, endpoint_id: UUID, reason: str) -> None:
    """Send nothing more to this endpoint, in the caller's transaction."""
    await connection.execute(DISABLE, endpoint_id, reason)
    await connection.execute(GIVE_UP, endpoint_id)
    metrics.webhook_endpoints_disabled.inc()
    log.warning("webhooks.endpoint_disabled", endpoint_id=str(endpoint_id), reason=reason)


def next_step(answer: Answer, number: int, retry_schedule_s: Sequence[int]) -> tuple[DeliveryStatus, timedelta]:
    """What follows attempt `number`, which counts from 1: the delivery's status and, while it is `pending`, how long to wait."""
    if answer.delivered:
        return DeliveryStatus.DELIVERED, timedelta()
    if answer.error is Failure.DESTINATION_BARRED or answer.status_code == 410 or number > len(retry_schedule_s):
        return DeliveryStatus.FAILED, timedelta()
    own_s = retry_schedule_s[number - 1]
    delay_s = own_s * random.uniform(1.0, 1.0 + JITTER)
    if answer.retry_after_s is not None:
        delay_s = max(delay_s, min(answer.retry_after_s, MOST_PATIENCE * own_s))
    return DeliveryStatus.PENDING, timedelta(seconds=delay_s)
