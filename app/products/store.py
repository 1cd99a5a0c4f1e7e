"""The SQL that matters about products: set-based, and silent about what did not change."""

from collections.abc import Sequence
from hashlib import blake2b
from uuid import UUID

import msgspec

from app.database import Connection
from app.ids import new_id
from app.marketplaces.contract import FetchedProduct, Marketplace

_encode = msgspec.msgpack.Encoder().encode

# By a join and not by ANY: the planner would walk all products and compare each with each id of the batch.
KNOWN = """
    SELECT product.external_id, product.digest, product.archived_at IS NOT NULL
      FROM unnest($3::text[]) AS fetched (external_id)
      JOIN products AS product ON product.tenant_id = $1 AND product.marketplace = $2 AND product.external_id = fetched.external_id
"""

# A row that is there keeps its id, its stock and the seller's own settings.
UPSERT = """
    INSERT INTO products
           (id, tenant_id, marketplace, external_id, article, title, brand, category, barcodes, sizes, image_url, digest,
            stock_total, created_at, updated_at)
    SELECT id, $1, $2, external_id, article, title, brand, category,
           ARRAY(SELECT jsonb_array_elements_text(size -> 'barcodes') FROM jsonb_array_elements(sizes::jsonb) AS size),
           sizes::jsonb, image_url, digest, 0, now(), now()
      FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bytea[])
           AS fetched (id, external_id, article, title, brand, category, sizes, image_url, digest)
        ON CONFLICT (tenant_id, marketplace, external_id) DO UPDATE
       SET article = excluded.article, title = excluded.title, brand = excluded.brand, category = excluded.category,
           barcodes = excluded.barcodes, sizes = excluded.sizes, image_url = excluded.image_url, digest = excluded.digest,
           archived_at = NULL, updated_at = now()
"""

# EXCEPT is sorted or hashed, whatever the planner knows of these tables, which at a first sync is nothing; it would join them by nested loops.
UNSEEN = """
    SELECT external_id FROM products WHERE tenant_id = $1 AND marketplace = $2 AND archived_at IS NULL
    EXCEPT
    SELECT unnest(external_ids) FROM sightings WHERE tenant_id = $1 AND marketplace = $2
"""

MISSING = f"""
    SELECT (SELECT count(*) FROM ({UNSEEN}) AS unseen) AS missing,
           (SELECT count(*) FROM products WHERE tenant_id = $1 AND marketplace = $2 AND archived_at IS NULL) AS active
"""

ARCHIVE_MISSING = f"""
    UPDATE products SET archived_at = now(), updated_at = now()
     WHERE tenant_id = $1 AND marketplace = $2 AND external_id = ANY(ARRAY({UNSEEN}))
"""


class Written(msgspec.Struct, frozen=True):
    """What became of the products of a batch."""

    created: int
    updated: int
    unchanged: int


def digest(product: FetchedProduct) -> bytes:
    """16 bytes that change when anything the marketplace says of the product does."""
    return blake2b(_encode(product), digest_size=16).digest()


async def write_products(connection: Connection, tenant_id: UUID, marketplace: Marketplace, products: Sequence[FetchedProduct]) -> Written:
    """Store what is new or differs, in one statement. Where a product comes twice in a batch, the later one counts."""
    fetched = {product.external_id: (digest(product), product) for product in products}
    known = {row[0]: row for row in await connection.fetch(KNOWN, tenant_id, marketplace, list(fetched))}
    differing: list[tuple[bytes, FetchedProduct]] = []
    for external_id, pair in fetched.items():
        row = known.get(external_id)
        if row is None or row[1] != pair[0] or row[2]:
            differing.append(pair)
    if differing:
        rows = [product for _, product in differing]
        await connection.execute(
            UPSERT,
            tenant_id,
            marketplace,
            [new_id() for _ in rows],
            [product.external_id for product in rows],
            [product.article for product in rows],
            [product.title for product in rows],
            [product.brand for product in rows],
            [product.category for product in rows],
            [msgspec.json.encode(product.sizes).decode() for product in rows],
            [product.image_url for product in rows],
            [mark for mark, _ in differing],
        )
    created = len(fetched) - len(known)
    return Written(created=created, updated=len(differing) - created, unchanged=len(fetched) - len(differing))


async def note_sightings(connection: Connection, tenant_id: UUID, marketplace: Marketplace, external_ids: Sequence[str]) -> None:
    """Remember which products a full pass met."""
    await connection.execute(
        "INSERT INTO sightings (id, tenant_id, marketplace, external_ids) VALUES ($1, $2, $3, $4)",
        new_id(), tenant_id, marketplace, list(external_ids),
    )  # fmt: skip


async def forget_sightings(connection: Connection, tenant_id: UUID, marketplace: Marketplace) -> None:
    await connection.execute("DELETE FROM sightings WHERE tenant_id = $1 AND marketplace = $2", tenant_id, marketplace)


async def count_missing(connection: Connection, tenant_id: UUID, marketplace: Marketplace) -> tuple[int, int]:
    """How many active products the full pass did not meet, and how many active ones there are."""
    row = await connection.fetchrow(MISSING, tenant_id, marketplace)
    assert row is not None  # an aggregate gives a row
    return row["missing"], row["active"]


async def archive_missing(connection: Connection, tenant_id: UUID, marketplace: Marketplace) -> None:
    """Archive what a complete full pass did not meet."""
    await connection.execute(ARCHIVE_MISSING, tenant_id, marketplace)
