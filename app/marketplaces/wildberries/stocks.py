"""Stock: the two reports on what lies in Wildberries' warehouses and in the seller's.

Source: dev.wildberries.ru, "Analytics", "Stocks report", as of 2026-10-24.
"""

from collections.abc import AsyncIterator
from sys import intern

from app.marketplaces.contract import FetchedStock, Page
from app.marketplaces.items import WAREHOUSE_LENGTH, text
from app.marketplaces.wildberries.account import Account, never_ends
from app.marketplaces.wildberries.methods import Method
from app.marketplaces.wildberries.rows import Report
from app.marketplaces.wildberries.wire import NmId, StockQuestion, StockReport, StockRow

# A report may be asked for once in 20 s. Its second page has to be waited for: putting the run back would begin at the first page again.
NEXT_PAGE_PATIENCE_S = 30.0

_REPORT = Report(StockRow, NmId, StockReport, "items")


async def report_pages(account: Account, method: Method) -> AsyncIterator[Page[FetchedStock]]:
    """Yield the rows of `WB_WAREHOUSES` or `SELLER_WAREHOUSES`, of at most 30 minutes ago. No stock is one empty page."""
    offset = 0
    seen: set[tuple[str, str, str]] = set()
    while True:
        question = StockQuestion(limit=method.page_size, offset=offset)
        count = 0
        patience_s = NEXT_PAGE_PATIENCE_S if offset else None
        with await account.call(method, lambda answer: _REPORT.open(answer, method), question, patience_s=patience_s) as rows:
            for understood, rejected in rows:
                stocks = [_stock(row) for row in understood]
                if not count and stocks:
                    first = (stocks[0].product_external_id, stocks[0].size_id, stocks[0].warehouse_id)
                    if first in seen:
                        raise never_ends(method)
                    seen.add(first)
                count += len(stocks) + len(rejected)
                yield Page(stocks, b"", rejected)
        if not count and not offset:
            yield Page([], b"")
        if count < method.page_size:
            return
        offset += count


def _stock(row: StockRow) -> FetchedStock:
    return FetchedStock(
        str(row.nm_id),
        str(row.chrt_id),
        # One text for all the rows that name a warehouse.
        intern(str(row.warehouse_id)),
        intern(text(row.warehouse_name, WAREHOUSE_LENGTH)),
        row.quantity,
        row.in_way_to_client or 0,
        row.in_way_from_client or 0,
    )
