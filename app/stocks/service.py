"""The stock of one tenant, copied from the marketplace."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from app.credentials.factory import create_marketplace_client
from app.database import Connection, tenant_scope
from app.errors import FieldError, InvalidInput, NotFound
from app.marketplaces.contract import Fulfilment, Marketplace, MarketplaceClient
from app.marketplaces.errors import CredentialsRejected, MarketplaceError, RateLimited, ScopeMissing, UnexpectedResponse
from app.runs.checkpoints import Progressed
from app.runs.lease import Lease
from app.runs.schemas import ErrorOut, StageReport
from app.runs.tables import Stage
from app.stocks import store
from app.stocks.gathering import Gathering, count, digest
from app.stocks.schemas import HistoryQuery, StockHistoryOut, StockPointOut

MOST_POINTS = 1_000
USUAL_HISTORY = timedelta(days=30)
INTERVALS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

PRODUCTS_PER_LOOK = 2_000
PRODUCTS_PER_WRITE = 500

# An empty report about so many products that had stock is the marketplace's mistake, or a seller's farewell; the second one in a row is believed.
MOST_EMPTIED = 20
EMPTY_REPORT = {
    "ru": "Маркетплейс прислал пустой отчёт об остатках. Похоже на его ошибку: остатки пока не изменены; если следующий отчёт будет таким же, поверим.",
    "en": "The marketplace sent an empty stock report, which looks like its mistake: stock is left as it was; should the next one be empty too, it is "
    "believed.",
}


class Reached(msgspec.Struct):
    """How far the stage of a run came: reports that are stored, with the counts they gave, and reports that the marketplace is making for us. Empty reports
    that were not believed, by this run and by the one before it. Reports that were stored by any run of this account."""

    stored: list[Fulfilment] = []
    fetched: int = 0
    rejected: int = 0
    rejections: list[str] = []
    making: dict[Fulfilment, bytes] = {}
    doubted: list[Fulfilment] = []
    doubted_before: list[Fulfilment] = []
    known: list[Fulfilment] = []


_reached = msgspec.json.Decoder(Reached)


class StockService:
    """The stock of one tenant. Its client comes from the factory when the first marketplace call needs it."""

    def __init__(self, tenant_id: UUID, client: MarketplaceClient | None = None) -> None:
        self.tenant_id = tenant_id
        self._client = client

    async def get_history(self, product_id: UUID, query: HistoryQuery) -> StockHistoryOut:
        """A product's stock at the end of each interval, or whenever it changed.

        Raises:
            NotFound: the tenant has no such product.
            InvalidInput: the time ends before it begins, or is too long for the interval.
        """
        async with tenant_scope(self.tenant_id) as connection:
            now = await store.now_of_product(connection, self.tenant_id, product_id)
            if now is None:
                raise NotFound(f"No product {product_id}.")
            until = max(min(query.until or now, now), EPOCH).astimezone(UTC)
            since = max(query.since or until - USUAL_HISTORY, EPOCH).astimezone(UTC)
            if since >= until:
                raise InvalidInput("There is no time in between.", (FieldError("from", "Give a moment before `to`, and before now"),))
            if query.interval is None:
                points = await store.list_changes(connection, product_id, since=since, until=until, limit=MOST_POINTS + 1)
            else:
                points = await self._sample(connection, product_id, since, until, INTERVALS[query.interval])
        if len(points) > MOST_POINTS:
            raise _too_many_points()
        return StockHistoryOut(product_id, points)

    async def _sample(
        self, connection: Connection, product_id: UUID, since: datetime, until: datetime, interval: timedelta
    ) -> list[StockPointOut]:
        if until - since > interval * MOST_POINTS:
            raise _too_many_points()
        known = await store.last_changes(connection, product_id, since=since, until=until, interval=interval)
        points: list[StockPointOut] = []
        last: StockPointOut | None = None
        end, place = since - (since - EPOCH) % interval, 0
        while end < until:
            end = min(end + interval, until)
            while place < len(known) and known[place].at <= end:
                last, place = known[place], place + 1
            if last is not None:
                points.append(msgspec.structs.replace(last, at=end))
        return points

    async def sync(self, lease: Lease, report: StageReport, marketplace: Marketplace) -> None:
        """Make the shelves what the marketplace's reports say, for both kinds of warehouse.

        A report is a snapshot: it is read to its end before anything is written, so a report that breaks off changes nothing, and a worker
        that is killed leaves nothing that the next one has to know about. Neither report holds up the other.

        Raises:
            ScopeMissing: neither report is open to this key. With one of the two the stage goes on and says what is missing.
            RateLimited: a report is not to be had yet; the other one is stored.
            MarketplaceError: a report is not to be had; the other one is stored, unless the key was rejected.
            LeaseLost: stop; what was committed stays.
        """
        client = self._client or await create_marketplace_client(self.tenant_id, marketplace)
        reached = self._reached(lease)
        # What a killed worker read is read again; what it wrote stays, and is counted as written.
        report.fetched, report.rejected, report.rejections = reached.fetched, reached.rejected, reached.rejections
        closed: list[ScopeMissing] = []
        waiting: list[RateLimited] = []
        failed: list[MarketplaceError] = []
        with ExitStack() as files:
            gathered: dict[Fulfilment, Gathering] = {}
            for fulfilment in Fulfilment:
                if fulfilment in reached.stored:
                    continue
                gathering = files.enter_context(Gathering())
                try:
                    await self._read(client, lease, report, marketplace, fulfilment, gathering, reached)
                except ScopeMissing as error:
                    closed.append(error)
                except RateLimited as error:
                    waiting.append(error)
                except CredentialsRejected:
                    raise
                except MarketplaceError as error:
                    failed.append(error)
                else:
                    gathered[fulfilment] = gathering
            if gathered:
                await self._doubt(gathered, report, lease, marketplace, reached)
                await self._write(lease, report, marketplace, gathered, reached)
        if failed:
            raise failed[0]
        if waiting:
            raise min(waiting, key=lambda error: error.retry_after)
        if len(closed) == len(Fulfilment):
            raise closed[0]
        if closed:
            report.error = ErrorOut(closed[0].code, closed[0].told(lease.language))

    async def _read(
        self,
        client: MarketplaceClient,
        lease: Lease,
        report: StageReport,
        marketplace: Marketplace,
        fulfilment: Fulfilment,
        gathering: Gathering,
        reached: Reached,
    ) -> None:
        pages = 0
        async for page in client.stock_pages(
            fulfilment, lambda: store.known_sizes(self.tenant_id, marketplace), reached.making.get(fulfilment, b"")
        ):
            gathering.add(page.items)
            report.fetched += len(page.rejected)
            report.reject(page.rejected)
            if page.cursor:
                reached.making[fulfilment] = page.cursor
                async with lease.writing(report) as connection:
                    await self._save(connection, lease, reached)
            else:
                pages += 1
        if not pages:
            raise UnexpectedResponse("The marketplace gave no report at all, not even an empty one.")

    async def _doubt(
        self, gathered: dict[Fulfilment, Gathering], report: StageReport, lease: Lease, marketplace: Marketplace, reached: Reached
    ) -> None:
        """Set an empty report aside that would take away the stock of many products."""
        for fulfilment in [fulfilment for fulfilment, gathering in gathered.items() if not gathering.shelves]:
            async with tenant_scope(self.tenant_id) as connection:
                emptied = await store.count_products_with_stock(
                    connection, self.tenant_id, marketplace, fulfilment, at_most=MOST_EMPTIED + 1
                )
            if emptied > MOST_EMPTIED and fulfilment not in reached.doubted_before:
                del gathered[fulfilment]
                reached.doubted.append(fulfilment)
                report.error = ErrorOut("empty_report", EMPTY_REPORT[lease.language])

    async def _write(
        self, lease: Lease, report: StageReport, marketplace: Marketplace, gathered: Mapping[Fulfilment, Gathering], reached: Reached
    ) -> None:
        # The first report of a kind makes whole what was known by halves: no stock moved by it.
        is_news = all(fulfilment in reached.known for fulfilment in gathered)
        before, named = report.fetched, sum(gathering.shelves for gathering in gathered.values())
        total = before + named
        after: UUID | None = None
        while True:
            async with tenant_scope(self.tenant_id) as connection:
                products = await store.known_products(connection, self.tenant_id, marketplace, after=after, limit=PRODUCTS_PER_LOOK)
            if not products:
                break
            shelves, changes = compare(products, gathered)
            for start in range(0, len(changes), PRODUCTS_PER_WRITE):
                async with lease.writing(report, total=total) as connection:
                    written = await store.write_changes(connection, self.tenant_id, changes[start : start + PRODUCTS_PER_WRITE])
                    report.created += written.created
                    report.updated += written.updated
                    report.archived += written.removed
                    if is_news:
                        for event_type, products_told in written.told.items():
                            lease.note(event_type, products_told)
            report.fetched += shelves
            if len(products) < PRODUCTS_PER_LOOK:
                break
            after = products[-1].id
        # What is left belongs to products that the catalogue doesn't show, such as cards in the trash.
        report.rejected += total - report.fetched
        report.fetched = total
        report.unchanged = max(0, report.fetched - report.rejected - report.created - report.updated)
        reached.stored += gathered
        reached.known = _together(reached.known, reached.stored)
        reached.fetched, reached.rejected, reached.rejections = report.fetched, report.rejected, report.rejections
        if not lease.has_saved(Stage.STOCKS, _progressed(lease, reached)):
            async with lease.writing(report, total=total) as connection:
                await self._save(connection, lease, reached)

    def _reached(self, lease: Lease) -> Reached:
        checkpoint = lease.reached(Stage.STOCKS)
        reached = _reached.decode(checkpoint.cursor) if checkpoint.cursor else Reached()
        if checkpoint.run_id == lease.run_id:
            return reached
        # What another run reached says nothing about this one's reports, but for what it did not believe, and what there had been.
        return Reached(doubted_before=reached.doubted, known=_together(reached.known, reached.stored))

    async def _save(self, connection: Connection, lease: Lease, reached: Reached) -> None:
        await lease.save(connection, Stage.STOCKS, _progressed(lease, reached))


def _together(known: Collection[Fulfilment], stored: Collection[Fulfilment]) -> list[Fulfilment]:
    return [fulfilment for fulfilment in Fulfilment if fulfilment in known or fulfilment in stored]


def _progressed(lease: Lease, reached: Reached) -> Progressed:
    return Progressed(cursor=msgspec.json.encode(reached), run_id=lease.run_id)


def _too_many_points() -> InvalidInput:
    return InvalidInput(
        f"There would be more than {MOST_POINTS} points.",
        (FieldError("from", "Give a later moment"), FieldError("interval", "Give `day`, or a longer one than now")),
    )


def compare(products: Sequence[store.KnownProduct], gathered: Mapping[Fulfilment, Gathering]) -> tuple[int, list[store.Change]]:
    """How many shelves the reports name for these products, and what differs from what is stored."""
    external_ids = [product.external_id for product in products]
    said = {fulfilment: gathering.of_products(external_ids) for fulfilment, gathering in gathered.items()}
    shelves = 0
    changes: list[store.Change] = []
    for product in products:
        digests = product.digests
        for fulfilment, of_products in said.items():
            packed, mark = of_products.get(product.external_id), None
            if packed is not None:
                mark = digest(packed)
                shelves += count(packed)
            if mark != product.digests[fulfilment]:
                digests = {**digests, fulfilment: mark}
        if digests is not product.digests:
            changed = {
                fulfilment: said[fulfilment].get(product.external_id)
                for fulfilment, mark in digests.items()
                if mark != product.digests[fulfilment]
            }
            changes.append(store.Change(product, digests, changed))
    return shelves, changes
