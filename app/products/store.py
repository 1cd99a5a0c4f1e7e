"""The SQL that matters about products: set-based, and silent about what did not change."""

from collections.abc import Sequence
from hashlib import blake2b
from uuid import UUID

import msgspec

from app.database import Connection
from app.ids import new_id, new_id_text
from app.marketplaces.contract import FetchedProduct, Marketplace, Size
from app.tenants.service import take_change_time

_encode = msgspec.msgpack.Encoder().encode

# A look-up for each id, which is what a scalar subquery always is; a join becomes a walk over all products, for each batch, while the planner knows
# nothing of them.
KNOWN = """
    SELECT external_id,
           (SELECT ROW (digest, archived_at IS NOT NULL) FROM products AS product
             WHERE product.tenant_id = $1 AND product.marketplace = $2 AND product.external_id = fetched.external_id)
      FROM unnest($3::text[]) AS fetched (external_id)
"""

# A row that is there keeps its id, its stock and the seller's own settings. One JSON argument: asyncpg takes twice the time to pack it as arrays.
UPSERT = """
    INSERT INTO products
           (id, tenant_id, marketplace, external_id, article, title, brand, category, barcodes, sizes, image_url, digest,
            stock_total, archived_at, created_at, updated_at)
    SELECT id, $1, $2, external_id, article, title, brand, category, barcodes, sizes, image_url, decode(digest, 'base64'),
           0, CASE WHEN archived THEN $4::timestamptz END, $4, $4
      FROM json_to_recordset($3) AS fetched
           (id uuid, external_id text, article text, title text, brand text, category text, barcodes text[], sizes jsonb, image_url text,
            digest text, archived bool)
        ON CONFLICT (tenant_id, marketplace, external_id) DO UPDATE
       SET article = excluded.article, title = excluded.title, brand = excluded.brand, category = excluded.category,
           barcodes = excluded.barcodes, sizes = excluded.sizes, image_url = excluded.image_url, digest = excluded.digest,
           archived_at = CASE WHEN excluded.archived_at IS NOT NULL THEN coalesce(products.archived_at, excluded.archived_at) END,
           updated_at = excluded.updated_at
"""

ACTIVE = """
    SELECT array_agg(id) FROM products
     WHERE tenant_id = $1 AND marketplace = $2 AND external_id = ANY($3::text[]) AND archived_at IS NULL
"""

ARCHIVE = "UPDATE products SET archived_at = $2, updated_at = $2 WHERE id = ANY($1::uuid[]) AND archived_at IS NULL"

# EXCEPT is sorted or hashed, whatever the planner knows of these tables, which at a first sync is nothing; it would join them by nested loops.
UNSEEN = """
    SELECT external_id FROM products WHERE tenant_id = $1 AND marketplace = $2 AND archived_at IS NULL
    EXCEPT
    SELECT unnest(external_ids) FROM sightings WHERE tenant_id = $1 AND marketplace = $2
"""

MISSING = f"""
    SELECT (SELECT count(*) FROM ({UNSEEN}) AS unseen) AS missing,
           (SELECT count(*) FROM products WHERE tenant_id = $1 AND marketplace = $2 AND archived_at IS NULL) AS active,
           (SELECT count(*) FROM sightings, unnest(external_ids) AS external_id WHERE tenant_id = $1 AND marketplace = $2 AND external_id = '') AS nameless
"""

ARCHIVE_MISSING = f"""
    UPDATE products SET archived_at = $3, updated_at = $3
     WHERE tenant_id = $1 AND marketplace = $2 AND external_id = ANY(ARRAY({UNSEEN}))
"""


class Row(msgspec.Struct, gc=False):
    """What is written of a product, as `UPSERT` reads it."""

    id: str
    external_id: str
    article: str
    title: str
    brand: str
    category: str
    barcodes: list[str]
    sizes: tuple[Size, ...]
    image_url: str | None
    digest: bytes
    archived: bool


class Written(msgspec.Struct, frozen=True):
    """What became of the products of a batch."""

    created: int
    updated: int
    archived: int
    unchanged: int


def digest(product: FetchedProduct) -> bytes:
    """16 bytes that change when anything the marketplace says of the product does."""
    return blake2b(_encode(product), digest_size=16).digest()


async def write_products(connection: Connection, tenant_id: UUID, marketplace: Marketplace, products: Sequence[FetchedProduct]) -> Written:
    """Store what is new or differs, in one statement. Where a product comes twice in a batch, the later one counts."""
    fetched = {product.external_id: (digest(product), product) for product in products}
    differing: list[tuple[bytes, FetchedProduct]] = []
    created = archived = 0
    for external_id, known in await connection.fetch(KNOWN, tenant_id, marketplace, list(fetched)):
        mark, product = fetched[external_id]
        if known == (mark, product.archived):
            continue
        # A product that is new to us and archived already is no news to its seller.
        if product.archived and (known is None or not known[1]):
            archived += 1
        elif known is None:
            created += 1
        differing.append((mark, product))
    if differing:
        changed_at = await take_change_time(connection, tenant_id)
        rows = [_row(product, mark) for mark, product in differing]
        await connection.execute(UPSERT, tenant_id, marketplace, msgspec.json.encode(rows).decode(), changed_at)
    updated = len(differing) - created - archived
    return Written(created=created, updated=updated, archived=archived, unchanged=len(fetched) - len(differing))


def _row(product: FetchedProduct, mark: bytes) -> Row:
    return Row(
        new_id_text(),
        product.external_id,
        product.article,
        product.title,
        product.brand,
        product.category,
        [barcode for size in product.sizes for barcode in size.barcodes],
        product.sizes,
        product.image_url,
        mark,
        product.archived,
    )


async def archive(connection: Connection, tenant_id: UUID, marketplace: Marketplace, external_ids: Sequence[str]) -> int:
    """Archive the products that the marketplace says are gone; how many were active."""
    active = await connection.fetchval(ACTIVE, tenant_id, marketplace, list(external_ids))
    if not active:
        return 0
    tag = await connection.execute(ARCHIVE, active, await take_change_time(connection, tenant_id))
    return int(tag.rsplit(" ", 1)[1])


async def note_sightings(connection: Connection, tenant_id: UUID, marketplace: Marketplace, external_ids: Sequence[str]) -> None:
    """Remember which products a full pass met; an empty id stands for one that could not be read so far as its id."""
    await connection.execute(
        "INSERT INTO sightings (id, tenant_id, marketplace, external_ids) VALUES ($1, $2, $3, $4)",
        new_id(), tenant_id, marketplace, list(external_ids),
    )  # fmt: skip


async def forget_sightings(connection: Connection, tenant_id: UUID, marketplace: Marketplace) -> None:
    await connection.execute("DELETE FROM sightings WHERE tenant_id = $1 AND marketplace = $2", tenant_id, marketplace)


class Missing(msgspec.Struct, frozen=True):
    """What a complete full pass did not meet: so many `products` of the `active` ones; and how many it met without knowing which they are."""

    products: int
    active: int
    nameless: int


async def count_missing(connection: Connection, tenant_id: UUID, marketplace: Marketplace) -> Missing:
    row = await connection.fetchrow(MISSING, tenant_id, marketplace)
    assert row is not None  # an aggregate gives a row
    return Missing(*row)


async def archive_missing(connection: Connection, tenant_id: UUID, marketplace: Marketplace) -> None:
    """Archive what a complete full pass did not meet; there has to be something."""
    await connection.execute(ARCHIVE_MISSING, tenant_id, marketplace, await take_change_time(connection, tenant_id))
