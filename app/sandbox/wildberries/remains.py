"""The report on what lies in Wildberries' warehouses, in three steps: ask for it, wait for it, fetch it.

Source: the official description 12-reports.yaml, state of 2026-08-18. How long a report takes and lives is not described; users say it lives for
hours. Among the `warehouses` of a row are three that are none: what is under way in either direction, and the total.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec

from app.sandbox.goods import Product, Size
from app.sandbox.messages import Answer
from app.sandbox.shop import Shop, StockRow
from app.sandbox.state import Report
from app.sandbox.wildberries.call import Call
from app.sandbox.wildberries.problems import report_not_found, report_rejected

KEPT = timedelta(hours=2)
"""How long a report that is done can be fetched."""

FORGOTTEN = timedelta(hours=4)
"""When its id means nothing any more. In between, it is `purged`."""

TO_CLIENT, FROM_CLIENT, TOTAL = "В пути до получателей", "В пути возвраты на склад WB", "Всего находится на складах"

_GROUPINGS = ("groupByBrand", "groupBySubject", "groupBySa", "groupByNm", "groupByBarcode", "groupBySize")
_FILTERS = {"filterPics": (-1, 0, 1), "filterVolume": (-1, 0, 3)}
_TRUTHS = {"true": True, "false": False, "1": True, "0": False}

# Names, and the share of each in percent; the last has the rest.
_MASKED = (("Минск", 4), ("Склад WB СГТ РФ", 10), ("Склад WB РФ", 0))
_NAMED = (("Коледино", 50), ("Электросталь", 30), ("Казань", 0))


class Quantity(msgspec.Struct, frozen=True, rename="camel"):
    warehouse_name: str
    quantity: int


class Row(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    brand: str | None = None
    subject_name: str | None = None
    vendor_code: str | None = None
    nm_id: int | None = None
    barcode: str | None = None
    tech_size: str | None = None
    volume: float | None = None


class Reports:
    """The reports that were asked for. Each is worked out when it is fetched, as of the instant at which it was done."""

    def __init__(self, reports: dict[UUID, Report]) -> None:
        self._reports = reports

    def create(self, call: Call) -> Answer:
        groupings: set[str] = set()
        for name in _GROUPINGS:
            text = call.query.get(name, "false")
            if text not in _TRUTHS:
                reason = "empty value is not allowed" if not text else f"value {text}: an invalid boolean"
                return report_rejected(f'parameter "{name}" in query has an error: {reason}')
            if _TRUTHS[text]:
                groupings.add(name)
        for name, known in _FILTERS.items():
            if call.query.get(name, "0") not in map(str, known):
                return report_rejected(f'parameter "{name}" in query has an error: value is not one of the allowed values')
        task_id = uuid4()
        self._reports[task_id] = Report(call.shop.seller.id, call.now, frozenset(groupings))
        return Answer(200, msgspec.json.encode({"data": {"taskId": task_id}}))

    def status(self, call: Call, takes_s: float) -> Answer:
        found = self._find(call)
        if isinstance(found, Answer):
            return found
        task_id, report = found
        return Answer(200, msgspec.json.encode({"data": {"id": task_id, "status": _status(report, call.now, takes_s)}}))

    def download(self, call: Call, takes_s: float, *, masked: bool) -> Answer:
        found = self._find(call)
        if isinstance(found, Answer):
            return found
        _, report = found
        if _status(report, call.now, takes_s) != "done":
            return report_not_found()
        done_at = report.asked_at + timedelta(seconds=takes_s)
        rows = _rows(call.shop, done_at, report.groupings, _MASKED if masked else _NAMED)
        return Answer(200, msgspec.json.encode(rows)) if rows else Answer(204)

    def _find(self, call: Call) -> tuple[UUID, Report] | Answer:
        try:
            task_id = UUID(call.place)
        except ValueError:
            return report_rejected(
                f"Invalid format for parameter task_id: error unmarshaling '{call.place}' text as *uuid.UUID: invalid UUID format"
            )
        report = self._reports.get(task_id)
        if report is None or report.seller_id != call.shop.seller.id or call.now >= report.asked_at + FORGOTTEN:
            return report_not_found()
        return task_id, report


def _status(report: Report, now: datetime, takes_s: float) -> Literal["new", "processing", "done", "purged"]:
    age = now - report.asked_at
    if age >= KEPT:
        return "purged"
    if age >= timedelta(seconds=takes_s):
        return "done"
    return "new" if age < timedelta(seconds=takes_s / 4) else "processing"


def _rows(shop: Shop, at: datetime, groupings: frozenset[str], warehouses: tuple[tuple[str, int], ...]) -> list[dict[str, Any]]:
    sums: dict[Row, StockRow] = {}
    product: Product | None = None
    for stock in shop.marketplace_stock(at):
        if product is None or product.nm_id != stock.nm_id:
            product = shop.product(stock.nm_id)
        size = next(size for size in product.sizes if size.chrt_id == stock.chrt_id)
        row = _group(product, size, groupings)
        sums[row] = _sum(sums[row], stock) if row in sums else stock
    return [{**msgspec.to_builtins(row), "warehouses": list(_warehouses(stock, warehouses))} for row, stock in sums.items()]


def _group(product: Product, size: Size, groupings: frozenset[str]) -> Row:
    kind = product.kind
    return Row(
        brand=product.brand if "groupByBrand" in groupings else None,
        subject_name=kind.subject if "groupBySubject" in groupings else None,
        vendor_code=product.article if "groupBySa" in groupings else None,
        nm_id=product.nm_id if "groupByNm" in groupings else None,
        # Of several barcodes the goods in the warehouse bear the first.
        barcode=size.barcodes[0] if "groupByBarcode" in groupings else None,
        tech_size=size.name if "groupBySize" in groupings else None,
        volume=kind.length_cm * kind.width_cm * kind.height_cm / 1000 if "groupByNm" in groupings else None,
    )


def _sum(one: StockRow, other: StockRow) -> StockRow:
    return msgspec.structs.replace(
        one,
        quantity=one.quantity + other.quantity,
        in_way_to_client=one.in_way_to_client + other.in_way_to_client,
        in_way_from_client=one.in_way_from_client + other.in_way_from_client,
    )


def _warehouses(stock: StockRow, warehouses: tuple[tuple[str, int], ...]) -> Iterator[Quantity]:
    """What is under way, the total, and then the same total by warehouse: whoever adds everything up counts it twice."""
    left = stock.quantity
    summary = ((TO_CLIENT, stock.in_way_to_client), (FROM_CLIENT, stock.in_way_from_client), (TOTAL, stock.quantity))
    yield from (Quantity(name, units) for name, units in summary if units)
    for name, share in warehouses:
        units = stock.quantity * share // 100 if share else left
        left -= units
        if units:
            yield Quantity(name, units)
