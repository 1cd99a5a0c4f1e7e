"""Slowing down whoever guesses passwords, without locking anybody out.

Tries are counted by account and network (an IPv4 address, or a /64 of IPv6), before the password is looked at, in one script: of many at once as few get through as one
after the other. Five are free; then each one that fails makes the next wait twice as long, from 1 s up to 15 min. A right password forgets them.

An attacker with many networks is slowed down by the account's own count, of tries from networks that the account never came from: fifty are free, then there is one per
30 s for all of them together. Whoever keeps asking takes that one, so the owner must not depend on it: a network where the right password was given counts for itself
alone for 30 days. A long attack keeps the owner out of networks that are new to us, and out of no other; login sessions go on in any case.

It is the same for accounts that don't exist: who asks learns nothing of them. In Redis: `sign-in:{hash of the address}`, with `:{network}` for the one and without for
the other, gone by themselves after an hour without a try; `…:wait` while one has to wait; `…:known` for a network of the account's. Without Redis nothing is counted
here, and the limit by address holds within each process.
"""

import hashlib
import math
from datetime import timedelta
from typing import Any, Final, NamedTuple, cast

import structlog
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from app.errors import TooManyRequests
from app.observability import metrics
from app.rate_limits.policies import network_of
from app.redis import REDIS_ERRORS, get_redis

FORGOTTEN_AFTER_S: Final = 3600
KNOWN_S: Final = 30 * 86_400

# KEYS: the network's counter, the account's. ARGV: how long a counter is kept (s), then of each how many tries are free and the longest wait (s).
# Gives the ms to wait; 0: the try was counted.
BEGIN: Final = """
local counters = redis.call('EXISTS', KEYS[1] .. ':known') == 1 and 1 or 2
local wait = 0
for i = 1, counters do wait = math.max(wait, redis.call('PTTL', KEYS[i] .. ':wait')) end
if wait > 0 then return wait end
for i = 1, counters do
  local tries = redis.call('INCR', KEYS[i])
  redis.call('EXPIRE', KEYS[i], ARGV[1])
  local over = tries - tonumber(ARGV[2 * i])
  if over >= 0 then redis.call('SET', KEYS[i] .. ':wait', '', 'EX', math.min(2 ^ math.min(over, 30), tonumber(ARGV[2 * i + 1]))) end
end
return 0
"""

# KEYS: as above. ARGV: how long the network is known (s). Only what failed stays in the account's count.
FORGET: Final = """
redis.call('DEL', KEYS[1], KEYS[1] .. ':wait')
local was_known = redis.call('EXISTS', KEYS[1] .. ':known') == 1
redis.call('SET', KEYS[1] .. ':known', '', 'EX', ARGV[1])
if not was_known and tonumber(redis.call('GET', KEYS[2]) or 0) > 0 then redis.call('DECR', KEYS[2]) end
"""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class _Patience(NamedTuple):
    free: int
    longest_wait_s: int


ON_A_NETWORK: Final = _Patience(5, 900)
ANYWHERE: Final = _Patience(50, 30)

# The client is given at each call: tests and restarts change it.
_begin: Any = AsyncScript(cast("Redis", None), BEGIN.encode())
_forget: Any = AsyncScript(cast("Redis", None), FORGET.encode())


async def begin_attempt(email: str, address: str | None) -> None:
    """Count a try, or refuse it because the ones before came too quickly.

    Raises:
        TooManyRequests: says when the next one is looked at.
    """
    try:
        wait_ms = await _begin(_counters(email, address), [FORGOTTEN_AFTER_S, *ON_A_NETWORK, *ANYWHERE], client=get_redis())
    except REDIS_ERRORS as error:
        log.warning("sign_in.attempts_not_counted", error=str(error) or type(error).__name__)
        return
    if wait_ms > 0:
        wait_s = math.ceil(wait_ms / 1000)
        metrics.requests_rate_limited.labels("account").inc()
        raise TooManyRequests(f"Too many tries to sign in; the next one is looked at in {wait_s} s.", timedelta(seconds=wait_s))


async def forget_attempts(email: str, address: str | None) -> None:
    """The password was right."""
    try:
        await _forget(_counters(email, address), [KNOWN_S], client=get_redis())
    except REDIS_ERRORS as error:
        log.warning("sign_in.attempts_not_forgotten", error=str(error) or type(error).__name__)


async def remember_network(email: str, address: str | None) -> None:
    """The account was made from there."""
    network, _ = _counters(email, address)
    try:
        await get_redis().set(f"{network}:known", b"", ex=KNOWN_S)
    except REDIS_ERRORS as error:
        log.warning("sign_in.network_not_remembered", error=str(error) or type(error).__name__)


def _counters(email: str, address: str | None) -> list[str]:
    account = f"sign-in:{hashlib.sha256(email.encode()).hexdigest()[:32]}"
    return [f"{account}:{network_of(address)}", account]
