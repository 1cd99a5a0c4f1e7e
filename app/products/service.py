"""The products of one tenant: looked at, and copied from the marketplace."""

from datetime import datetime
from uuid import UUID

import msgspec

from app.api.pagination import PageOut, decode_cursor, encode_cursor
from app.cache import cached
from app.credentials.factory import create_marketplace_client
from app.database import Connection, tenant_scope
from app.errors import NotFound
from app.marketplaces.contract import Marketplace, MarketplaceClient
from app.marketplaces.read_ahead import read_ahead
from app.products import store
from app.products.schemas import ProductDetailOut, ProductOut, ProductQuery, ShelfOut
from app.runs.checkpoints import Progressed, load_checkpoint, save_checkpoint
from app.runs.lease import Lease
from app.runs.schemas import ErrorOut, StageReport
from app.runs.tables import Stage

FULL_PASS_EVERY_S = 24 * 3600.0

# Marketplaces have bad days: an answer that lacks this much of a catalogue is not believed.
MOST_MISSING = 20
MOST_MISSING_SHARE = 0.2
TOO_MANY_MISSING = {
    "ru": "Маркетплейс не показал {} из {} товаров. Похоже на его ошибку, поэтому в архив ничего не отправлено.",
    "en": "The marketplace left out {} of {} products, which looks like its mistake; none was archived.",
}
UNREADABLE = {
    "ru": "Не удалось прочитать товаров: {}. Поэтому в архив ничего не отправлено.",
    "en": "{} products could not be read, so none was archived.",
}

COLUMNS = (
    "id, marketplace, external_id, article, title, brand, category, barcodes, image_url, price, discounted_price, currency, "
    "stock_total, NULL::float8, archived_at IS NOT NULL, updated_at"
)
FIELDS = ProductOut.__struct_fields__

SHELVES = """
    SELECT stock.fulfilment, stock.warehouse_id, stock.warehouse, stock.size_id,
           coalesce((SELECT size ->> 'name' FROM jsonb_array_elements(product.sizes) AS size WHERE size ->> 'id' = stock.size_id LIMIT 1), '') AS size,
           stock.quantity, stock.in_way_to_client, stock.in_way_from_client, stock.changed_at
      FROM stocks AS stock JOIN products AS product ON product.id = stock.product_id
     WHERE stock.product_id = $1 AND stock.tenant_id = $2
     ORDER BY stock.quantity DESC, stock.id
"""

# Sort name → the column, and the type of its value in a cursor.
SORTS: dict[str, tuple[str, type]] = {"title": ("title", str), "stock": ("stock_total", int), "updated_at": ("updated_at", datetime)}


class ProductService:
    """The products of one tenant. Its client comes from the factory when the first marketplace call needs it."""

    def __init__(self, tenant_id: UUID, client: MarketplaceClient | None = None) -> None:
        self.tenant_id = tenant_id
        self._client = client

    async def list_products(self, query: ProductQuery) -> bytes:
        """A page of products as JSON: `{"items": [ProductOut], "next_cursor": …}`, from the cache where it may."""
        return await _list_products(self.tenant_id, query)

    async def get_product(self, product_id: UUID) -> ProductDetailOut:
        """One product with its stock.

        Raises:
            NotFound: the tenant has no such product.
        """
        async with tenant_scope(self.tenant_id) as connection:
            row = await connection.fetchrow(f"SELECT {COLUMNS} FROM products WHERE id = $1 AND tenant_id = $2", product_id, self.tenant_id)
            if row is None:
                raise NotFound(f"No product {product_id}.")
            shelves = await connection.fetch(SHELVES, product_id, self.tenant_id)
        stocks = msgspec.convert([dict(shelf) for shelf in shelves], list[ShelfOut])
        return msgspec.convert({**dict(zip(FIELDS, row, strict=True)), "stocks": stocks}, ProductDetailOut)

    async def sync(self, lease: Lease, report: StageReport, marketplace: Marketplace) -> None:
        """Copy what changed since the checkpoint, or everything, and archive what a complete full pass did not meet.

        Raises:
            LeaseLost: stop; what was committed stays.
            MarketplaceError: the stage can't go on; what was committed stays, the next run goes on behind it.
        """
        client = self._client or await create_marketplace_client(self.tenant_id, marketplace)
        reached = await self._begin(lease, report, marketplace, incremental=client.products_are_incremental)
        full = reached.full_pass_run is not None
        async for pages in read_ahead(client.product_pages(reached.cursor)):
            products = [product for page in pages for product in page.items]
            rejected = [card for page in pages for card in page.rejected]
            gone = [external_id for page in pages for external_id in page.gone]
            reached = msgspec.structs.replace(reached, cursor=pages[-1].cursor)
            async with lease.writing(report) as connection:
                written = await store.write_products(connection, self.tenant_id, marketplace, products)
                report.archived += written.archived
                if gone:
                    report.archived += await store.archive(connection, self.tenant_id, marketplace, gone)
                if full:
                    # A card that could not be read is there all the same.
                    seen = [product.external_id for product in products] + [card.external_id or "" for card in rejected]
                    await store.note_sightings(connection, self.tenant_id, marketplace, seen)
                await save_checkpoint(connection, self.tenant_id, marketplace, Stage.PRODUCTS, reached)
                report.fetched += len(products) + len(rejected)
                report.reject(rejected)
                report.created += written.created
                report.updated += written.updated
                report.unchanged += written.unchanged
        if full:
            async with lease.writing(report) as connection:
                await self._complete_full_pass(connection, report, marketplace, reached, lease.language)

    async def _begin(self, lease: Lease, report: StageReport, marketplace: Marketplace, *, incremental: bool) -> Progressed:
        async with lease.writing(report) as connection:
            reached = await load_checkpoint(connection, self.tenant_id, marketplace, Stage.PRODUCTS)
            if reached.full_pass_run == lease.run_id:
                return reached  # an earlier worker of this run began it
            due = reached.full_pass_age_s is None or reached.full_pass_age_s > FULL_PASS_EVERY_S
            if not (lease.full or due or reached.full_pass_run is not None):
                # A place in the walk of another run is no place to go on at: what lies before it would be left out.
                from_start = not incremental and reached.run_id != lease.run_id
                return msgspec.structs.replace(reached, cursor=b"" if from_start else reached.cursor, run_id=lease.run_id)
            # A pass that another run left unfinished starts again: its sightings may be too old to archive by.
            begun = msgspec.structs.replace(reached, cursor=b"", full_pass_run=lease.run_id, run_id=lease.run_id)
            await store.forget_sightings(connection, self.tenant_id, marketplace)
            await save_checkpoint(connection, self.tenant_id, marketplace, Stage.PRODUCTS, begun)
            return begun

    async def _complete_full_pass(
        self, connection: Connection, report: StageReport, marketplace: Marketplace, reached: Progressed, language: str
    ) -> None:
        missing = await store.count_missing(connection, self.tenant_id, marketplace)
        # The first pass of an account has no former catalogue of it to protect: what is missing was another account's.
        first = reached.full_pass_at is None
        if missing.products and missing.nameless:
            report.error = ErrorOut("unreadable_products", UNREADABLE[language].format(missing.nameless))
        elif not first and _is_doubtful(missing):
            report.error = ErrorOut("too_many_missing", TOO_MANY_MISSING[language].format(missing.products, missing.active))
        elif missing.products:
            await store.archive_missing(connection, self.tenant_id, marketplace)
            report.archived += missing.products
        await store.forget_sightings(connection, self.tenant_id, marketplace)
        now: datetime = await connection.fetchval("SELECT now()")
        done = Progressed(cursor=reached.cursor, full_pass_run=None, full_pass_at=now, run_id=reached.run_id)
        await save_checkpoint(connection, self.tenant_id, marketplace, Stage.PRODUCTS, done)


def _is_doubtful(missing: store.Missing) -> bool:
    many = missing.products > MOST_MISSING and missing.products > MOST_MISSING_SHARE * missing.active
    # What a seller removes is told of, in the trash or the archive: a catalogue that is just empty is a mistake in the smallest shop, too.
    return many or missing.products == missing.active > 1


@cached("products:list", ttl=300)
async def _list_products(tenant_id: UUID, query: ProductQuery) -> bytes:
    name, descending = (query.sort or "").lstrip("-"), (query.sort or "").startswith("-")
    fingerprint = ("products", msgspec.structs.replace(query, limit=0, cursor=None))
    arguments: list[object] = [tenant_id, query.limit + 1]
    conditions = ["product.tenant_id = $1", f"product.archived_at IS {'NOT ' if query.archived else ''}NULL"]

    def argument(value: object) -> str:
        arguments.append(value)
        return f"${len(arguments)}"

    if query.marketplace:
        conditions.append(f"marketplace = {argument(query.marketplace)}")
    if query.brand is not None:
        conditions.append(f"brand = {argument(query.brand)}")
    if query.q:
        exact, like = argument(query.q), argument(f"%{_escape_like(query.q)}%")
        conditions.append(f"(title ILIKE {like} OR article ILIKE {like} OR {exact}::text = ANY(barcodes))")
    if query.low_stock is not None:
        low = "stock_total <= coalesce(product.low_stock_threshold, (SELECT low_stock_threshold FROM tenants WHERE id = $1))"
        conditions.append(low if query.low_stock else f"NOT ({low})")
    if query.updated_since:
        conditions.append(f"product.updated_at >= {argument(query.updated_since)}")

    comparison, direction = ("<", "DESC") if descending else (">", "ASC")
    column, value_type = SORTS.get(name, ("", str))
    if query.cursor:
        values = decode_cursor(query.cursor, fingerprint, (value_type, UUID) if column else (UUID,))
        place = ", ".join(argument(value) for value in values)
        conditions.append(f"({column}, product.id) {comparison} ({place})" if column else f"product.id {comparison} {place}")
    order = f"{column} {direction}, product.id {direction}" if column else f"product.id {direction}"

    statement = f"SELECT {COLUMNS} FROM products AS product WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT $2"
    async with tenant_scope(tenant_id) as connection:
        rows = await connection.fetch(statement, *arguments)
    more = len(rows) > query.limit
    items = [ProductOut(*row) for row in rows[: query.limit]]
    next_cursor = None
    if more:
        last = items[-1]
        value = {"title": last.title, "stock": last.stock_total, "updated_at": last.updated_at}.get(name)
        next_cursor = encode_cursor(fingerprint, (value, last.id) if column else (last.id,))
    return msgspec.json.encode(PageOut(items, next_cursor))


def _escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
