"""The SQL that matters about stock: set-based, and silent about what did not change."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from app.database import Connection, tenant_scope
from app.ids import new_id_text
from app.marketplaces.contract import FetchedStock, Fulfilment, KnownSize, Marketplace, Size
from app.stocks.gathering import unpack
from app.stocks.low_stock import LEVEL, TOLD
from app.stocks.schemas import StockPointOut
from app.tenants.service import take_change_time

PRODUCTS_PER_LOOK = 500

# Many rows go as one JSON argument: asyncpg takes twice the time to pack them as arrays.

# Shelves are replaced as a whole: what the report no longer names is gone. OFFSET makes it a look-up by the index for each kind of shelf of a product; as a
# join each would be compared with each shelf of all tenants while the planner knows nothing of them. The shelves are seen as they were before the statement: the
# units are those of before.
REMOVE = """
    WITH former AS MATERIALIZED (
        SELECT changes, shelf.*
          FROM unnest($1::uuid[], $2::text[], $3::bool[]) AS known (product_id, fulfilment, changes),
               LATERAL (SELECT id, product_id, fulfilment, warehouse_id, size_id, quantity FROM stocks
                         WHERE stocks.product_id = known.product_id AND stocks.fulfilment = known.fulfilment OFFSET 0) AS shelf),
    removed AS (
        DELETE FROM stocks
         WHERE id = ANY (ARRAY(
               SELECT id FROM former
                WHERE changes AND (product_id, fulfilment, warehouse_id, size_id) NOT IN (
                      SELECT product_id, fulfilment, warehouse_id, size_id
                        FROM json_to_recordset($4) AS fetched (product_id uuid, fulfilment text, warehouse_id text, size_id text))))
     RETURNING true)
    SELECT product_id, coalesce(sum(quantity) FILTER (WHERE fulfilment = 'marketplace_warehouse'), 0),
           coalesce(sum(quantity) FILTER (WHERE fulfilment = 'seller_warehouse'), 0), (SELECT count(*) FROM removed)
      FROM former GROUP BY product_id
"""

UPSERT = """
    WITH written AS (
        INSERT INTO stocks AS stock
               (id, tenant_id, product_id, fulfilment, size_id, warehouse_id, warehouse, quantity, in_way_to_client, in_way_from_client, changed_at)
        SELECT id, $1, product_id, fulfilment, size_id, warehouse_id, warehouse, quantity, in_way_to_client, in_way_from_client, now()
          FROM json_to_recordset($2) AS fetched
               (id uuid, product_id uuid, fulfilment text, size_id text, warehouse_id text, warehouse text, quantity int,
                in_way_to_client int, in_way_from_client int)
            ON CONFLICT (product_id, fulfilment, warehouse_id, size_id) DO UPDATE
           SET warehouse = excluded.warehouse, quantity = excluded.quantity, in_way_to_client = excluded.in_way_to_client,
               in_way_from_client = excluded.in_way_from_client, changed_at = now()
         WHERE (stock.warehouse, stock.quantity, stock.in_way_to_client, stock.in_way_from_client)
               IS DISTINCT FROM (excluded.warehouse, excluded.quantity, excluded.in_way_to_client, excluded.in_way_from_client)
     RETURNING xmax = 0 AS created)
    SELECT count(*) FILTER (WHERE created), count(*) FILTER (WHERE NOT created) FROM written
"""

# The product's row is looked up twice, since an UPDATE returns nothing of what was before.
TOTALS = f"""
    WITH counted AS MATERIALIZED (
        SELECT changed.*,
               coalesce((SELECT sum(quantity) FROM stocks WHERE product_id = changed.id AND fulfilment = 'marketplace_warehouse'), 0)::int AS marketplace_units,
               coalesce((SELECT sum(quantity) FROM stocks WHERE product_id = changed.id AND fulfilment = 'seller_warehouse'), 0)::int AS seller_units
          FROM unnest($3::uuid[], $4::bytea[], $5::bytea[], $6::int[], $7::int[])
               AS changed (id, marketplace, seller, marketplace_units_before, seller_units_before)),
    recorded AS (
        INSERT INTO stock_history (tenant_id, product_id, changed_at, marketplace_quantity, seller_quantity)
        SELECT $1, id, $2, marketplace_units, seller_units FROM counted
         WHERE (marketplace_units, seller_units) <> (marketplace_units_before, seller_units_before)),
    compared AS MATERIALIZED (
        SELECT counted.*, marketplace_units + seller_units AS stock, product.stock_total AS stock_before, product.stock_level AS level_before,
               product.archived_at IS NOT NULL AS archived,
               coalesce(product.low_stock_threshold, (SELECT low_stock_threshold FROM tenants WHERE id = $1)) AS threshold
          FROM counted JOIN products AS product ON product.id = counted.id),
    levelled AS MATERIALIZED (
        SELECT *, CASE WHEN stock = stock_before AND level_before IS NOT NULL THEN level_before ELSE {LEVEL} END AS level FROM compared),
    written AS (
        UPDATE products
           SET marketplace_stock_digest = levelled.marketplace, seller_stock_digest = levelled.seller, updated_at = $2,
               stock_total = levelled.stock, stock_level = levelled.level
          FROM levelled
         WHERE products.id = levelled.id
     RETURNING products.id, {TOLD} AS told)
    SELECT told, array_agg(id ORDER BY id) FROM written WHERE told IS NOT NULL GROUP BY told
"""

SIZES = """
    SELECT id, external_id, sizes FROM products
     WHERE tenant_id = $1 AND marketplace = $2 AND archived_at IS NULL AND ($3::uuid IS NULL OR id > $3)
     ORDER BY id LIMIT $4
"""

_sizes = msgspec.json.Decoder(list[Size])


NOW = "SELECT now() FROM products WHERE id = $1 AND tenant_id = $2"

CHANGES = """
    SELECT changed_at, marketplace_quantity + seller_quantity, marketplace_quantity, seller_quantity FROM stock_history
     WHERE product_id = $1 AND changed_at >= $2 AND changed_at <= $3
     ORDER BY changed_at LIMIT $4
"""

# Of each interval the last change, and the last one of all before.
LAST_CHANGES = """
    (SELECT changed_at, marketplace_quantity + seller_quantity, marketplace_quantity, seller_quantity FROM stock_history
      WHERE product_id = $1 AND changed_at <= $2
      ORDER BY changed_at DESC LIMIT 1)
    UNION ALL
    (SELECT DISTINCT ON (date_bin($4, changed_at - interval '1 microsecond', 'epoch'))
            changed_at, marketplace_quantity + seller_quantity, marketplace_quantity, seller_quantity FROM stock_history
      WHERE product_id = $1 AND changed_at > $2 AND changed_at <= $3
      ORDER BY date_bin($4, changed_at - interval '1 microsecond', 'epoch'), changed_at DESC)
     ORDER BY changed_at
"""


class KnownProduct(msgspec.Struct, frozen=True):
    """A product's ids, and the digests of the shelves that were last stored for it; None where there are none."""

    id: UUID
    external_id: str
    digests: dict[Fulfilment, bytes | None]


class Change(msgspec.Struct, frozen=True):
    """What a product's shelves are to become, in those kinds of warehouse where they change; `digests` of all kinds, as they will be. Shelves are packed until
    they are written; None is no shelf."""

    product: KnownProduct
    digests: dict[Fulfilment, bytes | None]
    shelves: dict[Fulfilment, bytes | None]


class Row(msgspec.Struct, gc=False):
    """A shelf as it is written, as `UPSERT` and `REMOVE` read it."""

    id: str
    product_id: UUID
    fulfilment: Fulfilment
    size_id: str
    warehouse_id: str
    warehouse: str
    quantity: int
    in_way_to_client: int
    in_way_from_client: int


class Written(msgspec.Struct, frozen=True):
    """What became of the shelves of a batch; and the products of which the seller is to hear, by event type."""

    created: int
    updated: int
    removed: int
    told: dict[str, list[UUID]] = {}


async def now_of_product(connection: Connection, tenant_id: UUID, product_id: UUID) -> datetime | None:
    """The time by the clock that tells when stock changed; None where the tenant has no such product."""
    return await connection.fetchval(NOW, product_id, tenant_id)


async def list_changes(connection: Connection, product_id: UUID, *, since: datetime, until: datetime, limit: int) -> list[StockPointOut]:
    """When the product's stock changed, and to what."""
    return [StockPointOut(*row) for row in await connection.fetch(CHANGES, product_id, since, until, limit)]


async def last_changes(
    connection: Connection, product_id: UUID, *, since: datetime, until: datetime, interval: timedelta
) -> list[StockPointOut]:
    """Likewise, the last change up to `since`, and behind that the last one of each interval, which are counted from 1970 on and have their end in them."""
    return [StockPointOut(*row) for row in await connection.fetch(LAST_CHANGES, product_id, since, until, interval)]


async def known_products(
    connection: Connection, tenant_id: UUID, marketplace: Marketplace, *, after: UUID | None, limit: int
) -> list[KnownProduct]:
    """The tenant's products in the order of their ids, behind `after`."""
    rows = await connection.fetch(
        "SELECT id, external_id, marketplace_stock_digest, seller_stock_digest FROM products "
        "WHERE tenant_id = $1 AND marketplace = $2 AND ($3::uuid IS NULL OR id > $3) ORDER BY id LIMIT $4",
        tenant_id, marketplace, after, limit,
    )  # fmt: skip
    return [KnownProduct(row[0], row[1], {Fulfilment.MARKETPLACE_WAREHOUSE: row[2], Fulfilment.SELLER_WAREHOUSE: row[3]}) for row in rows]


async def count_products_with_stock(
    connection: Connection, tenant_id: UUID, marketplace: Marketplace, fulfilment: Fulfilment, *, at_most: int
) -> int:
    """How many products have shelves of that kind; not counted further than `at_most`."""
    column = {Fulfilment.MARKETPLACE_WAREHOUSE: "marketplace_stock_digest", Fulfilment.SELLER_WAREHOUSE: "seller_stock_digest"}[fulfilment]
    return await connection.fetchval(
        f"SELECT count(*) FROM (SELECT FROM products WHERE tenant_id = $1 AND marketplace = $2 AND {column} IS NOT NULL LIMIT $3) AS stocked",
        tenant_id, marketplace, at_most,
    )  # fmt: skip


async def known_sizes(tenant_id: UUID, marketplace: Marketplace) -> AsyncIterator[list[KnownSize]]:
    """All sizes of the products that are not archived, `PRODUCTS_PER_LOOK` products at a time, each time in a transaction of its own."""
    after: UUID | None = None
    while True:
        async with tenant_scope(tenant_id) as connection:
            rows = await connection.fetch(SIZES, tenant_id, marketplace, after, PRODUCTS_PER_LOOK)
        if not rows:
            return
        after = rows[-1][0]
        yield [KnownSize(row[1], size.id, size.name, size.barcodes) for row in rows for size in _sizes.decode(row[2])]


async def write_changes(connection: Connection, tenant_id: UUID, changes: Sequence[Change]) -> Written:
    """Store the shelves of these products, the products' totals and levels, and the history of those whose totals changed."""
    changed_at = await take_change_time(connection, tenant_id)
    rows = [
        _row(change.product.id, fulfilment, shelf)
        for change in changes
        for fulfilment, packed_shelves in change.shelves.items()
        for shelf in unpack(packed_shelves)
    ]
    packed = msgspec.json.encode(rows).decode()
    former = [
        (change.product.id, fulfilment, fulfilment in change.shelves)
        for change in changes
        for fulfilment, mark in change.product.digests.items()
        if mark is not None
    ]
    before: dict[UUID, tuple[int, int]] = {}
    removed = 0
    if former:
        owners, kinds, changing = zip(*former, strict=True)
        found = await connection.fetch(REMOVE, owners, kinds, changing, packed)
        before = {row[0]: (row[1], row[2]) for row in found}
        removed = found[0][3] if found else 0
    written = await connection.fetchrow(UPSERT, tenant_id, packed)
    assert written is not None  # an aggregate gives a row
    units = [before.get(change.product.id, (0, 0)) for change in changes]
    told = await connection.fetch(
        TOTALS,
        tenant_id,
        changed_at,
        [change.product.id for change in changes],
        [change.digests[Fulfilment.MARKETPLACE_WAREHOUSE] for change in changes],
        [change.digests[Fulfilment.SELLER_WAREHOUSE] for change in changes],
        [marketplace for marketplace, _ in units],
        [seller for _, seller in units],
    )
    return Written(created=written[0], updated=written[1], removed=removed, told=dict(told))


def _row(product_id: UUID, fulfilment: Fulfilment, shelf: FetchedStock) -> Row:
    return Row(
        new_id_text(),
        product_id,
        fulfilment,
        shelf.size_id,
        shelf.warehouse_id,
        shelf.warehouse,
        shelf.quantity,
        shelf.in_way_to_client,
        shelf.in_way_from_client,
    )
