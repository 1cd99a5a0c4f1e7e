"""What the database says when it can't do something at present is `Unavailable`, whatever the statement was."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from app.database import _bound_silence, database, tenant_scope
from app.errors import Unavailable
from app.ids import new_id
from app.secret import Secret

pytestmark = pytest.mark.anyio

RAISE = "DO $$ BEGIN RAISE EXCEPTION 'as the server would say it' USING ERRCODE = '{}'; END $$"


@pytest.mark.parametrize(
    "code",
    ["53100", "53200", "57014", "58030", "40001", "40P01", "25006", "55P03"],
    ids=["disk full", "out of memory", "cancelled", "disk fails", "not serializable", "deadlock", "only reads", "locked"],
)
async def test_what_may_succeed_later_is_unavailable_and_the_connection_goes_on(open_database, code: str):
    with pytest.raises(Unavailable):
        async with tenant_scope(new_id()) as connection:
            await connection.execute(RAISE.format(code))

    async with tenant_scope(new_id()) as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_faulty_statement_stays_a_fault_of_ours(open_database):
    with pytest.raises(Exception, match="as the server would say it") as raised:
        async with tenant_scope(new_id()) as connection:
            await connection.execute(RAISE.format("22012"))

    assert not isinstance(raised.value, Unavailable)


async def test_a_server_that_hangs_is_unavailable(open_database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.database.STATEMENT_TIMEOUT_S", 0.3)
    before = database.pool
    database.pool = None
    try:
        await database.open(Secret(open_database), pool_size=2, production=False)
        with pytest.raises(Unavailable):
            async with tenant_scope(new_id()) as connection:
                await connection.execute("SELECT pg_sleep(20)")
        async with tenant_scope(new_id()) as connection:
            assert await connection.fetchval("SELECT 1") == 1
        await database.close()
    finally:
        database.pool = before


@pytest.fixture
async def own_pool(open_database: str) -> AsyncIterator[None]:
    """One that the test may close."""
    before, database.pool = database.pool, None
    await database.open(Secret(open_database), pool_size=2, production=False)
    yield
    await database.close()
    database.pool = before


async def test_who_is_cancelled_while_the_pool_is_closed_is_cancelled_and_not_sent_to_try_again(own_pool: None):
    """A loop that tries again where the database is away would not end, nor the process."""
    begun = asyncio.Event()

    async def work() -> None:
        async with tenant_scope(new_id()) as connection:
            begun.set()
            await connection.execute("SELECT pg_sleep(20)")

    working = asyncio.create_task(work())
    await begun.wait()
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)

    working.cancel()

    with pytest.raises(asyncio.CancelledError):
        await working
    await closing


async def test_a_connection_that_is_being_made_while_the_server_hangs_holds_nobody_up(open_database: str):
    """asyncpg takes leave of the server in good order where the first words fail, and waits for as long as that hangs."""
    connection = await asyncpg.connect(open_database)
    backend: int = await connection.fetchval("SELECT pg_backend_pid()")
    os.kill(backend, signal.SIGSTOP)
    try:
        beginning = asyncio.create_task(_bound_silence(connection))
        await asyncio.sleep(0.05)

        beginning.cancel()

        await asyncio.wait([beginning], timeout=5)
        assert beginning.cancelled()
        async with asyncio.timeout(1):
            await connection.close()
    finally:
        os.kill(backend, signal.SIGCONT)


def message(kind: bytes, body: bytes) -> bytes:
    """As https://www.postgresql.org/docs/current/protocol-message-formats.html has it."""
    return kind + (4 + len(body)).to_bytes(4) + body


# The answer to the start of a session, up to "ready for query", and the error by which a server takes leave.
GREETING = message(b"R", bytes(4)) + message(b"S", b"server_version\x0016\0") + message(b"Z", b"I")
LEAVE = message(b"E", b"SFATAL\0C57P01\0Mterminating connection\0\0")


async def test_a_server_that_takes_leave_as_soon_as_it_has_greeted_is_unavailable(open_database: str, tmp_path: Path):
    """As one that is stopped between the two."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(GREETING + LEAVE)
        await writer.drain()
        await reader.read()
        writer.close()

    before, database.pool = database.pool, None
    await database.open(Secret(open_database), pool_size=1, production=False)
    async with await asyncio.start_unix_server(greet, tmp_path / ".s.PGSQL.5432"):
        database.pool.set_connect_args(f"postgresql:///any?user=anybody&host={tmp_path}", timeout=5)
        await database.pool.expire_connections()
        try:
            with pytest.raises(Unavailable):
                async with tenant_scope(new_id()):
                    pass
        finally:
            await database.close()
            database.pool = before
