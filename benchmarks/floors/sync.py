"""The floor of a sync, as a process: pages over aiohttp, decoded by msgspec, one set-based statement per batch, and a digest per product.

No walls between tenants, no lease, no checkpoint, no retry, no log, no event. Its database is its own, and the tables are the application's.
"""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Sequence
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import msgspec
import uvloop

from benchmarks.shops import SHOP_IN_DATABASE
from benchmarks.usage import Meter, report

FULFILMENTS = (
    ("wb-warehouses", "marketplace_warehouse", "marketplace_stock_digest"),
    ("seller-warehouses", "seller_warehouse", "seller_stock_digest"),
)
PAGES_AHEAD = 8
PRODUCTS_PER_BATCH = 1000

PRODUCTS = """
    INSERT INTO products
           (id, tenant_id, marketplace, external_id, article, title, brand, category, barcodes, sizes, image_url, digest, stock_total, created_at, updated_at)
    SELECT id, $1, 'wildberries', external_id, article, title, brand, category, barcodes::varchar[], sizes::jsonb, image_url, digest, 0, now(), now()
      FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bytea[])
           AS fetched (id, external_id, article, title, brand, category, barcodes, sizes, image_url, digest)
        ON CONFLICT (tenant_id, marketplace, external_id) DO UPDATE
       SET article = excluded.article, title = excluded.title, brand = excluded.brand, category = excluded.category,
           barcodes = excluded.barcodes, sizes = excluded.sizes, image_url = excluded.image_url, digest = excluded.digest, updated_at = now()
"""

STOCKS = """
    INSERT INTO stocks
           (id, tenant_id, product_id, fulfilment, size_id, warehouse_id, warehouse, quantity, in_way_to_client, in_way_from_client, changed_at)
    SELECT id, $1, product_id, $2, size_id, warehouse_id, warehouse, quantity, in_way_to_client, in_way_from_client, now()
      FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::int[], $9::int[], $10::int[])
           AS fetched (id, product_id, size_id, warehouse_id, warehouse, quantity, in_way_to_client, in_way_from_client)
        ON CONFLICT (product_id, fulfilment, warehouse_id, size_id) DO UPDATE
       SET quantity = excluded.quantity, in_way_to_client = excluded.in_way_to_client, in_way_from_client = excluded.in_way_from_client, changed_at = now()
"""

TOTALS = """
    UPDATE products SET {digest} = changed.digest, stock_total = stock_total + changed.units, updated_at = now()
      FROM unnest($1::uuid[], $2::bytea[], $3::int[]) AS changed (id, digest, units) WHERE products.id = changed.id
"""


class Size(msgspec.Struct, gc=False):
    chrt_id: int = msgspec.field(name="chrtID")
    tech_size: str = msgspec.field(name="techSize")
    skus: list[str]


class Photo(msgspec.Struct, gc=False):
    c516x688: str


class Card(msgspec.Struct, gc=False):
    nm_id: int = msgspec.field(name="nmID")
    vendor_code: str = msgspec.field(name="vendorCode")
    title: str
    brand: str
    subject_name: str = msgspec.field(name="subjectName")
    sizes: list[Size]
    photos: list[Photo] = []


class Cursor(msgspec.Struct, omit_defaults=True):
    total: int = 0
    updated_at: str | None = msgspec.field(name="updatedAt", default=None)
    nm_id: int | None = msgspec.field(name="nmID", default=None)


class Cards(msgspec.Struct):
    cards: list[Card]
    cursor: Cursor


class Shelf(msgspec.Struct, gc=False):
    nm_id: int = msgspec.field(name="nmId")
    chrt_id: int = msgspec.field(name="chrtId")
    warehouse_id: int = msgspec.field(name="warehouseId")
    warehouse: str = msgspec.field(name="warehouseName")
    quantity: int
    to_client: int = msgspec.field(name="inWayToClient", default=0)
    from_client: int = msgspec.field(name="inWayFromClient", default=0)


class Shelves(msgspec.Struct):
    items: list[Shelf]


class Stock(msgspec.Struct):
    data: Shelves


_cards = msgspec.json.Decoder(Cards)
_stock = msgspec.json.Decoder(Stock)
_encode = msgspec.msgpack.Encoder().encode


def _digest(value: object) -> bytes:
    return blake2b(_encode(value), digest_size=16).digest()


async def _card_pages(http: aiohttp.ClientSession) -> AsyncIterator[list[Card]]:
    cursor: dict[str, Any] = {"limit": 100}
    url = f"{os.environ['WB_CONTENT_API_URL']}/content/v2/get/cards/list"
    while True:
        question = {"settings": {"sort": {"ascending": True}, "filter": {"withPhoto": -1}, "cursor": cursor}}
        async with http.post(url, data=msgspec.json.encode(question)) as answer:
            answer.raise_for_status()
            page = _cards.decode(await answer.read())
        yield page.cards
        if page.cursor.total < 100:
            return
        cursor = {"limit": 100, "updatedAt": page.cursor.updated_at, "nmID": page.cursor.nm_id}


async def _batches(http: aiohttp.ClientSession) -> AsyncIterator[list[Card]]:
    """Fetch while the caller writes; each time all that has come since."""
    waiting: asyncio.Queue[list[Card] | None] = asyncio.Queue(PAGES_AHEAD)

    async def fetch() -> None:
        async for page in _card_pages(http):
            await waiting.put(page)
        await waiting.put(None)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fetch())
        while (page := await waiting.get()) is not None:
            batch = list(page)
            while not waiting.empty():
                page = waiting.get_nowait()
                if page is None:
                    yield batch
                    return
                batch += page
            yield batch


async def _copy_products(http: aiohttp.ClientSession, database: Any, tenant_id: UUID) -> None:
    rows = await database.fetch("SELECT external_id, digest FROM products WHERE tenant_id = $1", tenant_id)
    known = dict(rows)
    async for batch in _batches(http):
        marked = [(card, digest) for card in batch if known.get(str(card.nm_id)) != (digest := _digest(card))]
        if marked:
            cards = [card for card, _ in marked]
            await database.execute(
                PRODUCTS, tenant_id, [uuid4() for _ in cards], [str(card.nm_id) for card in cards], [card.vendor_code for card in cards],
                [card.title for card in cards], [card.brand for card in cards], [card.subject_name for card in cards],
                ["{" + ",".join(sku for size in card.sizes for sku in size.skus) + "}" for card in cards],
                [_sizes(card.sizes) for card in cards],
                [card.photos[0].c516x688 if card.photos else None for card in cards], [digest for _, digest in marked],
            )  # fmt: skip


def _sizes(sizes: Sequence[Size]) -> str:
    return msgspec.json.encode([{"id": str(size.chrt_id), "name": size.tech_size, "barcodes": size.skus} for size in sizes]).decode()


async def _copy_stocks(http: aiohttp.ClientSession, database: Any, tenant_id: UUID) -> None:
    for report_name, fulfilment, digest_column in FULFILMENTS:
        url = f"{os.environ['WB_ANALYTICS_API_URL']}/api/analytics/v1/stocks-report/{report_name}"
        async with http.post(url, data=b'{"limit":250000,"offset":0,"nmIds":[]}') as answer:
            answer.raise_for_status()
            body = await answer.read()
        by_product: dict[str, list[Shelf]] = {}
        for shelf in _stock.decode(body).data.items if body else ():
            by_product.setdefault(str(shelf.nm_id), []).append(shelf)
        products = await database.fetch(f"SELECT id, external_id, {digest_column} FROM products WHERE tenant_id = $1", tenant_id)
        differing: list[tuple[UUID, bytes, list[Shelf]]] = []
        for product_id, external_id, before in products:
            shelves = by_product.get(external_id)
            if shelves and (digest := _digest(shelves)) != before:
                differing.append((product_id, digest, shelves))
        for start in range(0, len(differing), PRODUCTS_PER_BATCH):
            batch = differing[start : start + PRODUCTS_PER_BATCH]
            rows = [(product_id, shelf) for product_id, _, shelves in batch for shelf in shelves]
            async with database.transaction():
                await database.execute(
                    STOCKS, tenant_id, fulfilment, [uuid4() for _ in rows], [product_id for product_id, _ in rows],
                    [str(shelf.chrt_id) for _, shelf in rows], [str(shelf.warehouse_id) for _, shelf in rows],
                    [shelf.warehouse for _, shelf in rows], [shelf.quantity for _, shelf in rows],
                    [shelf.to_client for _, shelf in rows], [shelf.from_client for _, shelf in rows],
                )  # fmt: skip
                await database.execute(
                    TOTALS.format(digest=digest_column), [product_id for product_id, _, _ in batch], [digest for _, digest, _ in batch],
                    [sum(shelf.quantity for shelf in shelves) for _, _, shelves in batch],
                )  # fmt: skip


async def _copy(token: str, tenant_id: UUID, database: Any) -> None:
    headers = {"Authorization": token, "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as http:
        await _copy_products(http, database, tenant_id)
        await _copy_stocks(http, database, tenant_id)


async def _main() -> None:
    database: Any = await asyncpg.connect(os.environ["DATABASE_URL"])
    for table in ("tenants", "products", "stocks"):
        await database.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    gc.collect()
    gc.freeze()
    idle = Meter()
    for token in (os.environ["BENCHMARK_WARM_TOKEN"], os.environ["BENCHMARK_TOKEN"]):
        # The same seller is the same tenant in the next process.
        tenant_id = UUID(bytes=blake2b(token.encode(), digest_size=16).digest())
        await database.execute(SHOP_IN_DATABASE, tenant_id)
        meter = Meter()
        await _copy(token, tenant_id, database)
        used = meter.read()
    await database.close()
    report(used, idle_pss_mib=idle.pss_mib)


if __name__ == "__main__":
    uvloop.run(_main())
