"""One HTTP exchange with a marketplace: a call as data goes out, a whole answer comes back, or none.

What is worth trying again, and when, is app.marketplaces.transport's business; what an answer means is the marketplace's own folder's.
"""

import asyncio
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urlsplit

import httpx
import msgspec

from app.marketplaces.errors import EXCERPT_LENGTH, MarketplaceDown, UnexpectedResponse
from app.secret import Secret

MIB = 1024 * 1024
# Of an answer that isn't a success only the beginning is read: enough for any error document.
REFUSAL_BYTES = 64 * 1024
# What an excerpt is made from. Longer than an excerpt, so that a key is masked before it is cut through.
EXCERPT_SOURCE_BYTES = 16 * EXCERPT_LENGTH
SHORTEST_MASKED_PART = 12


class Budget(msgspec.Struct, frozen=True):
    """How many calls a marketplace allows: `burst` at once, and one more every `interval_s`. A refused call (4XX) costs `refusal_cost` calls."""

    interval_s: float
    burst: int
    refusal_cost: int = 1


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call as data. A header may be a `Secret`; its value is revealed to the socket alone.

    `account` and `group` name the budget that the call draws from, and `budget` says how large it is; None: it is not known. `attempts` is 1 for what must not be sent twice. A wait of up to
    `patience_s` is slept, a longer one raises `RateLimited`. `timeout_s` is for one whole answer: it stops one that trickles for ever.
    """

    method: str
    url: str
    account: str
    group: str
    budget: Budget | None = None
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
            # A gateway may quote a part of a header: what follows “Bearer”, and a JWT's parts are secrets too.
            for part in (value, *value.replace(" ", ".").split(".")):
                if len(part) >= SHORTEST_MASKED_PART or part == value:
                    text = text.replace(part, Secret.MASK)
        return text[:EXCERPT_LENGTH]


async def exchange(http: httpx.AsyncClient, call: Call) -> Answer:
    """Send the call once.

    Raises:
        MarketplaceDown: no whole answer came.
        UnexpectedResponse: it is larger than a right answer can be.
    """
    headers = {name: value.reveal() if isinstance(value, Secret) else value for name, value in call.headers.items()}
    try:
        async with asyncio.timeout(call.timeout_s), http.stream(call.method, call.url, headers=headers, content=call.body) as response:
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
