"""The SQL that matters about stock: set-based, and silent about what did not change."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from uuid import UUID

import msgspec

from app.database import Connection
from app.ids import new_id
from app.marketplaces.contract import FetchedStock, Fulfilment, Marketplace

_encode = msgspec.msgpack.Encoder().encode

DIGEST_COLUMN = {Fulfilment.MARKETPLACE_WAREHOUSE: "marketplace_stock_digest", Fulfilment.SELLER_WAREHOUSE: "seller_stock_digest"}

# Shelves are replaced as a whole: what the report no longer names is gone.
REMOVE = """
    DELETE FROM stocks
     WHERE product_id = ANY($1::uuid[]) AND fulfilment = $2
       AND (product_id, warehouse_id, size_id) NOT IN (SELECT * FROM unnest($3::uuid[], $4::text[], $5::text[]))
"""

UPSERT = """
    INSERT INTO stocks AS stock
           (id, tenant_id, product_id, fulfilment, size_id, warehouse_id, warehouse, quantity, in_way_to_client, in_way_from_client, changed_at)
    SELECT id, $1, product_id, $2, size_id, warehouse_id, warehouse, quantity, in_way_to_client, in_way_from_client, now()
      FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::int[], $9::int[], $10::int[])
           AS fetched (id, product_id, size_id, warehouse_id, warehouse, quantity, in_way_to_client, in_way_from_client)
        ON CONFLICT (product_id, fulfilment, warehouse_id, size_id) DO UPDATE
       SET warehouse = excluded.warehouse, quantity = excluded.quantity, in_way_to_client = excluded.in_way_to_client,
           in_way_from_client = excluded.in_way_from_client, changed_at = now()
     WHERE (stock.warehouse, stock.quantity, stock.in_way_to_client, stock.in_way_from_client)
           IS DISTINCT FROM (excluded.warehouse, excluded.quantity, excluded.in_way_to_client, excluded.in_way_from_client)
 RETURNING xmax = 0
"""


class KnownProduct(msgspec.Struct, frozen=True):
    """A product's ids, and the digest of the shelves that were last stored for it."""

    id: UUID
    external_id: str
    digest: bytes | None


class Written(msgspec.Struct, frozen=True):
    """What became of the shelves of a batch."""

    created: int
    updated: int
    removed: int


def digest(shelves: Sequence[FetchedStock]) -> bytes | None:
    """16 bytes that change when a shelf of the product does; the order of the shelves doesn't matter. None for no shelf."""
    if not shelves:
        return None
    return blake2b(b"".join(sorted(map(_encode, shelves))), digest_size=16).digest()


async def known_products(
    connection: Connection, tenant_id: UUID, marketplace: Marketplace, fulfilment: Fulfilment, *, after: UUID | None, limit: int
) -> list[KnownProduct]:
    """The tenant's products in the order of their ids, behind `after`."""
    rows = await connection.fetch(
        f"SELECT id, external_id, {DIGEST_COLUMN[fulfilment]} FROM products "
        "WHERE tenant_id = $1 AND marketplace = $2 AND ($3::uuid IS NULL OR id > $3) ORDER BY id LIMIT $4",
        tenant_id, marketplace, after, limit,
    )  # fmt: skip
    return [KnownProduct(*row) for row in rows]


async def replace_shelves(
    connection: Connection,
    tenant_id: UUID,
    fulfilment: Fulfilment,
    products: Sequence[KnownProduct],
    fetched: Mapping[str, Sequence[FetchedStock]],
) -> Written:
    """Store the shelves of these products as they were fetched, and the products' totals."""
    ids = {product.external_id: product.id for product in products}
    # Where a report names a shelf twice, the later row counts.
    by_place = {
        (shelf.product_external_id, shelf.warehouse_id, shelf.size_id): shelf
        for product in products
        for shelf in fetched.get(product.external_id, ())
    }
    shelves = list(by_place.values())
    owners = [ids[shelf.product_external_id] for shelf in shelves]
    removed = await connection.execute(
        REMOVE,
        [product.id for product in products if product.digest],
        fulfilment,
        owners,
        [shelf.warehouse_id for shelf in shelves],
        [shelf.size_id for shelf in shelves],
    )
    written = await connection.fetch(
        UPSERT,
        tenant_id,
        fulfilment,
        [new_id() for _ in shelves],
        owners,
        [shelf.size_id for shelf in shelves],
        [shelf.warehouse_id for shelf in shelves],
        [shelf.warehouse for shelf in shelves],
        [shelf.quantity for shelf in shelves],
        [shelf.in_way_to_client for shelf in shelves],
        [shelf.in_way_from_client for shelf in shelves],
    )
    await connection.execute(
        f"""
        UPDATE products
           SET {DIGEST_COLUMN[fulfilment]} = changed.digest, updated_at = now(),
               stock_total = coalesce((SELECT sum(quantity) FROM stocks WHERE product_id = products.id), 0)
          FROM unnest($1::uuid[], $2::bytea[]) AS changed (id, digest)
         WHERE products.id = changed.id
        """,
        [product.id for product in products],
        [digest(fetched.get(product.external_id, ())) for product in products],
    )
    created = sum(row[0] for row in written)
    return Written(created=created, updated=len(written) - created, removed=int(removed.rsplit(" ", 1)[1]))
