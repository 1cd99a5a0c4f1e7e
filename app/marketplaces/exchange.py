"""One HTTP exchange with a marketplace: a call as data goes out, a whole answer comes back, or none.

What is worth trying again, and when, is app.marketplaces.transport's business; what an answer means is the marketplace's own folder's. Why aiohttp:
docs/decisions/0009-aiohttp-below-the-sync.md.
"""

import asyncio
import math
import re
from collections.abc import Mapping
from datetime import timedelta
from tempfile import SpooledTemporaryFile
from typing import IO

import aiohttp
import httpx
import msgspec
from yarl import URL

from app.marketplaces.errors import EXCERPT_LENGTH, MarketplaceDown, UnexpectedResponse
from app.secret import Secret

MIB = 1024 * 1024
# Of an answer that isn't a success only the beginning is read: enough for any error document.
REFUSAL_BYTES = 64 * 1024
# Of a spooled answer so much stays in memory; what is larger goes to disk.
SPOOLED_BYTES = MIB
# What an excerpt is made from. Longer than an excerpt, so that a key is masked before it is cut through.
EXCERPT_SOURCE_BYTES = 16 * EXCERPT_LENGTH
SHORTEST_MASKED_PART = 12
LONGEST_WAIT_S = 86_400.0
# Anything else can't be sent in a header; a key with a line break in it would show in the error of the HTTP library.
_SENDABLE = re.compile(r"[\x21-\x7e]{1,4096}")


def is_sendable(key: Secret) -> bool:
    """Whether it can be sent in a header at all."""
    return _SENDABLE.fullmatch(key.reveal()) is not None


class Budget(msgspec.Struct, frozen=True):
    """How many calls a marketplace allows: `burst` at once, and one more every `interval_s`. A refused call (4XX) costs `refusal_cost` calls."""

    interval_s: float
    burst: int
    refusal_cost: int = 1


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call as data. A header may be a `Secret`; its value is revealed to the socket alone.

    `account` and `group` name the budget that the call draws from, and `budget` says how large it is; None: it is not known. `attempts` is 1 for what must not be sent twice. A wait of up to
    `patience_s` is slept, a longer one raises `RateLimited`. `timeout_s` is for one whole answer: it stops one that trickles for ever.
    An answer of at most `max_bytes` is taken, after unpacking; if it is `spooled`, it comes as a file, and memory does not grow with it.
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
    spooled: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What came back. Header names compare case-insensitively.

    The body of a success (2XX) of a spooled call is in `file`, to be read from its beginning, and `body` is empty; who gets the answer closes it.
    `beginning` is what an excerpt of it is made from.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | bytearray
    secrets: tuple[Secret, ...] = ()
    file: IO[bytes] | None = None
    beginning: bytes = b""

    @property
    def excerpt(self) -> str:
        """The beginning, for a log: without the keys that the call was made with, should the answer repeat them."""
        text = (self.body[:EXCERPT_SOURCE_BYTES] or self.beginning).decode("utf-8", "replace")
        for secret in self.secrets:
            value = secret.reveal()
            # A gateway may quote a part of a header: what follows “Bearer”, and a JWT's parts are secrets too.
            for part in (value, *value.replace(" ", ".").split(".")):
                if len(part) >= SHORTEST_MASKED_PART or part == value:
                    text = text.replace(part, Secret.MASK)
        return text[:EXCERPT_LENGTH]

    def number(self, header: str) -> float | None:
        """The header's value where it is a number from 0 on; None where it is absent or nonsense."""
        try:
            number = float(self.headers.get(header, ""))
        except ValueError:
            return None
        return number if math.isfinite(number) and number >= 0 else None

    def wait(self, header: str, usual: timedelta) -> timedelta:
        """How long the header asks to wait, in seconds; `usual` where it doesn't say. From a second, since none would be an invitation to a busy loop, to a
        day."""
        wait_s = self.number(header)
        return usual if wait_s is None else timedelta(seconds=min(max(wait_s, 1.0), LONGEST_WAIT_S))

    def close(self) -> None:
        """Close the file, if there is one."""
        if self.file is not None:
            self.file.close()


async def exchange(http: aiohttp.ClientSession, call: Call) -> Answer:
    """Send the call once.

    Raises:
        MarketplaceDown: no whole answer came.
        UnexpectedResponse: it is larger than a right answer can be.
    """
    headers = {name: value.reveal() if isinstance(value, Secret) else value for name, value in call.headers.items()}
    secrets = tuple(value for value in call.headers.values() if isinstance(value, Secret))
    url = URL(call.url, encoded=True)
    try:
        async with (
            asyncio.timeout(call.timeout_s),
            http.request(call.method, url, headers=headers, data=call.body, allow_redirects=False) as response,
        ):
            if not 200 <= response.status < 300:
                return Answer(response.status, response.headers, await _beginning(response), secrets)
            if call.spooled:
                file, beginning = await _file(response, call.max_bytes)
                return Answer(response.status, response.headers, b"", secrets, file, beginning)
            return Answer(response.status, response.headers, await _body(response, call.max_bytes), secrets)
    except (aiohttp.ClientError, TimeoutError) as error:
        # `from None`: aiohttp's errors hold the request, and with it the key.
        raise _no_answer(url, error) from None


async def _beginning(response: aiohttp.ClientResponse) -> bytearray:
    """What is read of a refusal, unpacked."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) >= REFUSAL_BYTES:
            break
    return body


async def _body(response: aiohttp.ClientResponse, max_bytes: int) -> bytearray:
    """Raises UnexpectedResponse: unpacked, it is larger than that."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return body


async def _file(response: aiohttp.ClientResponse, max_bytes: int) -> tuple[IO[bytes], bytes]:
    """The body as a file, at its beginning, and that beginning. Raises likewise."""
    file: IO[bytes] = SpooledTemporaryFile(SPOOLED_BYTES)  # noqa: SIM115  closed below if it isn't handed on
    try:
        async for chunk in response.content.iter_any():
            file.write(chunk)
            if file.tell() > max_bytes:
                raise _too_large(max_bytes)
        file.seek(0)
        beginning = file.read(EXCERPT_SOURCE_BYTES)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, beginning


def _too_large(max_bytes: int) -> UnexpectedResponse:
    return UnexpectedResponse(
        f"The answer is larger than {max_bytes:,} bytes.", detail_ru=f"Ответ маркетплейса слишком велик: больше {max_bytes / MIB:.0f} МБ."
    )


def _no_answer(url: URL, error: Exception) -> MarketplaceDown:
    # For a seller there is a sentence that says what happens next (app.sync.messages); how it failed is for the log.
    return MarketplaceDown(f"No whole answer from {url.host}.", excerpt=type(error).__name__)


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Where a connection is lost, aiohttp would send a GET again by itself: uncounted, and past the marketplace's limit."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _no_answer(request.url, error) from None


def make_http_client() -> aiohttp.ClientSession:
    """The connections to all marketplaces, one client for the life of a process; who makes it, in a running event loop, closes it.

    It takes no proxy from the environment, and keeps no cookie: what a marketplace sets in the answer to one seller must not go out with the call of
    another. (No redirect is followed either, since the key must not travel on: see `exchange`.)
    """
    return aiohttp.ClientSession(
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "stock-tracker", "Accept": "application/json"},
        # `connect` includes the wait for a free connection, which is of our own making: a worker with more calls under way than connections.
        timeout=aiohttp.ClientTimeout(total=None, connect=60.0, sock_connect=5.0, sock_read=60.0),
        # The same certificates are trusted as everywhere else in this service.
        connector=aiohttp.TCPConnector(limit=128, keepalive_timeout=30.0, ssl=httpx.create_ssl_context()),
        middlewares=(_send_once,),
    )
