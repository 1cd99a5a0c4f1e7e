"""What the operator's commands have in common: the way to the database, how things are named, and how they are shown."""

import asyncio
import re
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import click
import msgspec
from rich.console import Console
from rich.table import Table

from app.database import Connection, database, system_scope
from app.errors import InvalidInput, NotFound, StartRefused
from app.jobs import broker
from app.migrations import pending
from app.observability.logs import configure_logs
from app.settings import get_settings

Result = TypeVar("Result")

ID_OR_BEGINNING = re.compile(r"[0-9a-f]{8,32}")
# Where nobody looks on, a line is as long as it is.
WIDTH_IN_A_PIPE = 320
MOST_NAMED = 5


def carry_out(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Do it with the database open, and a broker that can ring.

    Raises:
        StartRefused: the settings are not as they must be, or the database can't be reached or lacks migrations.
    """
    settings = get_settings()
    configure_logs(settings)

    async def connected() -> Result:
        await database.open(settings.database_url, pool_size=2, production=settings.production)
        try:
            async with system_scope() as connection:
                if missing := await pending(connection):
                    raise StartRefused(f"The database lacks {len(missing)} migrations; run `stock-tracker migrate` first.")
            broker.connect_to(settings.redis_url.reveal())
            try:
                return await work()
            finally:
                await broker.shutdown()
        finally:
            await database.close()

    return asyncio.run(connected())


async def find_tenant(connection: Connection, name: str) -> UUID:
    """The tenant of that id, of an id that begins so, or of a user with that e-mail address. In `system_scope()`.

    Raises:
        InvalidInput: it is none of these, or there are several.
        NotFound: there is none.
    """
    if "@" not in name:
        return await find_by_id(connection, "tenant", name)
    rows = await connection.fetch(
        "SELECT tenant_id FROM memberships JOIN users ON users.id = user_id WHERE email = $1 ORDER BY tenant_id", name.strip().lower()
    )
    return _only("tenant", name, [row["tenant_id"] for row in rows])


async def find_by_id(connection: Connection, kind: str, name: str) -> UUID:
    """The `tenant` or `run` of that id, or of an id that begins so. In `system_scope()`.

    Raises:
        InvalidInput: it can't be one, or there are several.
        NotFound: there is none.
    """
    digits = name.strip().lower().replace("-", "")
    if not ID_OR_BEGINNING.fullmatch(digits):
        also = ", or by its user's e-mail address" if kind == "tenant" else ""
        raise InvalidInput(f"{name!r} names no {kind}: name it by its id, or by the first 8 or more digits of that{also}.")
    table = {"tenant": "tenants", "run": "sync_runs"}[kind]
    first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    rows = await connection.fetch(f"SELECT id FROM {table} WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT {MOST_NAMED + 1}", first, last)
    return _only(kind, name, [row["id"] for row in rows])


def _only(kind: str, name: str, found: Sequence[UUID]) -> UUID:
    if not found:
        raise NotFound(f"There is no {kind} {name}.")
    if len(found) > 1:
        more = ", …" if len(found) > MOST_NAMED else ""
        raise InvalidInput(f"{name} may be several: {', '.join(map(str, found[:MOST_NAMED]))}{more}. Name one {kind} by its id.")
    return found[0]


def print_json(value: object) -> None:
    """For machines: indented, instants in UTC."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """For people; ids are never cut."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        if column.header in {"id", "tenant"}:
            column.no_wrap = True
    for row in rows:
        table.add_row(*row)
    console().print(table)


def console() -> Console:
    """What is printed is data: nothing in it is markup."""
    return Console(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else WIDTH_IN_A_PIPE)


def when(at: datetime | None) -> str:
    """An instant in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if at else "–"
