"""One call to a marketplace, carried out with patience: retries, and waiting for its limits.

What an answer means is the business of the marketplace's own folder, which hands in a function that reads it. The errors it raises are the
instructions that this file follows (app.marketplaces.errors): `MarketplaceDown` is tried again, a short `RateLimited` is waited for, all
else ends the call.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic
from typing import Protocol, TypeVar

import aiohttp
import msgspec

from app.marketplaces.contract import Traffic
from app.marketplaces.errors import MarketplaceDown, MarketplaceError, RateLimited
from app.marketplaces.exchange import Answer, Call, exchange
from app.marketplaces.limits import CHECK_AFTER_S, LimitNews, Permit
from app.observability import metrics

Result = TypeVar("Result")


class Backoff(msgspec.Struct, frozen=True):
    """Full jitter: before attempt n + 1, a random time up to `base_s` · 2ⁿ⁻¹, never more than `longest_s`."""

    base_s: float = 0.5
    longest_s: float = 8.0

    def pause_s(self, attempt: int) -> float:
        return random.uniform(0.0, min(self.longest_s, self.base_s * 2 ** (attempt - 1)))


class Limits(Protocol):
    """The limits of the marketplaces' accounts, shared by all workers: app.marketplaces.limits."""

    async def take(self, call: Call) -> Permit: ...

    async def renew(self, call: Call, permit: Permit) -> Permit: ...

    async def learn(
        self, call: Call, permit: Permit, answer: Answer | None, news: LimitNews | None, error: MarketplaceError | None, age_s: float
    ) -> None: ...


class Transport:
    """What one marketplace client sends its calls through. The connections are shared by all; `traffic` is this client's own.

    `news` reads what the marketplace's answers say of its limits, if they say anything; the limits are corrected by it.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        *,
        limits: Limits | None = None,
        news: Callable[[Answer], LimitNews | None] = lambda _: None,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = http
        self._limits = limits
        self._news = news
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self.traffic = Traffic()

    async def send(self, call: Call, read: Callable[[Answer], Result]) -> Result:
        """Send the call until `read` makes a result of an answer.

        Raises:
            RateLimited: the marketplace, or our budget, asks for more than `call.patience_s`, or asks at every attempt.
            CircuitOpen: the marketplace fails for everybody, so the call was not sent.
            MarketplaceDown: no whole answer, or none that `read` took for one, at any attempt.
            MarketplaceError: whatever else `read` raises, at once.
        """
        try:
            return await self._send(call, read)
        except RateLimited:
            metrics.marketplace_postponed.labels(*_labels(call)).inc()
            raise

    async def _send(self, call: Call, read: Callable[[Answer], Result]) -> Result:
        attempt = 1
        while True:
            permit = await self._permit(self._limits, call) if self._limits else None
            try:
                return await self._attempt(call, permit, read)
            except RateLimited as refusal:
                pause_s = refusal.retry_after.total_seconds()
                if attempt >= call.attempts or pause_s > call.patience_s:
                    raise
                # Not all who were told the same second should come back in it.
                pause_s += random.uniform(0.0, 0.1 * pause_s)
                reason = "refusal"
            except MarketplaceDown:
                if attempt >= call.attempts:
                    raise
                pause_s = self._backoff.pause_s(attempt)
                reason = "retry"
            await self._pause(call, pause_s, reason)
            attempt += 1

    async def _permit(self, limits: Limits, call: Call) -> Permit:
        """Wait until the call may be sent.

        Raises:
            RateLimited: that would take longer than `call.patience_s`.
            CircuitOpen: nobody may call the marketplace at present.
        """
        permit = await limits.take(call)
        waited_s = 0.0
        while permit.wait_s > 0.0:
            if waited_s + permit.wait_s > call.patience_s:
                raise RateLimited(timedelta(seconds=permit.wait_s))
            await self._pause(call, permit.wait_s, "budget")
            if permit.wait_s < CHECK_AFTER_S:
                break
            waited_s += permit.wait_s
            permit = await limits.renew(call, permit)
        return permit

    async def _attempt(self, call: Call, permit: Permit | None, read: Callable[[Answer], Result]) -> Result:
        """Send the call once, and let the limits learn from it. The answer's file is for `read`, unless this fails."""
        answer: Answer | None = None
        sent_at = monotonic()
        age_s = 0.0
        self.traffic.requests += 1
        try:
            try:
                answer = await exchange(self._http, call)
                age_s = monotonic() - sent_at
                result = read(answer)
            except MarketplaceError as error:
                _count(call, error.code, monotonic() - sent_at)
                await self._learn(call, permit, answer, error, age_s)
                raise
            _count(call, "ok", monotonic() - sent_at)
            await self._learn(call, permit, answer, None, age_s)
        except BaseException:
            if answer is not None:
                answer.close()
            raise
        return result

    async def _learn(self, call: Call, permit: Permit | None, answer: Answer | None, error: MarketplaceError | None, age_s: float) -> None:
        if self._limits is not None and permit is not None:
            await self._limits.learn(call, permit, answer, self._news(answer) if answer else None, error, age_s)

    async def _pause(self, call: Call, seconds: float, reason: str) -> None:
        self.traffic.waited_s += seconds
        metrics.marketplace_wait.labels(*_labels(call), reason).inc(seconds)
        await self._sleep(seconds)


def _labels(call: Call) -> tuple[str, str]:
    return metrics.marketplace_of(call.account), call.group


def _count(call: Call, outcome: str, seconds: float) -> None:
    metrics.marketplace_requests.labels(*_labels(call), outcome).inc()
    metrics.marketplace_request_duration.labels(*_labels(call)).observe(seconds)
