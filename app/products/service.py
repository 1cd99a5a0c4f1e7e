"""The products of one tenant: looked at, and copied from the marketplace."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from app.api.pagination import PageOut, decode_cursor, encode_cursor
from app.audit.service import record
from app.cache import cached, get_cache
from app.credentials.factory import create_marketplace_client
from app.database import Connection, tenant_scope
from app.errors import FieldError, InvalidInput, NotFound
from app.marketplaces.contract import Marketplace, MarketplaceClient
from app.marketplaces.read_ahead import read_ahead
from app.products import store
from app.products.schemas import ProductDetailOut, ProductOut, ProductPatch, ProductQuery, ShelfOut
from app.runs.checkpoints import Progressed
from app.runs.lease import Lease
from app.runs.schemas import ErrorOut, StageReport
from app.runs.tables import Stage
from app.tenants.service import take_change_time

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

# Of a `product` of the surrounding statement, so that a page of products needs one statement.
SHELVES = """
    ARRAY(SELECT ROW (stock.fulfilment, stock.warehouse_id, stock.warehouse, stock.size_id,
                      coalesce((SELECT size ->> 'name' FROM jsonb_array_elements(product.sizes) AS size WHERE size ->> 'id' = stock.size_id LIMIT 1), ''),
                      stock.quantity, stock.in_way_to_client, stock.in_way_from_client, stock.changed_at)
            FROM stocks AS stock
           WHERE stock.product_id = product.id AND stock.tenant_id = product.tenant_id
           ORDER BY stock.quantity DESC, stock.id)
"""
DETAIL_COLUMNS = f"{COLUMNS}, low_stock_threshold, lead_time_days, {SHELVES}"

DETAIL = f"SELECT {DETAIL_COLUMNS} FROM products AS product WHERE id = $1 AND tenant_id = $2"

# Sort name → the column, and the type of its value in a cursor. A forged cursor may hold any bigint.
SORTS: dict[str, tuple[str, type]] = {
    "title": ("title", str),
    "stock": ("stock_total::bigint", int),
    "updated_at": ("updated_at", datetime),
}


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
            return await self._read_product(connection, product_id)

    async def update_product(self, actor: str, product_id: UUID, patch: ProductPatch) -> ProductDetailOut:
        """Change the seller's own settings that the patch names; gives the product with its stock.

        Raises:
            InvalidInput: it names nothing.
            NotFound: the tenant has no such product.
        """
        wanted = {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not UNSET}
        if not wanted:
            raise InvalidInput("Nothing to change.", (FieldError("", "Give at least one field, such as low_stock_threshold"),))
        assignments = ", ".join(f"{name} = ${position}" for position, name in enumerate(wanted, 3))
        async with tenant_scope(self.tenant_id) as connection:
            product = await self._read_product(connection, product_id)
            if any(getattr(product, name) != value for name, value in wanted.items()):
                changed_at = await take_change_time(connection, self.tenant_id)
                statement = f"UPDATE products SET {assignments}, updated_at = $2 WHERE id = $1"
                await connection.execute(statement, product_id, changed_at, *wanted.values())
                await record(connection, self.tenant_id, actor, "product.updated", {"product_id": product_id, **wanted})
                product = await self._read_product(connection, product_id)
        await get_cache().flush_tenant(self.tenant_id)
        return product

    async def _read_product(self, connection: Connection, product_id: UUID) -> ProductDetailOut:
        row = await connection.fetchrow(DETAIL, product_id, self.tenant_id)
        if row is None:
            raise NotFound(f"No product {product_id}.")
        return product_of(row)

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
                await lease.save(connection, Stage.PRODUCTS, reached)
                report.fetched += len(products) + len(rejected)
                report.reject(rejected)
                report.created += written.created
                report.updated += written.updated
                report.unchanged += written.unchanged
        if full:
            async with lease.writing(report) as connection:
                await self._complete_full_pass(connection, lease, report, marketplace, reached)

    async def _begin(self, lease: Lease, report: StageReport, marketplace: Marketplace, *, incremental: bool) -> Progressed:
        reached = lease.reached(Stage.PRODUCTS)
        if reached.full_pass_run == lease.run_id:
            return reached  # an earlier worker of this run began it
        due = reached.full_pass_age_s is None or reached.full_pass_age_s > FULL_PASS_EVERY_S
        if not (lease.full or due or reached.full_pass_run is not None):
            # A place in the walk of another run is no place to go on at: what lies before it would be left out.
            from_start = not incremental and reached.run_id != lease.run_id
            return msgspec.structs.replace(reached, cursor=b"" if from_start else reached.cursor, run_id=lease.run_id)
        # A pass that another run left unfinished starts again: its sightings may be too old to archive by.
        begun = msgspec.structs.replace(reached, cursor=b"", full_pass_run=lease.run_id, run_id=lease.run_id)
        async with lease.writing(report) as connection:
            await store.forget_sightings(connection, self.tenant_id, marketplace)
            await lease.save(connection, Stage.PRODUCTS, begun)
        return begun

    async def _complete_full_pass(
        self, connection: Connection, lease: Lease, report: StageReport, marketplace: Marketplace, reached: Progressed
    ) -> None:
        missing = await store.count_missing(connection, self.tenant_id, marketplace)
        # The first pass of an account has no former catalogue of it to protect: what is missing was another account's.
        first = reached.full_pass_at is None
        if missing.products and missing.nameless:
            report.error = ErrorOut("unreadable_products", UNREADABLE[lease.language].format(missing.nameless))
        elif not first and _is_doubtful(missing):
            report.error = ErrorOut("too_many_missing", TOO_MANY_MISSING[lease.language].format(missing.products, missing.active))
        elif missing.products:
            await store.archive_missing(connection, self.tenant_id, marketplace)
            report.archived += missing.products
        await store.forget_sightings(connection, self.tenant_id, marketplace)
        now: datetime = await connection.fetchval("SELECT now()")
        done = Progressed(cursor=reached.cursor, full_pass_run=None, full_pass_at=now, run_id=reached.run_id)
        await lease.save(connection, Stage.PRODUCTS, done)


def product_of(columns: Sequence[Any]) -> ProductDetailOut:
    """A product of `DETAIL_COLUMNS`."""
    *facts, shelves = columns
    return ProductDetailOut(*facts, stocks=[ShelfOut(*shelf) for shelf in shelves])


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
