"""The stock of one tenant, copied from the marketplace."""

from uuid import UUID

from app.credentials.factory import create_marketplace_client
from app.marketplaces.contract import FetchedStock, Fulfilment, Marketplace, MarketplaceClient
from app.marketplaces.errors import ScopeMissing
from app.marketplaces.read_ahead import read_ahead
from app.runs.lease import Lease
from app.runs.schemas import ErrorOut, StageReport
from app.stocks import store

PRODUCTS_PER_BATCH = 1000


class StockService:
    """The stock of one tenant. Its client comes from the factory when the first marketplace call needs it."""

    def __init__(self, tenant_id: UUID, client: MarketplaceClient | None = None) -> None:
        self.tenant_id = tenant_id
        self._client = client

    async def sync(self, lease: Lease, report: StageReport, marketplace: Marketplace) -> None:
        """Make the shelves what the marketplace's reports say, for both kinds of warehouse.

        A report is a snapshot: it is read to its end before anything is written, so a report that breaks off changes nothing, and a worker
        that is killed leaves nothing that the next one has to know about.

        Raises:
            ScopeMissing: neither report is open to this key. With one of the two the stage goes on and says what is missing.
            LeaseLost, MarketplaceError: stop; what was committed stays.
        """
        client = self._client or await create_marketplace_client(self.tenant_id, marketplace)
        closed: list[ScopeMissing] = []
        # Only the reports count: a worker that takes over reads them again.
        report.fetched = report.created = report.updated = report.unchanged = report.archived = report.rejected = 0
        for fulfilment in Fulfilment:
            try:
                fetched = await self._read_report(client, fulfilment, report)
            except ScopeMissing as error:
                closed.append(error)
                continue
            await self._write(lease, report, marketplace, fulfilment, fetched)
        if len(closed) == len(Fulfilment):
            raise closed[0]
        if closed:
            report.error = ErrorOut(closed[0].code, closed[0].detail)

    async def _read_report(self, client: MarketplaceClient, fulfilment: Fulfilment, report: StageReport) -> dict[str, list[FetchedStock]]:
        """The whole report by product: few sellers have more than one page of it, and a product's rows may stand on two."""
        by_product: dict[str, list[FetchedStock]] = {}
        async for pages in read_ahead(client.stock_pages(fulfilment)):
            for page in pages:
                report.rejected += len(page.rejected)
                for shelf in page.items:
                    by_product.setdefault(shelf.product_external_id, []).append(shelf)
        return by_product

    async def _write(
        self, lease: Lease, report: StageReport, marketplace: Marketplace, fulfilment: Fulfilment, fetched: dict[str, list[FetchedStock]]
    ) -> None:
        after: UUID | None = None
        total = report.fetched + sum(map(len, fetched.values()))
        while True:
            async with lease.writing(report, total=total) as connection:
                batch = await store.known_products(
                    connection, self.tenant_id, marketplace, fulfilment, after=after, limit=PRODUCTS_PER_BATCH
                )
                if not batch:
                    break
                after = batch[-1].id
                shelves = sum(len(fetched.get(product.external_id, ())) for product in batch)
                differing = [product for product in batch if store.digest(fetched.get(product.external_id, ())) != product.digest]
                report.fetched += shelves
                if differing:
                    written = await store.replace_shelves(connection, self.tenant_id, fulfilment, differing, fetched)
                    report.created += written.created
                    report.updated += written.updated
                    report.archived += written.removed
                    shelves -= written.created + written.updated
                report.unchanged += shelves
        # What is left belongs to products that the catalogue doesn't show, such as cards in the trash.
        report.rejected += total - report.fetched
        report.fetched = total
