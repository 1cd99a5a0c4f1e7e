"""The prices of one tenant's products, copied from the marketplace."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import msgspec

from app.credentials.factory import create_marketplace_client
from app.database import Connection
from app.marketplaces.contract import FetchedPrice, Marketplace, MarketplaceClient, Rejected
from app.marketplaces.read_ahead import read_ahead
from app.runs.checkpoints import Progressed
from app.runs.lease import Lease
from app.runs.schemas import StageReport
from app.runs.tables import Stage
from app.tenants.service import NEXT_CHANGE

# What is compared is rounded as it is stored: a price of three decimals would differ for ever. A look-up for each id, which is what a scalar subquery
# always is; a join by it becomes a walk over all products, for each batch, while the planner knows nothing of them. The instant is `take_change_time`'s: no
# product's row can be locked before it is there to be written.
WRITE = f"""
    WITH found AS MATERIALIZED (
        SELECT fetched.*, (SELECT product.id FROM products AS product
                            WHERE product.tenant_id = $1 AND product.marketplace = $2 AND product.external_id = fetched.external_id) AS id
          FROM json_to_recordset($3) AS fetched (external_id text, price numeric(14, 2), discounted_price numeric(14, 2), currency text)),
    known AS (
        SELECT found.*,
               (product.price, product.discounted_price, product.currency)
               IS DISTINCT FROM (found.price, found.discounted_price, found.currency) AS differs
          FROM found JOIN products AS product ON product.id = found.id),
    change AS (
        UPDATE tenants SET changed_at = {NEXT_CHANGE} FROM (SELECT true FROM known WHERE differs LIMIT 1) AS any_differs
         WHERE tenants.id = $1 RETURNING changed_at),
    written AS (
        UPDATE products
           SET price = known.price, discounted_price = known.discounted_price, currency = known.currency, updated_at = change.changed_at
          FROM known, change WHERE known.differs AND products.id = known.id)
    SELECT count(*) AS known, count(*) FILTER (WHERE differs) AS updated, (SELECT array_agg(external_id) FROM found WHERE id IS NULL) AS unknown
      FROM known
"""


class Row(msgspec.Struct, gc=False):
    """What a product costs, as `WRITE` reads it."""

    external_id: str
    price: Decimal | None
    discounted_price: Decimal | None
    currency: str | None


class Written(msgspec.Struct, frozen=True):
    """What became of the prices of a batch; `unknown` are ids of products that are not stored."""

    updated: int
    unchanged: int
    unknown: list[str]


class PriceService:
    """The prices of one tenant's products. Its client comes from the factory when the first marketplace call needs it."""

    def __init__(self, tenant_id: UUID, client: MarketplaceClient | None = None) -> None:
        self.tenant_id = tenant_id
        self._client = client

    async def sync(self, lease: Lease, report: StageReport, marketplace: Marketplace) -> None:
        """Make the prices what the marketplace says. A product that it names without a price has none afterwards; one that it does not name
        keeps its own.

        A worker that takes the run over goes on behind the last page; another run begins anew.

        Raises:
            LeaseLost: stop; what was committed stays.
            MarketplaceError: the stage can't go on; what was committed stays.
        """
        client = self._client or await create_marketplace_client(self.tenant_id, marketplace)
        before = lease.reached(Stage.PRICES)
        async for pages in read_ahead(client.price_pages(before.cursor if before.run_id == lease.run_id else b"")):
            prices = [price for page in pages for price in page.items]
            rejected = [item for page in pages for item in page.rejected]
            reached = Progressed(cursor=pages[-1].cursor, run_id=lease.run_id)
            async with lease.writing(report, total=pages[-1].total) as connection:
                written = await write_prices(connection, self.tenant_id, marketplace, prices)
                await lease.save(connection, Stage.PRICES, reached)
                report.fetched += len(prices) + len(rejected)
                report.updated += written.updated
                report.unchanged += written.unchanged
                report.reject(rejected)
                # They belong to products that the catalogue doesn't show, such as cards in the trash.
                report.reject(Rejected(external_id, "no such product in the catalogue") for external_id in written.unknown)


async def write_prices(connection: Connection, tenant_id: UUID, marketplace: Marketplace, prices: Sequence[FetchedPrice]) -> Written:
    """Store the prices that differ, in one statement. Where a product comes twice in a batch, the later one counts."""
    rows = {price.product_external_id: _row(price) for price in prices}
    row = await connection.fetchrow(WRITE, tenant_id, marketplace, msgspec.json.encode(list(rows.values())).decode())
    assert row is not None  # an aggregate gives a row
    return Written(row["updated"], row["known"] - row["updated"], row["unknown"] or [])


def _row(price: FetchedPrice) -> Row:
    priced = price.price is not None or price.discounted_price is not None
    return Row(price.product_external_id, price.price, price.discounted_price, price.currency if priced else None)
