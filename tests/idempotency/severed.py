"""The way from an API process to its database, severed behind a commit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit, urlunsplit

COMMIT = b"COMMIT\0"
CHUNK_BYTES = 65_536


class SeveredWay:
    """Carries bytes between a port of this machine and PostgreSQL, until the commit of the first transaction in which a client has sent `words`. The server still
    hears that, and the client never learns what came of it: from then on nothing passes, and `severed` is set.
    """

    def __init__(self, database_url: str, words: bytes) -> None:
        self._database = urlsplit(database_url)
        self._words = words
        self.severed = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Gives the URL for the process at this end."""
        async with await asyncio.start_server(self._connect, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            account = self._database.netloc.rpartition("@")[0]
            yield urlunsplit(self._database._replace(netloc=f"{account}@127.0.0.1:{port}", query=""))

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if sockets := parse_qs(self._database.query).get("host"):
            server_reader, server_writer = await asyncio.open_unix_connection(f"{sockets[0]}/.s.PGSQL.5432")
        else:
            server_reader, server_writer = await asyncio.open_connection(self._database.hostname, self._database.port or 5432)
        ways = [asyncio.create_task(self._ask(reader, server_writer)), asyncio.create_task(self._answer(server_reader, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for end in (writer, server_writer):
            end.transport.abort()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met = False
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if self.severed.is_set():
                    continue
                met |= self._words in chunk
                if met and COMMIT in chunk:
                    self.severed.set()
                writer.write(chunk)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if not self.severed.is_set():
                    writer.write(chunk)
