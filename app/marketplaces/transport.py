"""One call to a marketplace, carried out with patience: retries, and waiting for its limits.

What an answer means is the business of the marketplace's own folder, which hands in a function that reads it. The errors it raises are the
instructions that this file follows (app.marketplaces.errors): `MarketplaceDown` is tried again, a short `RateLimited` is waited for, all
else ends the call.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol, TypeVar

import httpx
import msgspec

from app.marketplaces.contract import Traffic
from app.marketplaces.errors import MarketplaceDown, RateLimited
from app.marketplaces.exchange import Answer, Call, exchange

Result = TypeVar("Result")


class Backoff(msgspec.Struct, frozen=True):
    """Full jitter: before attempt n + 1, a random time up to `base_s` · 2ⁿ⁻¹, never more than `longest_s`."""

    base_s: float = 0.5
    longest_s: float = 8.0

    def pause_s(self, attempt: int) -> float:
        return random.uniform(0.0, min(self.longest_s, self.base_s * 2 ** (attempt - 1)))


class Limits(Protocol):
    """The budgets of the marketplaces' accounts, shared by all workers."""

    async def wait_s(self, account: str, group: str, at_most_s: float) -> float:
        """Take one call from the budget and say in how many seconds it may be sent; where that is more than `at_most_s`, take nothing."""
        ...


class Transport:
    """What one marketplace client sends its calls through. The connections are shared by all; `traffic` is this client's own."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        limits: Limits | None = None,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = http
        self._limits = limits
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self.traffic = Traffic()

    async def send(self, call: Call, read: Callable[[Answer], Result]) -> Result:
        """Send the call until `read` makes a result of an answer.

        Raises:
            RateLimited: the marketplace, or our budget, asks for more than `call.patience_s`, or asks at every attempt.
            MarketplaceDown: no whole answer, or none that `read` took for one, at any attempt.
            MarketplaceError: whatever else `read` raises, at once.
        """
        attempt = 1
        while True:
            await self._await_turn(call)
            try:
                return read(await self._sent(call))
            except RateLimited as refusal:
                pause_s = refusal.retry_after.total_seconds()
                if attempt >= call.attempts or pause_s > call.patience_s:
                    raise
                # Not all who were told the same second should come back in it.
                pause_s += random.uniform(0.0, 0.1 * pause_s)
            except MarketplaceDown:
                if attempt >= call.attempts:
                    raise
                pause_s = self._backoff.pause_s(attempt)
            await self._pause(pause_s)
            attempt += 1

    async def _await_turn(self, call: Call) -> None:
        if self._limits is None:
            return
        wait_s = await self._limits.wait_s(call.account, call.group, call.patience_s)
        if wait_s > call.patience_s:
            raise RateLimited(timedelta(seconds=wait_s))
        if wait_s > 0.0:
            await self._pause(wait_s)

    async def _pause(self, seconds: float) -> None:
        self.traffic.waited_s += seconds
        await self._sleep(seconds)

    async def _sent(self, call: Call) -> Answer:
        self.traffic.requests += 1
        return await exchange(self._http, call)
