"""Removing rows that nobody needs any more, a batch at a time.

A walk goes along the primary key: an id says when its row was made, so "older than" is a range of ids and needs no other index. Each batch is a short
transaction of its own, bounded in the rows it looks at and not only in those it removes: rows that stay are passed once, and never held on to.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from app.database import Connection

BATCH = 2000


# The least id that can be made from an instant on: 48 bits of Unix time in milliseconds come first (RFC 9562, section 5.7). By the database's clock: a
# host whose clock leapt ahead must not remove what is young.
def _least_id(age: str) -> str:
    return f"(lpad(to_hex((extract(epoch FROM now() - {age}) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid"


OLDER_THAN = _least_id("$2::interval")

FIRST = UUID(int=0)

# Along the index, and no further than the limit: of a table that was never analysed the planner would collect and sort all that is old for each batch.
IN_ORDER = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"

Position = UUID | datetime


class Batch(msgspec.Struct, frozen=True):
    """What one step of a walk did: rows looked at and rows removed. `reached` is where the next step goes on; None: the walk is at its end."""

    seen: int
    removed: int
    reached: Position | None


Walk = Callable[[Connection, Position | None], Awaitable[Batch]]
"""One batch from a position on (None: from the start), in the caller's `system_scope()`."""


def removal(table: str, condition: str, *, along_with: tuple[str, str] | None = None, looking_back: str | None = None) -> str:
    """The statement of a batch for `remove_batch`. The condition is about `candidate`, a row of the table; `$2` in it is how long rows are kept.

    `along_with`: another table, and its indexed column that names a row of this one; those rows go too, and are not counted.
    `looking_back`: an interval; rows that are older still are passed over unseen.

    Rows are found by scalar arrays rather than joins, so by their key whatever the planner knows of the table; what somebody has locked is left for the next
    walk.
    """
    others = "" if along_with is None else "others AS (DELETE FROM {} WHERE {} = ANY (ARRAY(SELECT id FROM old))),".format(*along_with)
    since = "" if looking_back is None else "AND id > " + _least_id(f"($2::interval + interval '{looking_back}')")
    return f"""
        WITH seen AS (SELECT id FROM {table} WHERE id > $1 {since} AND id < {OLDER_THAN} ORDER BY id LIMIT $3),
             old AS (SELECT id FROM {table} AS candidate
                      WHERE id = ANY (ARRAY(SELECT id FROM seen)) AND {condition} FOR UPDATE SKIP LOCKED),
             {others}
             removed AS (DELETE FROM {table} WHERE id = ANY (ARRAY(SELECT id FROM old)) RETURNING id)
        SELECT (SELECT count(*) FROM seen) AS seen, (SELECT count(*) FROM removed) AS removed, (SELECT id FROM seen ORDER BY id DESC LIMIT 1) AS reached
    """


async def remove_batch(connection: Connection, statement: str, after: Position | None, kept: timedelta) -> Batch:
    """Carry out a statement of `removal` for the next `BATCH` rows that are older than `kept`."""
    return await take_batch(connection, statement, after or FIRST, kept, BATCH)


async def take_batch(connection: Connection, statement: str, *arguments: object) -> Batch:
    """Carry out the statement of a walk, which gives one row: seen, removed, reached. Fewer rows than `BATCH` are the last."""
    await connection.execute(IN_ORDER)
    seen, removed, reached = await connection.fetchrow(statement, *arguments)
    return Batch(seen, removed, reached if seen >= BATCH else None)
