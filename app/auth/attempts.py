"""Slowing down whoever guesses passwords, without locking anybody out.

Tries are counted by account and network (an IPv4 address, or a /64 of IPv6), before the password is looked at; a right password forgets them. Five are free; then each one
that fails makes the next wait twice as long, from 1 s up to 15 min. An attacker on one network so does not hinder the owner on another. One with many networks is
slowed down by the account's own count: fifty are free, and a wait is never longer than 30 s, so that the owner comes in however long the attack goes on.

It is the same for accounts that don't exist: who asks learns nothing of them. In Redis, gone by themselves after an hour without a try: `sign-in:{hash of the address}`,
with `:{network}` for the one and without for the other, and `…:wait` while one has to wait. Without Redis nothing is counted here, and the limit by address holds
within each process.
"""

import hashlib
from datetime import timedelta
from typing import Any, Final, NamedTuple

import structlog

from app.errors import TooManyRequests
from app.observability import metrics
from app.rate_limits.policies import network_of
from app.redis import REDIS_ERRORS, get_redis

FORGOTTEN_AFTER_S: Final = 3600

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class _Patience(NamedTuple):
    free: int
    longest_wait_s: int

    def wait_s(self, tries: int) -> int:
        """After so many that failed."""
        return min(2 ** min(tries - self.free, 30), self.longest_wait_s) if tries >= self.free else 0


ON_A_NETWORK: Final = _Patience(5, 900)
ANYWHERE: Final = _Patience(50, 30)


async def begin_attempt(email: str, address: str | None) -> None:
    """Count a try, or refuse it because the ones before came too quickly.

    Raises:
        TooManyRequests: says when the next one is looked at.
    """
    counters = _counters(email, address)
    try:
        waits = [await get_redis().ttl(f"{name}:wait") for name in counters]
        if max(waits) <= 0:
            await _count(counters)
    except REDIS_ERRORS as error:
        log.warning("sign_in.attempts_not_counted", error=str(error) or type(error).__name__)
        return
    if (wait_s := max(waits)) > 0:
        metrics.requests_rate_limited.labels("account").inc()
        raise TooManyRequests(f"Too many tries to sign in; the next one is looked at in {wait_s} s.", timedelta(seconds=wait_s))


async def forget_attempts(email: str, address: str | None) -> None:
    """The password was right."""
    mine, _ = _counters(email, address)
    try:
        await get_redis().delete(mine, f"{mine}:wait")
    except REDIS_ERRORS as error:
        log.warning("sign_in.attempts_not_forgotten", error=str(error) or type(error).__name__)


def _counters(email: str, address: str | None) -> dict[str, _Patience]:
    account = f"sign-in:{hashlib.sha256(email.encode()).hexdigest()[:32]}"
    return {f"{account}:{network_of(address)}": ON_A_NETWORK, account: ANYWHERE}


async def _count(counters: dict[str, _Patience]) -> None:
    # Before the password is looked at: many tries at once are as many as one after the other.
    for name, patience in counters.items():
        pipeline: Any = get_redis().pipeline()
        tries, _ = await pipeline.incr(name).expire(name, FORGOTTEN_AFTER_S).execute()
        if wait_s := patience.wait_s(tries):
            await get_redis().set(f"{name}:wait", b"", ex=wait_s)
