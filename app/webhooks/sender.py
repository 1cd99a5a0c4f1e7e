"""One attempt: a signed body goes out, what came back is told in a few words. It decides nothing about the next attempt."""

import asyncio
import re
import socket
import ssl
from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import monotonic
from typing import Final

import httpx
import msgspec

from app.settings import Settings
from app.webhooks.destinations import DestinationBarred, DestinationPolicy, parse_url
from app.webhooks.transport import CheckedTransport

CONNECT_TIMEOUT_S: Final = 5.0
TOTAL_TIMEOUT_S: Final = 15.0
MAX_ANSWER_BYTES: Final = 64 * 1024
EXCERPT_BYTES: Final = 2 * 1024

LONGEST_RETRY_AFTER_S: Final = 7 * 86_400
"""A receiver may ask for more; nobody here waits that long."""


class Failure(StrEnum):
    """Why an attempt failed. The words are stored and shown to bot developers: none ever changes."""

    CONNECT_TIMEOUT = "connect_timeout"
    """Looking the name up, connecting or the TLS handshake took too long."""
    TIMEOUT = "timeout"
    """The connection stood and no whole answer came in time."""
    NAME_NOT_FOUND = "name_not_found"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_FAILED = "connection_failed"
    """No way to the address, or it hung up before the connection stood."""
    CONNECTION_LOST = "connection_lost"
    TLS_ERROR = "tls_error"
    """The certificate does not verify, or the two found no common TLS."""
    INVALID_ANSWER = "invalid_answer"
    """No HTTP, or it ended before it was whole."""
    REDIRECT = "redirect"
    UNSUCCESSFUL_STATUS = "unsuccessful_status"
    DESTINATION_BARRED = "destination_barred"
    """Nothing was sent, and nothing ever will be: app.webhooks.destinations."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one attempt. It was delivered when there is no `error`: a whole answer came, and its status was 2xx.

    `status_code` and `excerpt`, the first 2 kB of the answer as text that any database takes, are there as soon as a status line came, also with an
    error. `retry_after_s` is what the receiver asked for with 429 or 503, from 0 to LONGEST_RETRY_AFTER_S.
    """

    status_code: int | None = None
    excerpt: str | None = None
    duration_s: float
    error: Failure | None = None
    retry_after_s: float | None = None

    @property
    def delivered(self) -> bool:
        return self.error is None


class Sender:
    """Sends to checked destinations, over one set of kept-alive connections. One for the life of a process; who makes it closes it."""

    def __init__(
        self,
        policy: DestinationPolicy,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`ssl_context` says whose certificates are trusted, as for `CheckedTransport`."""
        self._total_timeout_s = total_timeout_s
        self._http = httpx.AsyncClient(
            transport=CheckedTransport(policy, ssl_context),
            trust_env=False,
            follow_redirects=False,
            # What one tenant's receiver sets must not go out to another's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={
                "User-Agent": "stock-tracker-webhooks",
                "Content-Type": "application/json",
                # Read as it comes, so that the bound on its size holds: 64 kB of gzip can be 64 MB of text.
                "Accept-Encoding": "identity",
            },
            timeout=httpx.Timeout(total_timeout_s, connect=connect_timeout_s),
        )

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST the body once and read the answer. `headers` come from `app.webhooks.signing.sign`. Whatever the receiver does becomes an `Answer`."""
        started_s = monotonic()
        response: httpx.Response | None = None
        received = bytearray()
        try:
            target = parse_url(url)
            async with (
                asyncio.timeout(self._total_timeout_s),
                self._http.stream("POST", target, headers=dict(headers), content=body) as response,
            ):
                async for chunk in response.aiter_raw():
                    received += chunk
                    if len(received) >= MAX_ANSWER_BYTES:
                        break
            error = _failure_of_status(response.status_code)
        except (DestinationBarred, httpx.TransportError, TimeoutError) as caught:
            error = _failure_of(caught)
        duration_s = monotonic() - started_s
        if response is None:
            return Answer(duration_s=duration_s, error=error)
        return Answer(
            status_code=response.status_code,
            excerpt=_excerpt(received),
            duration_s=duration_s,
            error=error,
            retry_after_s=_retry_after_s(response),
        )

    async def close(self) -> None:
        await self._http.aclose()


def _failure_of_status(status_code: int) -> Failure | None:
    if 200 <= status_code < 300:
        return None
    return Failure.REDIRECT if 300 <= status_code < 400 else Failure.UNSUCCESSFUL_STATUS


def _failure_of(error: Exception) -> Failure:
    match error:
        case DestinationBarred():
            return Failure.DESTINATION_BARRED
        case httpx.ConnectTimeout():
            return Failure.CONNECT_TIMEOUT
        case httpx.TimeoutException() | TimeoutError():
            return Failure.TIMEOUT
        case httpx.ProtocolError():
            return Failure.INVALID_ANSWER
        case _:
            pass
    for origin in _origins(error):
        match origin:
            case ssl.SSLError():
                return Failure.TLS_ERROR
            case socket.gaierror():
                return Failure.NAME_NOT_FOUND
            case ConnectionRefusedError():
                return Failure.CONNECTION_REFUSED
            case _:
                continue
    return Failure.CONNECTION_FAILED if isinstance(error, httpx.ConnectError) else Failure.CONNECTION_LOST


def _origins(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        # httpcore's pool raises "from None", which leaves what really happened only as the context.
        error = error.__cause__ or error.__context__


def _excerpt(received: bytearray) -> str:
    """As text, whatever it is; PostgreSQL takes no NUL. A character that the cut goes through is left out."""
    decoder = getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(received[:EXCERPT_BYTES], final=len(received) <= EXCERPT_BYTES)
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _retry_after_s(response: httpx.Response) -> float | None:
    """Seconds or an HTTP date (RFC 9110, 10.2.3); what is neither is as good as not there."""
    value = response.headers.get("Retry-After", "").strip()
    if response.status_code not in {429, 503} or not value:
        return None
    if re.fullmatch(r"[0-9]{1,12}", value):
        return min(float(value), LONGEST_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    # A date without a zone, as in the oldest form, is in UTC.
    wait_s = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(wait_s, 0.0), LONGEST_RETRY_AFTER_S)


_sender: Sender | None = None


def open_sender(settings: Settings) -> None:
    """At the process's start, inside its event loop."""
    global _sender
    _sender = Sender(DestinationPolicy(settings.webhook_allowed_networks))


def get_sender() -> Sender:
    if _sender is None:
        raise RuntimeError("The sender is not open in this process.")
    return _sender


async def close_sender() -> None:
    """At the process's stop."""
    global _sender
    if _sender is not None:
        await _sender.close()
        _sender = None
