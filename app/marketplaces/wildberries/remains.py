"""Stock in Wildberries' warehouses from the report on warehouse remains: for keys to which the newer report is closed.

The report is ordered, made, and fetched; that takes from seconds to minutes, and a Base token may look four times an hour. So each step is one visit: what is
ordered is told in a cursor, and the visit ends with `ReportNotReady`. Source: dev.wildberries.ru, "Reports", "Warehouses remains report", as of 2026-10-24.
"""

import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from sys import intern
from types import TracebackType
from typing import Self

import msgspec
import structlog

from app.marketplaces.contract import FetchedStock, KnownSize, KnownSizes, Page
from app.marketplaces.errors import ReportNotReady
from app.marketplaces.items import WAREHOUSE_LENGTH, text
from app.marketplaces.wildberries.account import Account
from app.marketplaces.wildberries.cards import size_name
from app.marketplaces.wildberries.methods import REMAINS_CREATE, REMAINS_DOWNLOAD, REMAINS_STATUS
from app.marketplaces.wildberries.refusals import NothingThere
from app.marketplaces.wildberries.rows import Report, Rows
from app.marketplaces.wildberries.token import Access
from app.marketplaces.wildberries.wire import NmId, RemainsCreated, RemainsRow, RemainsStatus, RemainsWarehouse

log = structlog.get_logger(__name__)

GROUPING = {"groupByNm": "true", "groupBySize": "true", "groupByBarcode": "true", "groupBySa": "true"}

# Rows of the list of warehouses that are none.
TO_CLIENT = "В пути до получателей"
FROM_CLIENT = "В пути возвраты на склад WB"
ALL_WAREHOUSES = "Всего находится на складах"
# Where the units that are under way are shown: the report does not say to or from which warehouse.
IN_WAY = "В пути"

FIRST_LOOK = timedelta(seconds=15)
# A look too early costs a Base token a quarter of an hour.
FIRST_LOOK_OF_BASE = timedelta(minutes=2)
# A report that takes longer than this is ordered again; users say that a finished one is kept for 2 to 4 hours.
LONGEST_MAKING = timedelta(hours=2)

_REPORT = Report(RemainsRow, NmId)


class Task(msgspec.Struct, frozen=True):
    """The report that was ordered: our cursor."""

    task_id: str
    ordered_at: datetime


_task = msgspec.json.Decoder(Task)
_encode_task = msgspec.json.Encoder().encode
_created = msgspec.json.Decoder(RemainsCreated)
_status = msgspec.json.Decoder(RemainsStatus)
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(RemainsRow).decode


async def remains_pages(account: Account, known_sizes: KnownSizes, after: bytes) -> AsyncIterator[Page[FetchedStock]]:
    """Order the report, or fetch the one that the cursor names and yield the stock of the sizes that are known. No stock is one empty page.

    Raises:
        ReportNotReady: come again with the cursor.
    """
    rows = await _fetched(account, _task.decode(after)) if after else None
    if rows is None:
        created = await account.call(REMAINS_CREATE, lambda answer: _created.decode(answer.body), query=GROUPING)
        yield Page([], _encode_task(Task(created.data.task_id, datetime.now(UTC))))
        raise ReportNotReady(FIRST_LOOK_OF_BASE if account.access is Access.BASE else FIRST_LOOK)
    disagreeing = 0
    with rows, Remains() as remains:
        for understood, rejected in rows:
            remains.add(understood)
            yield Page([], b"", rejected)
        remains.complete()
        empty = True
        async for sizes in known_sizes():
            empty = False
            stocks: list[FetchedStock] = []
            for product, its_sizes in _by_product(sizes).items():
                found, differ = _stocks(product, its_sizes, remains.of(product))
                stocks += found
                disagreeing += differ
            yield Page(stocks, b"")
    if empty:
        yield Page([], b"")
    if disagreeing:
        log.warning("wildberries_remains_disagree", rows=disagreeing)


async def _fetched(account: Account, task: Task) -> Rows[RemainsRow] | None:
    """The finished report; None, if it has to be ordered again.

    Raises:
        ReportNotReady: it is still being made.
    """
    path = {"task_id": task.task_id}
    # A run that was put back for hours must not store what lay there hours ago.
    if datetime.now(UTC) - task.ordered_at >= LONGEST_MAKING:
        return None
    try:
        answer = await account.call(REMAINS_STATUS, lambda answer: _status.decode(answer.body), path=path)
        match answer.data.status:
            case "done":
                return await account.call(REMAINS_DOWNLOAD, lambda answer: _REPORT.open(answer, REMAINS_DOWNLOAD), path=path)
            case "new" | "processing":
                raise ReportNotReady(max(FIRST_LOOK, timedelta(seconds=REMAINS_STATUS.budget(account.access).interval_s)))
            case _:
                return None
    except NothingThere:
        return None


class Remains:
    """The rows of the report by product, in a temporary file that SQLite keeps. A context."""

    def __init__(self) -> None:
        # An empty name is a file that nobody else sees, and that is written only when it outgrows SQLite's cache (https://sqlite.org/inmemorydb.html).
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript("PRAGMA journal_mode = OFF; BEGIN; CREATE TABLE remains (nm_id INTEGER NOT NULL, row BLOB NOT NULL)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._database.close()

    def add(self, rows: Iterable[RemainsRow]) -> None:
        self._database.executemany("INSERT INTO remains VALUES (?, ?)", ((row.nm_id, _pack(row)) for row in rows))

    def complete(self) -> None:
        """No more rows come: put those of a product beside each other."""
        self._database.executescript("""
            CREATE TABLE sorted (nm_id INTEGER, place INTEGER, row BLOB, PRIMARY KEY (nm_id, place)) WITHOUT ROWID;
            INSERT INTO sorted SELECT nm_id, rowid, row FROM remains ORDER BY nm_id, rowid;
            DROP TABLE remains;
        """)

    def of(self, product: str) -> list[RemainsRow]:
        found = self._database.execute("SELECT row FROM sorted WHERE nm_id = ?", (product,))
        return [_unpack(packed) for (packed,) in found]


def _by_product(sizes: list[KnownSize]) -> dict[str, list[KnownSize]]:
    found: dict[str, list[KnownSize]] = defaultdict(list)
    for size in sizes:
        found[size.product_external_id].append(size)
    return found


def _stocks(product: str, sizes: Sequence[KnownSize], rows: Sequence[RemainsRow]) -> tuple[list[FetchedStock], int]:
    """A product's shelves, and in how many rows the sum over the warehouses was not what the report says it is.

    A size may have several barcodes and so several rows. Units of a size that nobody knows are the product's all the same: their size is empty.
    """
    by_barcode = {barcode: size.size_id for size in sizes for barcode in size.barcodes}
    by_name = {size.name: size.size_id for size in sizes}
    quantities: dict[tuple[str, str], int] = defaultdict(int)
    in_way: dict[str, list[int]] = {}
    disagreeing = 0
    for row in rows:
        size = by_barcode.get(row.barcode or "") or (sizes[0].size_id if len(sizes) == 1 else by_name.get(size_name(row.tech_size), ""))
        shelves, total = _shelves(row.warehouses or ())
        if total is not None and total != sum(shelves.values()):
            disagreeing += 1
            # What warehouses are added up in others changes now and then; the total is the total.
            shelves = {ALL_WAREHOUSES: total}
        for warehouse, quantity in shelves.items():
            quantities[size, warehouse] += quantity
        for warehouse in row.warehouses or ():
            if warehouse.name in (TO_CLIENT, FROM_CLIENT):
                in_way.setdefault(size, [0, 0])[warehouse.name == FROM_CLIENT] += warehouse.quantity
    stocks = [FetchedStock(product, size, name, name, quantity, 0, 0) for (size, name), quantity in quantities.items()]
    stocks += [FetchedStock(product, size, IN_WAY, IN_WAY, 0, to_client, from_client) for size, (to_client, from_client) in in_way.items()]
    return stocks, disagreeing


def _shelves(warehouses: Iterable[RemainsWarehouse]) -> tuple[dict[str, int], int | None]:
    """The units by warehouse, without the rows that are none, and the report's own sum."""
    shelves: dict[str, int] = defaultdict(int)
    total: int | None = None
    for warehouse in warehouses:
        if warehouse.name == ALL_WAREHOUSES:
            total = warehouse.quantity
        elif warehouse.name not in (TO_CLIENT, FROM_CLIENT):
            shelves[intern(text(warehouse.name, WAREHOUSE_LENGTH))] += warehouse.quantity
    return shelves, total
