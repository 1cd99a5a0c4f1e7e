"""Whether a login session still lives: asked for each request, in the round trip that debits its rate limits.

In Redis `session:{id}` is `live` for a minute, or `revoked` for as long as an access token could still be valid. If Redis has no answer, PostgreSQL
decides. `live` is written only where nothing stands (SET NX), `revoked` over whatever stands: a request that looked before a revocation and writes
after it changes nothing, and a Redis that lost everything brings nothing back.

One gap has to be closed by us: a revocation that Redis did not take, while it still says `live`. The process that revoked knows it itself, and tells
Redis as soon as it answers. Every process that lost Redis asks PostgreSQL meanwhile, and once Redis is back believes no `live` until all that were written
before have run out. So only where Redis is away for the process that revoked, and for no other, may another one believe a `live` for the rest of its minute.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final
from uuid import UUID

import structlog

from app.api.roles import Caller
from app.auth.tokens import ACCESS_TOKEN_LIFETIME, LEEWAY
from app.database import tenant_scope
from app.errors import Unauthenticated
from app.rate_limits.sliding_window import Debit, Marker, Window, debit
from app.redis import REDIS_ERRORS, get_multiplexer, get_redis

LIVE, REVOKED = b"live", b"revoked"
LIVE_S: Final = 60
REVOKED_S: Final = int((ACCESS_TOKEN_LIFETIME + LEEWAY).total_seconds()) + LIVE_S
PAUSE_S: Final = 1.0
"""After a failure Redis is not read for this long: requests go to PostgreSQL at once instead of waiting for a time-out each."""

STORED = "SELECT revoked_at IS NULL AND expires_at > now() FROM login_sessions WHERE id = $1"

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

_away_until = 0.0
_untold: dict[UUID, float] = {}
"""Revoked sessions of which Redis doesn't know yet, and until when (monotonic) it may still have them as live."""
_telling: asyncio.Task[None] | None = None


async def admit(caller: Caller, windows: Sequence[Window]) -> Debit:
    """Whether the caller's session lives, and whether its request is one too many. One round trip, but for the first in a minute.

    Raises:
        Unauthenticated: the session was ended.
        Unavailable: neither Redis nor PostgreSQL can tell.
    """
    debited = await debit(windows, Marker(_name(caller.session_id), REVOKED))
    known = _believed(debited.marker) if caller.session_id not in _untold else REVOKED
    if known == REVOKED or (known is None and not await _look_up(caller, tell=not debited.is_local)):
        raise Unauthenticated("The session of this access token was ended; sign in again.")
    return debited


async def is_live(caller: Caller) -> bool:
    """Whether the login session of the caller was neither revoked, nor ran out, nor was erased.

    Raises:
        Unavailable: neither Redis nor PostgreSQL can tell.
    """
    if caller.session_id in _untold:
        return False
    known = _believed(await _ask(get_redis().get, _name(caller.session_id)))
    return await _look_up(caller, tell=True) if known is None else known == LIVE


def _believed(known: bytes | None) -> bytes | None:
    """What may have been written before Redis was away is not."""
    return None if known == LIVE and monotonic() < get_multiplexer().back_since + LIVE_S else known


def has_untold() -> bool:
    """Whether there are revocations that Redis did not take yet."""
    return bool(_untold)


async def wait_until_told() -> None:
    """Until Redis took them all, or what it may have as live has run out: a minute at most. For a process that ends."""
    if _telling is not None:
        await _telling


async def _look_up(caller: Caller, *, tell: bool) -> bool:
    """In PostgreSQL; Redis is told, for who asks within the next minute, unless it had no answer just now."""
    async with tenant_scope(caller.tenant_id) as connection:
        live = bool(await connection.fetchval(STORED, caller.session_id))
    if live and tell:
        await _ask(get_redis().set, _name(caller.session_id), LIVE, ex=LIVE_S, nx=True)
    elif tell:
        await _ask(get_redis().set, _name(caller.session_id), REVOKED, ex=REVOKED_S)
    return live


async def announce_revocation(session_id: UUID) -> None:
    """Make a revocation known that PostgreSQL has committed: from now on the session's access tokens are refused."""
    global _telling
    if await _tell(session_id):
        return
    _untold[session_id] = monotonic() + LIVE_S + PAUSE_S
    if _telling is None or _telling.done():
        _telling = asyncio.create_task(_tell_later())


async def _tell_later() -> None:
    while _untold:
        await asyncio.sleep(PAUSE_S)
        for session_id, until in list(_untold.items()):
            if monotonic() > until or await _tell(session_id):
                del _untold[session_id]


async def _tell(session_id: UUID) -> bool:
    try:
        await get_redis().set(_name(session_id), REVOKED, ex=REVOKED_S)
    except REDIS_ERRORS as error:
        log.warning("sessions.revocation_untold", session_id=session_id, error=str(error) or type(error).__name__)
        return False
    return True


def _name(session_id: UUID) -> str:
    return f"session:{session_id}"


async def _ask(command: Any, *arguments: object, **options: object) -> bytes | None:
    """The answer of Redis, or None if it gives none."""
    global _away_until
    if monotonic() < _away_until:
        return None
    try:
        return await command(*arguments, **options)
    except REDIS_ERRORS as error:
        _away_until = monotonic() + PAUSE_S
        log.warning("sessions.redis_away", error=str(error) or type(error).__name__)
        return None
