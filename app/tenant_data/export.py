"""All that is kept of a tenant, for the tenant: a zip of JSON lines, made while it is sent.

Each page is read in a transaction of its own, which is over before anything is sent: a slow reader holds no connection. So the export is no snapshot of one
instant; its README says so.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import msgspec

from app.api.roles import Admission, Caller
from app.api.streams import StreamBroken
from app.audit.service import record
from app.database import tenant_scope
from app.errors import Conflict, Unavailable
from app.retention import IN_ORDER
from app.tenant_data.archive import Archive
from app.tenant_data.kinds import AS_JSON, AS_TEXT, KINDS, Kind, Within
from app.tenants.service import read_tenant

LONGEST_S: Final = 3600.0
"""A reader that takes longer is cut off: it takes a place."""

PIECE_BYTES: Final = 128 * 1024
"""So much is compressed at once, in about 2 ms; then it is others' turn."""

# A page is found along an index, row by row, whatever the planner knows of the table: it would sort all rows of a tenant for each page.
SETTINGS: Final = f"{IN_ORDER}; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL timezone = 'UTC'"

LEAST: Final = {"changed_at": "'-infinity'::timestamptz", "id": "'00000000-0000-0000-0000-000000000000'::uuid"}

README: Final = """All that Stock Tracker keeps of {name}, exported at {made_at}.

Each .jsonl file has one JSON object per line, in UTF-8. Times are in UTC, money is text with the currency beside it.

{files}

The files were read one after the other while the service went on, so this is no snapshot of one instant: what changed meanwhile may stand in
one file and not yet in another.

Not in it: keys, passwords, tokens, secrets of webhooks and anything made of them, which never leave the service; and what it keeps
for its own work alone.
"""

_running: set[UUID] = set()


class ExportRunning(Conflict):
    """An export of this tenant is under way; one at a time is made."""

    code = "export_running"
    title = "Export running"


class Export(msgspec.Struct, frozen=True):
    """A name for the file, as the header `Content-Disposition` has it, and what is in it."""

    disposition: str
    pieces: AsyncGenerator[bytes]


async def export_tenant(caller: Caller, admission: Admission) -> Export:
    """Begin an export.

    Raises:
        ExportRunning: there is one already; from the first piece.
        NotFound: the tenant was erased meanwhile.
    """
    async with tenant_scope(caller.tenant_id) as connection:
        name = (await read_tenant(connection, caller.tenant_id)).name
        await record(connection, caller.tenant_id, caller.actor, "tenant.exported")
    made_at = datetime.now(UTC)
    return Export(_disposition(name, caller.tenant_id, made_at), _pieces(caller.tenant_id, name, made_at, admission))


async def _pieces(tenant_id: UUID, name: str, made_at: datetime, admission: Admission) -> AsyncGenerator[bytes]:
    """The zip. What ends it before its end is `StreamBroken`, but for what the first piece raises."""
    if tenant_id in _running:
        raise ExportRunning("An export of this tenant is under way; wait for its end.")
    _running.add(tenant_id)
    ends_at = time.monotonic() + LONGEST_S
    try:
        with Archive(made_at) as archive:
            with archive.file("README.txt") as file:
                file.write(_readme(name, made_at).encode())
            yield archive.take()
            for kind in KINDS:
                with archive.file(f"{kind.file}.jsonl") as file:
                    async for lines in _pages(tenant_id, kind):
                        for start in range(0, len(lines), PIECE_BYTES):
                            file.write(lines[start : start + PIECE_BYTES])
                            yield archive.take()
                            await asyncio.sleep(0)
                        # Of a tenant that is being erased, what is left would look like all there is.
                        await _check(admission, ends_at)
                await _check(admission, ends_at)
        yield archive.take()
    except Unavailable as error:
        raise StreamBroken(error.detail) from error
    finally:
        _running.discard(tenant_id)


async def _check(admission: Admission, ends_at: float) -> None:
    if time.monotonic() > ends_at:
        raise StreamBroken("The reader was too slow.")
    if not await admission.is_live():
        raise StreamBroken("The login session was ended.")


async def _pages(tenant_id: UUID, kind: Kind) -> AsyncGenerator[bytes]:
    """The lines of a file, some hundred at a time."""
    after: tuple[Any, ...] = ()
    while True:
        async with tenant_scope(tenant_id) as connection:
            await connection.execute(SETTINGS)
            rows = await connection.fetch(page_of(kind, first=not after), tenant_id, kind.page, *after)
        if rows:
            yield "".join(f"{row['line']}\n" for row in rows).encode()
        if len(rows) < kind.page:
            return
        *after_last, _ = rows[-1].values()
        after = tuple(after_last)


@cache
def page_of(kind: Kind, *, first: bool) -> str:
    """The statement of a page: `$1` is the tenant, `$2` how many rows, and of all but the first one the position follows, as the columns before the line give it."""
    order = ", ".join(kind.order)
    line = f"(SELECT row_to_json(line)::text FROM (SELECT {_selected(kind)}) AS line)"
    owner = "id" if kind.table == "tenants" else "tenant_id"
    if kind.below is None:
        behind = "" if first else f"AND ({order}) > ({', '.join(f'${number}' for number in range(3, 3 + len(kind.order)))})"
        return f"SELECT {order}, {line} AS line FROM {kind.table} AS item WHERE {owner} = $1 {behind} ORDER BY {order} LIMIT $2"
    [key], (parent, link) = kind.order, kind.below
    since = "" if first else "AND id >= $3"
    behind = "" if first else f"AND item.{key} > CASE WHEN parent.id = $3 THEN $4 ELSE {LEAST[key]} END"
    return f"""
        SELECT parent.id, below.{key}, below.line
          FROM (SELECT id FROM {parent} WHERE tenant_id = $1 {since} ORDER BY id) AS parent
         CROSS JOIN LATERAL (SELECT {key}, {line} AS line FROM {kind.table} AS item WHERE item.{link} = parent.id {behind} ORDER BY {key} LIMIT $2) AS below
         ORDER BY parent.id, below.{key} LIMIT $2
    """


def _selected(kind: Kind) -> str:
    return ", ".join(
        [*(_column("item", name) for name in kind.columns), *(f'{_inner(within)} AS "{within.name}"' for within in kind.within)]
    )


def _inner(within: Within) -> str:
    columns = ", ".join(_column("inner_row", name) for name in within.columns)
    rows = f"SELECT {columns} FROM {within.table} AS inner_row WHERE {within.condition} ORDER BY inner_row.id"
    line = f"SELECT row_to_json(inner_line) FROM ({rows}) AS inner_line"
    # Not json_agg, which begins a new line for each.
    return f"({line})" if within.one else f"array_to_json(ARRAY({line}))"


def _column(table: str, name: str) -> str:
    cast = "::text" if name in AS_TEXT else "::json" if name in AS_JSON else ""
    return f'{table}."{name}"{cast} AS "{name}"'


def _readme(name: str, made_at: datetime) -> str:
    files = "\n".join(f"{kind.file + '.jsonl':<26}{kind.about}" for kind in KINDS)
    return README.format(name=name, made_at=f"{made_at:%Y-%m-%dT%H:%M:%SZ}", files=files)


def _disposition(name: str, tenant_id: UUID, made_at: datetime) -> str:
    """With the tenant's name for who reads all of Unicode in a header (RFC 6266, section 4.3, and RFC 8187), and its id for the others."""
    spoken = re.sub(r"[^\w-]+", "-", name).strip("-") or str(tenant_id)
    day = f"{made_at:%Y-%m-%d}"
    return f"attachment; filename=\"stock-tracker-{tenant_id}-{day}.zip\"; filename*=UTF-8''{quote(f'stock-tracker-{spoken}-{day}.zip', safe='')}"
