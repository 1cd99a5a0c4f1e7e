"""The SQL that matters about orders: set-based, and silent about what did not change."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from uuid import UUID

import msgspec

from app.database import Connection
from app.ids import new_id
from app.marketplaces.contract import FetchedOrder, FetchedOrderLine, Fulfilment, Marketplace, OrderStatus

LINES_PER_LOOK = 5_000
NO_TIME = datetime.min.replace(tzinfo=UTC)

_pack = msgspec.msgpack.Encoder().encode

# A look-up for each id, which is what a scalar subquery always is; a join becomes a walk over all orders, for each batch, while the planner knows
# nothing of them.
KNOWN = """
    SELECT external_id,
           (SELECT ROW (stored.id, stored.digest, stored.changed_at) FROM orders AS stored
             WHERE stored.tenant_id = $1 AND stored.marketplace = $2 AND stored.external_id = fetched.external_id)
      FROM unnest($3::text[]) AS fetched (external_id)
"""

# An order was made once: of several times that are told of it, the first. Wildberries' list of sales, for one, gives the time of the sale.
# Many rows go as one JSON argument: asyncpg takes twice the time to pack them as arrays.
UPSERT = """
    INSERT INTO orders
           (id, tenant_id, marketplace, external_id, number, status, marketplace_status, fulfilment, warehouse, destination, currency,
            ordered_at, changed_at, digest, created_at, updated_at)
    SELECT id, $1, $2, external_id, number, status, marketplace_status, fulfilment, warehouse, destination, currency,
           ordered_at, changed_at, decode(digest, 'base64'), now(), now()
      FROM json_to_recordset($3) AS fetched
           (id uuid, external_id text, number text, status text, marketplace_status text, fulfilment text, warehouse text, destination text,
            currency text, ordered_at timestamptz, changed_at timestamptz, digest text)
        ON CONFLICT (tenant_id, marketplace, external_id) DO UPDATE
       SET number = excluded.number, status = excluded.status, marketplace_status = excluded.marketplace_status,
           fulfilment = excluded.fulfilment, warehouse = excluded.warehouse, destination = excluded.destination, currency = excluded.currency,
           ordered_at = least(orders.ordered_at, excluded.ordered_at), changed_at = excluded.changed_at, digest = excluded.digest, updated_at = now()
"""

INSERT_LINES = """
    INSERT INTO order_lines (id, tenant_id, order_id, product_id, product_external_id, size_id, article, quantity, price)
    SELECT id, $1, order_id, product_id, product_external_id, size_id, article, quantity, price
      FROM json_to_recordset($2) AS fetched
           (id uuid, order_id uuid, product_id uuid, product_external_id text, size_id text, article text, quantity int, price numeric(14, 2))
"""

PRODUCTS_BY_ID = """
    SELECT external_id,
           (SELECT product.id FROM products AS product
             WHERE product.tenant_id = $1 AND product.marketplace = $2 AND product.external_id = wanted.external_id)
      FROM unnest($3::text[]) AS wanted (external_id)
"""

# Nothing keeps a seller from giving an archived product's code to another one. IS TRUE makes it a hashed subplan; as a join, by what the planner knows
# then, each product would be compared with each article.
PRODUCTS_BY_ARTICLE = """
    SELECT DISTINCT ON (article) article, id FROM products
     WHERE tenant_id = $1 AND marketplace = $2 AND (article IN (SELECT unnest($3::text[]))) IS TRUE
     ORDER BY article, archived_at DESC NULLS FIRST, id DESC
"""

# What was made since then was changed since then, and that is what the index tells.
PRODUCTS_SINCE = "SELECT EXISTS (SELECT FROM products WHERE tenant_id = $1 AND updated_at >= $3 AND created_at >= $3 AND marketplace = $2)"

UNRESOLVED = """
    SELECT line.id, line.product_external_id, line.article FROM order_lines AS line JOIN orders ON orders.id = line.order_id
     WHERE line.tenant_id = $1 AND line.product_id IS NULL AND orders.marketplace = $2 AND ($3::uuid IS NULL OR line.id > $3)
     ORDER BY line.id LIMIT $4
"""

RESOLVE = """
    UPDATE order_lines SET product_id = found.product_id FROM unnest($1::uuid[], $2::uuid[]) AS found (id, product_id)
     WHERE order_lines.id = found.id
"""


class OrderRow(msgspec.Struct, gc=False):
    """What is written of an order, as `UPSERT` reads it."""

    id: UUID
    external_id: str
    number: str
    status: OrderStatus
    marketplace_status: str
    fulfilment: Fulfilment
    warehouse: str
    destination: str
    currency: str
    ordered_at: datetime
    changed_at: datetime | None
    digest: bytes


class LineRow(msgspec.Struct, gc=False):
    """What is written of a line, as `INSERT_LINES` reads it."""

    id: UUID
    order_id: UUID
    product_id: UUID | None
    product_external_id: str | None
    size_id: str | None
    article: str
    quantity: int
    price: Decimal | None


class Written(msgspec.Struct, frozen=True):
    """What became of the orders of a batch. One that came late, in an older state than the stored one, is unchanged."""

    new: list[OrderRow]
    updated: int
    unchanged: int

    @property
    def created(self) -> int:
        return len(self.new)


def digest(order: FetchedOrder) -> bytes:
    """16 bytes that change when anything the marketplace says of the order does, but for the time when it was made; the order of its lines does not
    matter."""
    lines = order.lines if len(order.lines) < 2 else tuple(sorted(order.lines, key=_pack))
    return blake2b(_pack(msgspec.structs.replace(order, lines=lines, ordered_at=NO_TIME)), digest_size=16).digest()


def newest(orders: Sequence[FetchedOrder]) -> dict[str, FetchedOrder]:
    """Each order once: as it was changed last, as far as the marketplace says when, else as it came last; made when it was first said to be."""
    found: dict[str, FetchedOrder] = {}
    for order in orders:
        before = found.get(order.external_id)
        if before is None:
            found[order.external_id] = order
        else:
            later = before if _is_older(order.changed_at, before.changed_at) else order
            found[order.external_id] = msgspec.structs.replace(later, ordered_at=min(order.ordered_at, before.ordered_at))
    return found


async def write_orders(connection: Connection, tenant_id: UUID, marketplace: Marketplace, orders: Sequence[FetchedOrder]) -> Written:
    """Store what is new or differs. An older state never replaces a newer one, however late it comes."""
    fetched = newest(orders)
    new: list[OrderRow] = []
    changed: list[OrderRow] = []
    for external_id, stored in await connection.fetch(KNOWN, tenant_id, marketplace, list(fetched)):
        order = fetched[external_id]
        mark = digest(order)
        if stored is None:
            new.append(_order_row(new_id(), order, mark))
        elif stored[1] != mark and not _is_older(order.changed_at, stored[2]):
            changed.append(_order_row(stored[0], order, mark))
    if rows := [*new, *changed]:
        await connection.execute(UPSERT, tenant_id, marketplace, msgspec.json.encode(rows).decode())
        if changed:
            await connection.execute("DELETE FROM order_lines WHERE order_id = ANY($1::uuid[])", [row.id for row in changed])
        lines = [(row.id, line) for row in rows for line in fetched[row.external_id].lines]
        await _insert_lines(connection, tenant_id, marketplace, lines)
    return Written(new=new, updated=len(changed), unchanged=len(fetched) - len(rows))


async def resolve_lines(connection: Connection, tenant_id: UUID, marketplace: Marketplace, *, since: datetime) -> bool:
    """Find the products of lines that were stored before their product was. False: no product was stored since then, so there is nothing to find."""
    if not await connection.fetchval(PRODUCTS_SINCE, tenant_id, marketplace, since):
        return False
    after: UUID | None = None
    while lines := await connection.fetch(UNRESOLVED, tenant_id, marketplace, after, LINES_PER_LOOK):
        after = lines[-1][0]
        products = await _find_products(connection, tenant_id, marketplace, [(line[1], line[2]) for line in lines])
        found = [(line[0], product) for line, product in zip(lines, products, strict=True) if product is not None]
        if found:
            await connection.execute(RESOLVE, [line_id for line_id, _ in found], [product for _, product in found])
    return True


async def _insert_lines(
    connection: Connection, tenant_id: UUID, marketplace: Marketplace, lines: Sequence[tuple[UUID, FetchedOrderLine]]
) -> None:
    names = [(line.product_external_id, line.article) for _, line in lines]
    products = await _find_products(connection, tenant_id, marketplace, names)
    rows = [
        LineRow(new_id(), order_id, product, line.product_external_id, line.size_id, line.article, line.quantity, line.price)
        for (order_id, line), product in zip(lines, products, strict=True)
    ]
    await connection.execute(INSERT_LINES, tenant_id, msgspec.json.encode(rows).decode())


async def _find_products(
    connection: Connection, tenant_id: UUID, marketplace: Marketplace, names: Sequence[tuple[str | None, str]]
) -> list[UUID | None]:
    """The product of each name, which is the marketplace's id of it, if known, and the seller's article; None where none is stored."""
    by_id: dict[str | None, UUID] = {}
    if external_ids := {external_id for external_id, _ in names if external_id}:
        by_id = {row[0]: row[1] for row in await connection.fetch(PRODUCTS_BY_ID, tenant_id, marketplace, list(external_ids)) if row[1]}
    by_article: dict[str, UUID] = {}
    if articles := {article for external_id, article in names if article and external_id not in by_id}:
        by_article = {row[0]: row[1] for row in await connection.fetch(PRODUCTS_BY_ARTICLE, tenant_id, marketplace, list(articles))}
    return [by_id.get(external_id) or by_article.get(article) for external_id, article in names]


def _is_older(changed_at: datetime | None, than: datetime | None) -> bool:
    return changed_at is not None and than is not None and changed_at < than


def _order_row(order_id: UUID, order: FetchedOrder, mark: bytes) -> OrderRow:
    return OrderRow(
        order_id,
        order.external_id,
        order.number,
        order.status,
        order.marketplace_status,
        order.fulfilment,
        order.warehouse,
        order.destination,
        order.currency,
        order.ordered_at,
        order.changed_at,
        mark,
    )
