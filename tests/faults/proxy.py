"""The way to the database: a TCP port whose other end can be cut, refused, held up, and led to another server."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

CHUNK_BYTES = 65_536

Way = Literal["open", "refused", "held up"]


class Proxy:
    """Carries bytes between a port of this machine and a Unix socket, in a thread of its own.

    `lead_to` changes where new connections go; those that are open stay until they are cut. While it is refused, a connection is closed as soon as it is made;
    while it is held up, connections are taken and nothing passes in either direction, and then all of it does.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._target = ""
        self._way: Way = "open"
        self._loop = asyncio.new_event_loop()
        self._passable = asyncio.Event()
        self._passable.set()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._connect, sock=self._listener), self._loop).result()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cut()
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def lead_to(self, socket_path: str) -> None:
        self._in_loop(lambda: setattr(self, "_target", socket_path))

    def let(self, way: Way) -> None:
        """What becomes of connections from now on. `refused` cuts those that are open, too."""

        def change() -> None:
            self._way = way
            if way == "held up":
                self._passable.clear()
            else:
                self._passable.set()

        self._in_loop(change)
        if way == "refused":
            self.cut()

    def cut(self) -> int:
        """Break all connections off, wherever in their messages they are, without a word to either end. Gives how many there were."""

        def cancel() -> int:
            for connection in self._connections:
                connection.cancel()
            return len(self._connections)

        return self._in_loop(cancel)

    def _in_loop(self, act: Callable[[], int | None]) -> int:
        async def carry_out() -> int | None:
            return act()

        return asyncio.run_coroutine_threadsafe(carry_out(), self._loop).result() or 0

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # a coroutine always runs in a task
        self._connections.add(task)
        # Cancelled is how a connection is cut; the streams' own callback would report it.
        with suppress(OSError, asyncio.CancelledError):
            await self._carry(reader, writer)
        self._connections.discard(task)
        writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._way == "refused":
            return
        server_reader, server_writer = await asyncio.open_unix_connection(self._target)
        ways = [asyncio.create_task(self._pump(reader, server_writer)), asyncio.create_task(self._pump(server_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            server_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._passable.wait()
                writer.write(chunk)
                await writer.drain()

    async def _close(self) -> None:
        self._server.close()
        while self._connections:
            await asyncio.wait(set(self._connections))
