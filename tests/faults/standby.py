"""The database of the installation: a server that may be stopped, killed, frozen and filled, and a standby that takes its place."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from app.embedded.lifetime import ENVIRONMENT
from app.embedded.postgres import Postgres, _find_programs, _server_account
from tests.faults.proxy import Proxy

DISK_BYTES = 700 * 1024 * 1024
STARTS_WITHIN_S = 30.0


class Database:
    """A PostgreSQL server behind a proxy. Products connect to `url`, through the proxy; the tests look past it.

    All of its data lies in `disk`, a small file system of its own where this user may make one.
    """

    def __init__(self, folder: Path, proxy: Proxy) -> None:
        self.disk = folder / "disk"
        self.proxy = proxy
        self._servers = 0
        self.server = self._new_server()

    @property
    def url(self) -> str:
        return f"postgresql://stock_tracker@127.0.0.1:{self.proxy.port}/stock_tracker"

    @property
    def sockets(self) -> str:
        return _sockets(self.server)

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)
        # Otherwise the log alone may take more than the disk has.
        await self.rows("ALTER SYSTEM SET max_wal_size = '96MB'")
        await self.rows("SELECT pg_reload_conf()")
        self.proxy.lead_to(f"{self.sockets}/.s.PGSQL.5432")

    async def stop(self) -> None:
        """In good order, and at once: sessions are cut, what was committed is written."""
        await asyncio.to_thread(self.server.stop)

    async def crash(self) -> None:
        """End at once, as where the machine ends; the next start recovers from the log (`pg_ctl stop -m immediate`)."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGQUIT)
        await self.stop()

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        return int((self.server._cluster / "postmaster.pid").read_text().partition("\n")[0])

    def processes(self) -> list[int]:
        """The postmaster, and after it all processes that it started."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    async def backends(self) -> list[int]:
        """Of the product's sessions."""
        return [row[0] for row in await self.rows("SELECT pid FROM pg_stat_activity WHERE application_name = 'stock-tracker'")]

    def signal_all(self, number: signal.Signals) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def connect(self) -> Any:
        """As a superuser, whom no wall holds, past the proxy."""
        return await asyncpg.connect(f"postgresql://postgres@/stock_tracker?host={self.sockets}&port=5432", timeout=10)

    async def rows(self, statement: str, *arguments: object) -> list[Any]:
        """On a connection of its own, as by `connect`."""
        connection = await self.connect()
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close(timeout=5)

    async def value(self, statement: str, *arguments: object) -> Any:
        return (await self.rows(statement, *arguments))[0][0]

    async def until(self, statement: str, *arguments: object, within_s: float, what: str) -> None:
        """Until the statement gives a row.

        Raises:
            AssertionError: it gave none in time.
        """
        deadline = time.monotonic() + within_s
        while True:
            with suppress(OSError, asyncpg.PostgresError):
                if await self.rows(statement, *arguments):
                    return
            assert time.monotonic() < deadline, f"in {within_s:.0f} s it did not happen that {what}"
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def standby(self) -> AsyncIterator["Standby"]:
        """One that has all that was committed: the server waits for it with each commit."""
        standby = Standby(self, self._new_server())
        await asyncio.to_thread(standby.copy)
        await asyncio.to_thread(standby.server.start)
        await self.rows("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await self.rows("SELECT pg_reload_conf()")
        await self.until(
            "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'", within_s=STARTS_WITHIN_S, what="the standby followed the server"
        )
        yield standby

    def _new_server(self) -> Postgres:
        self._servers += 1
        return Postgres(self.disk / str(self._servers))


class Standby:
    """Follows the server until it is promoted."""

    def __init__(self, database: Database, server: Postgres) -> None:
        self.server = server
        self._database = database

    def copy(self) -> None:
        primary = self._database
        account = _server_account(primary.server._cluster)
        programs, _ = _find_programs(account)
        cluster = self.server._cluster
        cluster.mkdir(parents=True, mode=0o700)
        if account:
            os.chown(cluster, account["user"], account["group"])
        subprocess.run(
            [programs / "pg_basebackup", "-h", primary.sockets, "-p", "5432", "-U", "postgres", "-D", "/proc/self/cwd", "-R", "-X", "stream",
             "-c", "fast"],
            env=ENVIRONMENT, cwd=cluster, check=True, capture_output=True, **account,
        )  # fmt: skip

    def lead_here(self) -> None:
        """New connections come to the standby, which reads and does not write as long as it is none."""
        self._database.proxy.lead_to(f"{_sockets(self.server)}/.s.PGSQL.5432")

    async def promote(self) -> None:
        """It takes the place of the server, which is gone."""
        former = self._database.server
        self._database.server = self.server
        await self._database.rows("SELECT pg_promote(true, 30)")
        self.lead_here()
        shutil.rmtree(former._data)


@contextmanager
def small_disk(folder: Path) -> Iterator[str]:
    """A file system of its own for the folder, where this user may mount one; gives why not, else nothing."""
    folder.mkdir()
    mounted = _run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "stock-tracker-faults", str(folder)])
    try:
        yield mounted
    finally:
        if not mounted:
            _run(["umount", "-l", str(folder)])


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Nothing more can be written to the file system of that folder."""
    filler = folder / "filler"
    try:
        with filler.open("wb") as file, suppress(OSError):
            while True:
                file.write(bytes(1024 * 1024))
                file.flush()
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        yield
    finally:
        filler.unlink()


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or f"{command[0]} ended with {done.returncode}"


def _sockets(server: Postgres) -> str:
    return parse_qs(urlsplit(server.url).query)["host"][0]
