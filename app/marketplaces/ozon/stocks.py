"""Stock by warehouse: Ozon's own (FBO) and the seller's (FBS), asked by SKU.

Source: docs.ozon.ru/api/seller, "/v1/product/info/stocks-by-warehouse/fbo" and "/v2/product/info/stocks-by-warehouse/fbs", as of 2026-10-01, and
"/v1/warehouse/ozon/list", as of 2026-04-16.
"""

from collections.abc import AsyncIterator, Mapping
from sys import intern

import msgspec

from app.marketplaces.contract import FetchedStock, Fulfilment, KnownSizes, Page, Rejected
from app.marketplaces.errors import UnexpectedResponse
from app.marketplaces.items import WAREHOUSE_LENGTH, in_questions, text
from app.marketplaces.ozon.account import Account
from app.marketplaces.ozon.lists import list_reader
from app.marketplaces.ozon.methods import FBO_STOCKS, FBS_STOCKS, OZON_WAREHOUSES
from app.marketplaces.ozon.paging import Paging
from app.marketplaces.ozon.wire import (
    FboStocksQuestion,
    FbsStocksQuestion,
    OzonWarehouse,
    OzonWarehouses,
    Sku,
    StockRow,
    StockRows,
    WarehouseId,
    WarehousesQuestion,
)

# All that Ozon knows, since it wants at least one named: stock lies in more kinds of them than the first.
WAREHOUSE_TYPES = [
    "FULL_FILLMENT",
    "FULL_FILLMENT_RETURNS",
    "FULL_FILLMENT_DEFECT",
    "EXPRESS_DARK_STORE",
    "CROSS_DOCK",
    "SORTING_CENTER",
    "PHARMACY",
    "DISTRIBUTION_CENTER",
    "ORDERS_RECEIVING_POINT",
    "OUTSOURCE_FF",
    "B2B",
    "EXTERNAL_FF",
]

_rows = list_reader(StockRows[StockRow], StockRows[msgspec.Raw], StockRow, Sku)
_warehouses = list_reader(OzonWarehouses[OzonWarehouse], OzonWarehouses[msgspec.Raw], OzonWarehouse, WarehouseId)


async def stock_pages(
    account: Account, fulfilment: Fulfilment, known_sizes: KnownSizes, names: Mapping[int, str]
) -> AsyncIterator[Page[FetchedStock]]:
    """Yield what buyers can order now, of the sizes that are known. `names` are those of warehouses of which the rows don't tell the name. No stock is one
    empty page."""
    method = FBO_STOCKS if fulfilment is Fulfilment.MARKETPLACE_WAREHOUSE else FBS_STOCKS
    empty = True
    async for product_of in in_questions(known_sizes, method.page_size):
        skus = [str(sku) for sku in product_of]
        cursor = ""
        paging = Paging(method, cursor)
        going_on = True
        while going_on:
            question = (FboStocksQuestion if method is FBO_STOCKS else FbsStocksQuestion)(skus, cursor, method.page_size)
            page = await account.call(method, _rows.read, question)
            if page.has_next and not page.count:
                # Half a report is worse than none: what it lacks would count as sold out.
                raise UnexpectedResponse(
                    f"{method.path}: an empty page, and more to follow.",
                    detail_ru=f"{method.path}: пустая страница, хотя обещано продолжение.",
                )
            going_on = paging.goes_on(page.count, page.cursor, has_next=page.has_next)
            cursor = page.cursor or cursor
            unasked = tuple(Rejected(str(row.sku), "It was not asked for.") for row in page.items if row.sku not in product_of)
            empty = False
            yield Page(
                [_stock(row, product_of[row.sku], names) for row in page.items if row.sku in product_of], b"", page.rejected + unasked
            )
    if empty:
        yield Page([], b"")


async def warehouse_names(account: Account) -> dict[int, str]:
    """What Ozon calls its own warehouses."""
    page = await account.call(OZON_WAREHOUSES, _warehouses.read, WarehousesQuestion(WAREHOUSE_TYPES))
    return {warehouse.warehouse_id: text(warehouse.name, WAREHOUSE_LENGTH) for warehouse in page.items}


def _stock(row: StockRow, product: str, names: Mapping[int, str]) -> FetchedStock:
    warehouse_id = str(row.warehouse_id)
    free = row.present - (row.reserved or 0) if row.free_stock is None else row.free_stock
    return FetchedStock(
        str(row.product_id) if row.product_id else product,
        str(row.sku),
        # One text for all the rows that name a warehouse.
        intern(warehouse_id),
        intern(text(row.warehouse_name, WAREHOUSE_LENGTH) or names.get(row.warehouse_id) or warehouse_id),
        max(free, 0),
        0,
        0,
    )
