"""One call to a marketplace, carried out with patience: time-outs, retries, limits, bounds.

What an answer means is the business of the marketplace's own folder, which hands in a function that reads it. The errors it raises are the
instructions that this file follows (app.marketplaces.errors): `MarketplaceDown` is tried again, a short `RateLimited` is waited for, all
else ends the call.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from app.marketplaces.contract import Traffic
from app.marketplaces.errors import EXCERPT_LENGTH, MarketplaceDown, RateLimited, UnexpectedResponse
from app.secret import Secret

Result = TypeVar("Result")

MIB = 1024 * 1024
# Of an answer that isn't a success only the beginning is read: enough for any error document.
REFUSAL_BYTES = 64 * 1024
# What an excerpt is made from. Longer than an excerpt, so that a key is masked before it is cut through.
EXCERPT_SOURCE_BYTES = 16 * EXCERPT_LENGTH
SHORTEST_MASKED_PART = 12


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call as data. A header may be a `Secret`; its value is revealed to the socket alone.

    `account` and `group` name the budget that the call draws from. `attempts` is 1 for what must not be sent twice. A wait of up to
    `patience_s` is slept, a longer one raises `RateLimited`. `timeout_s` is for one whole answer: it stops one that trickles for ever.
    """

    method: str
    url: str
    account: str
    group: str
    headers: Mapping[str, str | Secret] = {}
    body: bytes | None = None
    attempts: int = 5
    patience_s: float = 10.0
    timeout_s: float = 300.0
    max_bytes: int = 8 * MIB


class Answer(msgspec.Struct, frozen=True):
    """What came back. Header names compare case-insensitively."""

    status: int
    headers: Mapping[str, str]
    body: bytes | bytearray
    secrets: tuple[Secret, ...] = ()

    @property
    def excerpt(self) -> str:
        """The beginning, for a log: without the keys that the call was made with, should the answer repeat them."""
        text = self.body[:EXCERPT_SOURCE_BYTES].decode("utf-8", "replace")
        for secret in self.secrets:
            value = secret.reveal()
            # A gateway may quote a part of a token, and a JWT's parts are secrets too.
            for part in (value, *value.split(".")):
                if len(part) >= SHORTEST_MASKED_PART or part == value:
                    text = text.replace(part, Secret.MASK)
        return text[:EXCERPT_LENGTH]


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
                return read(await self._exchange(call))
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

    async def _exchange(self, call: Call) -> Answer:
        headers = {name: value.reveal() if isinstance(value, Secret) else value for name, value in call.headers.items()}
        self.traffic.requests += 1
        try:
            async with (
                asyncio.timeout(call.timeout_s),
                self._http.stream(call.method, call.url, headers=headers, content=call.body) as response,
            ):
                body = await _bounded_body(response, call.max_bytes)
        except (httpx.TransportError, httpx.DecodingError, TimeoutError) as error:
            # `from None`: httpx's errors hold the request, and with it the key.
            raise MarketplaceDown(f"No whole answer from {urlsplit(call.url).hostname} ({type(error).__name__}).") from None
        secrets = tuple(value for value in call.headers.values() if isinstance(value, Secret))
        return Answer(response.status_code, response.headers, body, secrets)


async def _bounded_body(response: httpx.Response, max_bytes: int) -> bytearray:
    """The body, unpacked. Of a refusal, its beginning.

    Raises:
        UnexpectedResponse: it is larger than a right answer can be.
    """
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if response.is_success and len(body) > max_bytes:
            raise UnexpectedResponse(f"The answer is larger than {max_bytes:,} bytes.")
        if not response.is_success and len(body) >= REFUSAL_BYTES:
            break
    return body


def make_http_client() -> httpx.AsyncClient:
    """The connections to all marketplaces, one client for the life of a process; who makes it closes it.

    It follows no redirects, since the key must not travel on, takes no proxy from the environment, and keeps no cookie: what a
    marketplace sets in the answer to one seller must not go out with the call of another.
    """
    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"User-Agent": "stock-tracker", "Accept": "application/json"},
        # The pool's time is a wait of our own making: a worker with more calls under way than connections.
        timeout=httpx.Timeout(connect=5.0, read=60.0, write=60.0, pool=60.0),
        limits=httpx.Limits(max_connections=128, max_keepalive_connections=64, keepalive_expiry=30.0),
    )
