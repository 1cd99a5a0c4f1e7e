"""One deed for one key, whichever processes its requests come to and whichever of them is killed.

A request with an `Idempotency-Key` first reserves it: a row that has no status yet. Who comes later with that key finds the row, and gets its answer or, while there is
none, a conflict. A deed that must not be done twice puts its answer there in its own transaction, by `keep_answer`: after a crash both are there or neither.

Who was killed leaves a row that nobody will answer. After `RESERVED_FOR` the next request takes it over, by giving it another id. If the first one was slow and not
dead, its `keep_answer` finds the row gone, and what it did is rolled back.
"""

import hashlib
from contextvars import ContextVar
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from app.api.idempotency_key import IdempotencyKeyReused, IdempotencyRequestInProgress
from app.api.roles import Caller
from app.database import Connection, tenant_scope
from app.errors import Unauthenticated
from app.ids import new_id
from app.secret import Secret
from app.vault import get_vault

PURPOSE: Final = "idempotency"
KEPT_FOR: Final = timedelta(hours=24)
RESERVED_FOR: Final = timedelta(seconds=60)
"""Longer than any request takes: the longest wait is for a webhook's receiver, 15 s."""
JSON: Final = "application/json"
MAY_CHANGE: Final = (401, 403, 429)
"""Refusals of who asks, or of when. All others are about the request, and are kept as the draft has it: "success or an error" (section 2.6)."""

# Whoever has the row in a transaction is waited for, and what it left is looked at. A row that can't be taken is locked by this too
# (https://www.postgresql.org/docs/current/sql-insert.html, "ON CONFLICT Clause"), so `FIND` finds it.
RESERVE: Final = """
    INSERT INTO idempotent_requests AS known (id, tenant_id, key, answer_encrypted, created_at) VALUES ($1, $2, $3, $4, now())
        ON CONFLICT (tenant_id, key) DO UPDATE
           SET id = excluded.id, status = NULL, answer_encrypted = excluded.answer_encrypted, created_at = excluded.created_at
         WHERE known.created_at < now() - CASE WHEN known.status IS NULL THEN $5::interval ELSE $6::interval END
 RETURNING true
"""

FIND: Final = "SELECT answer_encrypted FROM idempotent_requests WHERE tenant_id = $1 AND key = $2"

ANSWER: Final = "UPDATE idempotent_requests SET status = $2, answer_encrypted = $3 WHERE id = $1 AND status IS NULL RETURNING true"

RELEASE: Final = "DELETE FROM idempotent_requests WHERE id = $1 AND status IS NULL"


class Answer(msgspec.Struct, frozen=True):
    """What is said again."""

    status: int
    media_type: str = ""
    location: str = ""
    body: bytes = b""


class Exchange(msgspec.Struct, frozen=True):
    """What is sealed. A hash of a body that holds a password could be guessed from."""

    request_hash: bytes
    answer: Answer | None = None


class Reservation(msgspec.Struct, frozen=True):
    """The right to answer a key, for `RESERVED_FOR`. `status` is what the handler's answers have if nothing else is said."""

    id: UUID
    tenant_id: UUID
    request_hash: bytes
    status: int


present_reservation: ContextVar[Reservation | None] = ContextVar("present_reservation", default=None)
"""That of the present request; the middleware sets it. None where the request has no key, and outside of requests."""


async def reserve(caller: Caller, key: bytes, request_hash: bytes, status: int) -> Reservation | Answer:
    """Take the key for this request, or give the answer that it has already.

    Raises:
        IdempotencyKeyReused: the key came with another request.
        IdempotencyRequestInProgress: the first request is not answered yet.
        Unauthenticated: the tenant was erased in this moment.
    """
    reservation = Reservation(new_id(), caller.tenant_id, request_hash, status)
    # A bot acts for several members, and what the one was answered may not be for the other.
    whose = f"{caller.actor} {caller.user_id} ".encode()
    name = hashlib.sha256(whose + key).hexdigest()
    try:
        async with tenant_scope(caller.tenant_id) as connection:
            if await connection.fetchval(RESERVE, reservation.id, caller.tenant_id, name, _seal(reservation, None), RESERVED_FOR, KEPT_FOR):
                return reservation
            known = await connection.fetchval(FIND, caller.tenant_id, name)
    except asyncpg.ForeignKeyViolationError:
        raise Unauthenticated("This tenant no longer exists.") from None
    exchange = _unseal(known, caller.tenant_id)
    if exchange.request_hash != request_hash:
        raise IdempotencyKeyReused("This Idempotency-Key came with another request; send a new one.")
    if exchange.answer is None:
        raise IdempotencyRequestInProgress("The first request with this Idempotency-Key is being carried out; ask again.")
    return exchange.answer


async def keep_answer(connection: Connection, body: object = None, *, status: int | None = None, location: str = "") -> None:
    """Keep what the present request will be answered, if it has a key, in the transaction of what it did. At the end of that transaction, and once in a request.

    Args:
        body: what the handler will return; None for no body.
        status: the answer's, where it is not the handler's usual one.
        location: the header of that name.

    Raises:
        IdempotencyRequestInProgress: this took so long that another request has the key now; let it roll the transaction back.
    """
    if (reservation := present_reservation.get()) is None:
        return
    status = reservation.status if status is None else status
    answer = Answer(status, location=location) if body is None else Answer(status, JSON, location, msgspec.json.encode(body))
    if not await _keep(connection, reservation, answer):
        raise IdempotencyRequestInProgress("Another request with this Idempotency-Key took this one's place; ask again.")


async def settle(reservation: Reservation, answer: Answer) -> None:
    """The end of a request that has a key: its answer is kept, if it would be the same again and the deed has not kept it, or else the key is free again."""
    async with tenant_scope(reservation.tenant_id) as connection:
        if answer.status < 500 and answer.status not in MAY_CHANGE:
            await _keep(connection, reservation, answer)
        else:
            # Where a COMMIT had no answer, this waits for it, and leaves what it kept.
            await connection.execute(RELEASE, reservation.id)


async def _keep(connection: Connection, reservation: Reservation, answer: Answer) -> bool:
    return bool(await connection.fetchval(ANSWER, reservation.id, answer.status, _seal(reservation, answer)))


def _seal(reservation: Reservation, answer: Answer | None) -> str:
    text = msgspec.json.encode(Exchange(reservation.request_hash, answer)).decode()
    return get_vault().seal(Secret(text), tenant_id=reservation.tenant_id, purpose=PURPOSE)


def _unseal(sealed: str, tenant_id: UUID) -> Exchange:
    opened = get_vault().unseal(sealed, tenant_id=tenant_id, purpose=PURPOSE)
    return msgspec.json.decode(opened.reveal(), type=Exchange)
