"""The commands of many requests over one connection, for what each request asks of Redis.

redis-py lends each command a connection of its own until the answer is there, which costs many times what the command does. Here whatever is asked within one turn of
the event loop goes out in one write, and the answers come in the order of the questions (https://valkey.io/topics/pipelining/). So it is for short commands only: a slow
one holds up all that were asked after it.
"""

import asyncio
import hashlib
import math
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final, cast

import hiredis
from redis.asyncio.connection import ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError, NoScriptError, RedisError, ResponseError, TimeoutError

CONNECT_TIMEOUT_S: Final = 0.5
CHECK_S: Final = 0.25
SILENT_CHECKS: Final = 2
"""Redis counts as hanging after so many checks without a word from it. Not one long time-out: a pause of our own event loop counts once, however long it was."""

_NOTHING_YET: Final = object()

Word = str | bytes | int


class Script:
    """A Lua script. Redis keeps it under its SHA-1, and is sent the text only where it doesn't know it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Multiplexer:
    """Connects when first used, and again after the connection is lost. Nothing is asked twice: a command whose connection was lost may have been carried out.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with what redis-py reads from it: account, database, certificates.
    """

    def __init__(self, url: str) -> None:
        self._place: Any = ConnectionPool.from_url(url).make_connection()
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[_Connection] | None = None
        self._had_none = False
        self.back_since = -math.inf
        """When (monotonic, s) Redis answered again after it had been lost or could not be reached; what it knew may be old since."""

    async def execute(self, *command: Word) -> Any:
        """The answer: bytes, an integer, a list of these, or None.

        Raises:
            RedisError: Redis is away, hangs, or refused the command.
            OSError: it can't be reached.
        """
        connection = self._connection
        if connection is None or connection.is_lost:
            connection = await self._connect_once()
        return await connection.ask(command)

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Word]) -> Any:
        """The script's answer.

        Raises:
            RedisError, OSError: as `execute`.
        """
        try:
            return await self.execute("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self.execute("EVAL", script.text, len(keys), *keys, *arguments)

    async def close(self) -> None:
        """Who still waits for an answer gets a ConnectionError."""
        if self._connecting is not None:
            self._connecting.cancel()
            with suppress(asyncio.CancelledError, RedisError, OSError):
                await self._connecting
        if self._connection is not None:
            self._connection.end(ConnectionError, "The connection to Redis was closed.")

    async def _connect_once(self) -> "_Connection":
        """However many ask at once, one connection is made, and what became of it is told to all."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._connected)
        return await asyncio.shield(self._connecting)

    def _connected(self, connecting: "asyncio.Task[_Connection]") -> None:
        self._connecting = None
        # To ask for the exception marks it as seen, should all who waited for it have gone away.
        if not connecting.cancelled() and connecting.exception() is None:
            if self._had_none or self._connection is not None:
                self.back_since = monotonic()
            self._had_none = False
            self._connection = connecting.result()
        else:
            self._had_none = True

    async def _connect(self) -> "_Connection":
        place = self._place
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            connection = await _open(place)
            try:
                if place.password:
                    await connection.ask(("AUTH", *([place.username] if place.username else []), place.password))
                if place.db:
                    await connection.ask(("SELECT", place.db))
            except BaseException:
                connection.end(ConnectionError, "Redis did not let us in.")
                raise
        return connection


async def _open(place: Any) -> "_Connection":
    loop = asyncio.get_running_loop()
    if isinstance(place, UnixDomainSocketConnection):
        return (await loop.create_unix_connection(_Connection, place.path))[1]
    tls: Any = cast("Any", place).ssl_context.get() if isinstance(place, SSLConnection) else None
    return (await loop.create_connection(_Connection, place.host, place.port, ssl=tls))[1]


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.is_lost = False
        self._loop = asyncio.get_running_loop()
        self._answers = hiredis.Reader(replyError=_refusal, notEnoughData=_NOTHING_YET)
        self._outgoing: list[bytes] = []
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._silent_checks = 0
        self._next_check: asyncio.TimerHandle | None = None

    def ask(self, command: tuple[Word, ...]) -> "asyncio.Future[Any]":
        if not self._outgoing:
            self._loop.call_soon(self._send)
        self._outgoing.append(_pack(command))
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(answer)
        if self._next_check is None:
            self._silent_checks = 0
            self._next_check = self._loop.call_later(CHECK_S, self._check)
        return answer

    def end(self, error: type[RedisError], why: str) -> None:
        self.is_lost = True
        self._transport.abort()
        if self._next_check is not None:
            self._next_check.cancel()
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(error(why))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._silent_checks = 0
        self._answers.feed(data)
        try:
            while (given := self._answers.gets()) is not _NOTHING_YET:
                answer = self._waiting.popleft()
                if answer.done():  # who asked has gone away
                    continue
                if isinstance(given, RedisError):
                    answer.set_exception(given)
                else:
                    answer.set_result(given)
        except (hiredis.ProtocolError, IndexError):
            self.end(ConnectionError, "What came over the connection is no answer of Redis.")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name for it
        self.end(ConnectionError, "Redis closed the connection.")

    def _send(self) -> None:
        if not self.is_lost:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def _check(self) -> None:
        self._next_check = None
        if not self._waiting:
            return
        self._silent_checks += 1
        if self._silent_checks > SILENT_CHECKS:
            self.end(TimeoutError, "Redis does not answer.")
        else:
            self._next_check = self._loop.call_later(CHECK_S, self._check)


# Its stub says that it takes one word.
_pack = cast("Callable[[tuple[Word, ...]], bytes]", hiredis.pack_command)


def _refusal(message: str) -> ResponseError:
    return NoScriptError(message) if message.startswith("NOSCRIPT ") else ResponseError(message)
