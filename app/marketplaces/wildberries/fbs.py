"""Stock in the seller's own warehouses, asked warehouse by warehouse: for keys to which the report on them is closed.

Source: dev.wildberries.ru, "Product management", "Seller warehouses" and "Inventory", as of 2026-10-24.
"""

from collections.abc import AsyncIterator

import msgspec

from app.marketplaces.contract import FetchedStock, KnownSizes, Page, Rejected
from app.marketplaces.exchange import Answer
from app.marketplaces.items import WAREHOUSE_LENGTH, Understood, in_questions, one_by_one, text
from app.marketplaces.wildberries.account import Account
from app.marketplaces.wildberries.methods import WAREHOUSE_STOCKS, WAREHOUSES
from app.marketplaces.wildberries.wire import ChrtId, Warehouse, WarehouseStock, WarehouseStocksAnswer, WarehouseStocksQuestion

_warehouses = msgspec.json.Decoder(list[Warehouse] | None)
_stocks_answer = msgspec.json.Decoder(WarehouseStocksAnswer)
_stock = msgspec.json.Decoder(WarehouseStock)
_chrt_id = msgspec.json.Decoder(ChrtId)


async def warehouse_stock_pages(account: Account, known_sizes: KnownSizes) -> AsyncIterator[Page[FetchedStock]]:
    """Yield what lies there now, of sizes that are known. A size of which there is nothing is left out. No stock is one empty page."""
    warehouses = [warehouse for warehouse in await account.call(WAREHOUSES, _read_warehouses) if not warehouse.is_deleting]
    empty = True
    if warehouses:
        async for product_of in in_questions(known_sizes, WAREHOUSE_STOCKS.page_size):
            for warehouse in warehouses:
                stocks, rejected = await account.call(
                    WAREHOUSE_STOCKS, _read_stocks, WarehouseStocksQuestion(list(product_of)), path={"warehouseId": warehouse.id}
                )
                unasked = tuple(
                    Rejected(str(stock.chrt_id), "It was not asked for.") for stock in stocks if stock.chrt_id not in product_of
                )
                empty = False
                yield Page(
                    [_fetched(stock, product_of[stock.chrt_id], warehouse) for stock in stocks if stock.chrt_id in product_of],
                    b"",
                    rejected + unasked,
                )
    if empty:
        yield Page([], b"")


def _read_warehouses(answer: Answer) -> list[Warehouse]:
    return [] if answer.status == 204 else _warehouses.decode(answer.body) or []


def _read_stocks(answer: Answer) -> Understood[WarehouseStock]:
    return ([], ()) if answer.status == 204 else one_by_one(_stocks_answer.decode(answer.body).stocks or [], _stock.decode, _chrt_id.decode)


def _fetched(stock: WarehouseStock, product: str, warehouse: Warehouse) -> FetchedStock:
    name = text(warehouse.name, WAREHOUSE_LENGTH)
    return FetchedStock(product, str(stock.chrt_id), str(warehouse.id), name, stock.amount, 0, 0)
