"""Which rows a tenant has, and how they go: a batch at a time, along an index, inside the tenant's own walls.

A batch is bounded: of what heaps up below one row, as a year of stock below a product, it takes few. It goes on behind the last one rather than from the
start again: deleted rows stand in an index until it is cleaned, and a walk that always began at the start would pass all of them each time.
"""

from typing import Any, NamedTuple
from uuid import UUID

from app.database import Connection
from app.retention import IN_ORDER

# Without foreign keys to the tenant and without an index of theirs; they are found through what they belong to.
ATTEMPTS_OF_EVENTS = "delivery_id = ANY (ARRAY(SELECT id FROM webhook_deliveries WHERE event_id = ANY ($1)))"


class Rows(NamedTuple):
    """Rows of a table in the order of an index that begins with the tenant. `along_with` are others that belong to them, with a condition where `$1` is their
    ids; what belongs to a row goes before it."""

    table: str
    order: tuple[str, ...] = ("id",)
    along_with: tuple[tuple[str, str], ...] = ()
    batch: int = 2000


WALK = (
    Rows("sync_logs"),
    Rows("sync_runs"),
    Rows("events", ("sequence",), (("webhook_attempts", ATTEMPTS_OF_EVENTS), ("webhook_deliveries", "event_id = ANY ($1)")), batch=200),
    Rows("webhook_endpoints"),
    Rows("orders", ("ordered_at", "id"), (("order_lines", "order_id = ANY ($1)"),), batch=1000),
    Rows("products", ("id",), (("stock_history", "product_id = ANY ($1)"), ("stocks", "product_id = ANY ($1)")), batch=100),
    Rows("sightings"),
    Rows("checkpoints", ("marketplace", "stage")),
    Rows("credentials", ("provider",)),
    Rows("credential_links"),
    Rows("idempotent_requests", ("key",)),
    Rows("service_links"),
    Rows("login_sessions"),
)
"""What goes in batches. The members, the pauses and the audit log do not: see app.tenant_data.erasure."""

Position = tuple[Any, ...]


async def remove_batch(connection: Connection, tenant_id: UUID, rows: Rows, after: Position | None) -> tuple[int, Position | None]:
    """Remove the next rows behind a position (None: the first ones), in the caller's `tenant_scope`. Gives how many went, those of other tables counted, and where
    the next batch begins; None: there are no more."""
    await connection.execute(IN_ORDER)
    found = await connection.fetch(next_of(rows, after), tenant_id, rows.batch, *(after or ()))
    ids = [row["id"] for row in found]
    removed = 0
    for table, condition in (*rows.along_with, (rows.table, "id = ANY ($1)")):
        removed += int((await connection.execute(f"DELETE FROM {table} WHERE {condition}", ids)).rpartition(" ")[2])
    return removed, tuple(found[-1][name] for name in rows.order) if len(found) == rows.batch else None


def next_of(rows: Rows, after: Position | None) -> str:
    """The statement that finds a batch: `$1` is the tenant, `$2` how many, and the position follows."""
    order = ", ".join(rows.order)
    behind = "" if after is None else f"AND ({order}) > ({', '.join(f'${number}' for number in range(3, 3 + len(after)))})"
    return f"SELECT id, {order} FROM {rows.table} WHERE tenant_id = $1 {behind} ORDER BY {order} LIMIT $2"
