"""The database can be brought to the present form, and a step back."""

import os
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from piccolo.apps.migrations.commands.backwards import run_backwards

from app.database import database
from app.migrations import differences, migrate, pending
from app.secret import Secret

pytestmark = pytest.mark.anyio

WALLS = "SELECT count(*) FROM pg_policies WHERE schemaname = 'public'"


@pytest.fixture
async def empty(postgres_url: str, open_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database without a table, which is the one that migrations go to while the test lasts."""
    name = f"stock_tracker_empty_{os.getpid()}"
    server = await asyncpg.connect(postgres_url)
    await server.execute(f"CREATE DATABASE {name}")
    url = urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    # Piccolo would write down in the open pool's database what it did in this one.
    await database.close()
    database.configure(Secret(url))
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()
    await database.open(Secret(open_database), pool_size=10, production=False)
    # Without FORCE, which an ordinary role is refused while autovacuum is at work there: PostgreSQL ends that by itself, and all our connections are closed.
    await server.execute(f"DROP DATABASE {name}")
    await server.close()


async def columns(connection: asyncpg.Connection) -> list[tuple[str, ...]]:
    rows = await connection.fetch(
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name <> 'migration' ORDER BY table_name, column_name"
    )
    return [tuple(row) for row in rows]


async def test_an_empty_database_gets_all_migrations_once(empty: asyncpg.Connection):
    before = await pending(empty)

    first, second = await migrate(), await migrate()

    assert len(before) >= 2
    assert (first, second) == (before, [])
    assert await pending(empty) == []


async def test_the_walls_come_down_and_go_up_again(empty: asyncpg.Connection, capsys: pytest.CaptureFixture[str]):
    [first, second, *later] = await migrate()
    walls, made = await empty.fetchval(WALLS), await columns(empty)

    await run_backwards("app", migration_id=second, auto_agree=True)

    assert await pending(empty) == [second, *later]
    assert first not in await pending(empty)
    assert await empty.fetchval(WALLS) == 0
    assert await migrate() == [second, *later]
    assert (await empty.fetchval(WALLS), await columns(empty)) == (walls, made)
    assert walls > 10


async def test_the_tables_and_the_migrations_agree():
    assert await differences() == []


async def test_every_table_of_a_tenant_stands_behind_a_wall(empty: asyncpg.Connection):
    await migrate()

    open_tables = await empty.fetch(
        """
        SELECT class.relname FROM pg_class AS class
         WHERE class.relnamespace = 'public'::regnamespace AND class.relkind IN ('r', 'p') AND class.relname <> 'migration'
           AND NOT (class.relrowsecurity AND class.relforcerowsecurity
                    -- Without a policy a partition is closed; its table's policy rules where it is reached through that.
                    AND (class.relispartition OR EXISTS (SELECT FROM pg_policy WHERE polrelid = class.oid)))
        """
    )

    assert [row[0] for row in open_tables] == []
