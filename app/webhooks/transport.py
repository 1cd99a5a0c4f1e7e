"""Connections to checked addresses.

A name is resolved once, all its addresses are judged, and the connection goes to one of those very addresses. Between the judgement and the
connection nobody is asked again, so a name that changes its mind (DNS rebinding) gains nothing. TLS, the Host header and the pool of kept-alive
connections know only the URL's own host.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import contextmanager
from typing import Any, Final, cast

import httpcore
import httpx

from app.webhooks.destinations import DestinationPolicy

MAX_ADDRESSES_TRIED: Final = 4
"""All addresses are judged, so many are tried, and they share the time for connecting: a dead one leaves some to the next."""

KEEP_ALIVE_S: Final = 4.0
"""Node.js and uvicorn hang up after 5 s of silence; we do before, so that no request crosses with that."""


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Makes connections to checked addresses only. `plain` is for connections that stay without TLS."""

    def __init__(self, policy: DestinationPolicy, *, plain: bool) -> None:
        self._policy = policy
        self._plain = plain
        # A type checker sees httpcore's stand-in for a missing anyio.
        self._network = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, check and connect, all within `timeout` seconds.

        Raises:
            DestinationBarred: an address of the host may not be reached.
            httpcore.ConnectTimeout: no answer in time from the resolver or the addresses.
            httpcore.ConnectError: the name has no address (caused by socket.gaierror), or none takes the connection.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        try:
            async with asyncio.timeout_at(deadline):
                addresses = await self._policy.addresses(host, port, plain=self._plain)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("The name was not looked up in time.") from error
        except socket.gaierror as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = addresses[:MAX_ADDRESSES_TRIED]
        failure: Exception = httpcore.ConnectError("The name has no address.")
        for position, address in enumerate(addresses):
            share = None if deadline is None else max(deadline - loop.time(), 0.0) / (len(addresses) - position)
            try:
                return await self._network.connect_tcp(str(address), port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class CheckedTransport(httpx.AsyncBaseTransport):
    """httpx's way through `CheckedBackend`: kept-alive connections, HTTP/1.1, no proxy, no retries.

    How many connections there may be at once is for the caller to bound; here nobody waits for another's.
    """

    def __init__(self, policy: DestinationPolicy, ssl_context: ssl.SSLContext | None = None) -> None:
        """`ssl_context` says whose certificates are trusted: by default those that httpx trusts, or SSL_CERT_FILE."""
        ssl_context = ssl_context or httpx.create_ssl_context()
        # A pool each, since httpcore doesn't tell the backend whether TLS will follow.
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                ssl_context=ssl_context,
                max_connections=None,
                max_keepalive_connections=100,
                keepalive_expiry=KEEP_ALIVE_S,
                network_backend=CheckedBackend(policy, plain=scheme == "http"),
            )
            for scheme in ("https", "http")
        }

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises DestinationBarred beside what httpx's own transports raise."""
        pool = self._pools.get(request.url.scheme)
        if pool is None:
            raise httpx.UnsupportedProtocol("Only https and http.")
        assert isinstance(request.stream, httpx.AsyncByteStream)
        with _as_httpx_errors():
            response = await pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        extensions = cast("dict[str, Any]", response.extensions)
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response), extensions=extensions)

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


class _Body(httpx.AsyncByteStream):
    """The answer's body as it comes."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx_errors():
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._response.aclose()


_HTTPX_ERRORS: Final[dict[type[Exception], type[httpx.TransportError]]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    # In TLS 1.3 a server refuses after the handshake, and httpcore lets that through as it is.
    ssl.SSLError: httpx.ReadError,
}


@contextmanager
def _as_httpx_errors() -> Generator[None]:
    """Raise httpx's sister of httpcore's error, caused by it."""
    try:
        yield
    except tuple(_HTTPX_ERRORS) as error:
        sister = next(httpx_error for httpcore_error, httpx_error in _HTTPX_ERRORS.items() if isinstance(error, httpcore_error))
        raise sister(str(error)) from error
