"""How many units there are: in sum by product, and by warehouse, Ozon's own (FBO) or the seller's (FBS).

`present` includes `reserved`, which buyers have ordered. Sources: docs.ozon.ru/api/seller, the four methods, state of 2026-10-01; that `present`
includes them was seen live for one of them, and is taken to hold for all.
"""

from bisect import bisect_right
from itertools import islice
from typing import TypeAlias

import msgspec

from app.sandbox.messages import Answer
from app.sandbox.ozon.call import Call, Filter, check_ids, end_of_page, limited, read_cursor, select
from app.sandbox.ozon.catalogue import FbsStock, Offer, chrt_id_of, product_id_of
from app.sandbox.ozon.products import totals_by_type
from app.sandbox.ozon.refusals import not_found
from app.sandbox.ozon.storage import shop_warehouse_id

_FBO, _FBS = "GetProductInfoStocksByWarehouseFboRequest", "GetProductInfoStocksByWarehouseFbsRequest"
_WAREHOUSE = "ProductInfoWarehouseStocksRequest"

Row: TypeAlias = tuple[tuple[int, int], dict[str, object]]
"""A row, and its place in the list: product and warehouse."""


class StocksQuestion(msgspec.Struct, frozen=True):
    filter: Filter | None = None
    cursor: str = ""
    limit: int | None = None


class FboQuestion(msgspec.Struct, frozen=True):
    skus: list[int] = []
    offer_ids: list[str] = []
    cursor: str = ""
    limit: int | None = None


class FbsQuestion(msgspec.Struct, frozen=True):
    sku: list[int] = []
    offer_id: list[str] = []
    cursor: str = ""
    limit: int | None = None


class WarehouseQuestion(msgspec.Struct, frozen=True):
    warehouse_id: int = 0
    cursor: str = ""
    limit: int | None = None


_stocks_question = msgspec.json.Decoder(StocksQuestion, strict=False)
_fbo_question = msgspec.json.Decoder(FboQuestion, strict=False)
_fbs_question = msgspec.json.Decoder(FbsQuestion, strict=False)
_warehouse_question = msgspec.json.Decoder(WarehouseQuestion, strict=False)


def list_totals(call: Call) -> Answer:
    question, catalogue = call.read(_stocks_question), call.catalogue
    page = select(call, "GetProductInfoStocksRequest", question.filter, question.cursor, question.limit)
    fbo, fbs = catalogue.fbo(page.chrt_ids, call.now), catalogue.fbs(page.chrt_ids, call.now)
    items = [
        {
            "product_id": offer.product_id,
            "offer_id": offer.offer_id,
            "stocks": [
                {
                    "type": name,
                    "present": present,
                    "reserved": reserved,
                    "sku": offer.sku,
                    "shipment_type": "SHIPMENT_TYPE_GENERAL",
                    "warehouse_ids": list[int](),
                }
                for name, present, reserved in totals_by_type(fbo.get(offer.chrt_id, ()), fbs.get(offer.chrt_id, ()))
            ],
        }
        for offer in catalogue.describe(page.chrt_ids)
    ]
    return Answer(200, msgspec.json.encode({"cursor": page.cursor, "items": items, **call.counted(page.total)}))


def list_fbo(call: Call) -> Answer:
    question, catalogue = call.read(_fbo_question), call.catalogue
    limit = limited(_FBO, question.limit, 1000)
    check_ids(_FBO, one_group=False, required=True, Skus=question.skus, OfferIds=question.offer_ids)
    chrt_ids = sorted({*catalogue.of_skus(question.skus), *catalogue.of_offer_ids(question.offer_ids)})
    stocks = catalogue.fbo(chrt_ids, call.now)
    rows: list[Row] = [
        (
            (offer.product_id, stock.warehouse.id),
            {**_ids(offer), "warehouse_id": stock.warehouse.id, "present": stock.present, "reserved": stock.reserved},
        )
        for offer in catalogue.describe(chrt_id for chrt_id in chrt_ids if chrt_id in stocks)
        for stock in sorted(stocks[offer.chrt_id])
    ]
    return _page_of_rows(call, question.cursor, limit, rows)


def list_fbs(call: Call) -> Answer:
    question, catalogue = call.read(_fbs_question), call.catalogue
    limit = limited(_FBS, question.limit, 1000)
    check_ids(_FBS, required=True, Sku=question.sku, OfferId=question.offer_id)
    chrt_ids = catalogue.of_skus(question.sku) if question.sku else catalogue.of_offer_ids(question.offer_id)
    stocks = catalogue.fbs(chrt_ids, call.now)
    rows: list[Row] = [
        ((offer.product_id, stock.warehouse_id), {**_fbs_row(offer, stock), "warehouse_name": stock.warehouse_name})
        for offer in catalogue.describe(chrt_id for chrt_id in chrt_ids if chrt_id in stocks)
        for stock in sorted(stocks[offer.chrt_id])
    ]
    return _page_of_rows(call, question.cursor, limit, rows)


def list_warehouse(call: Call) -> Answer:
    """All that lies in one of the seller's warehouses."""
    question, catalogue = call.read(_warehouse_question), call.catalogue
    limit = limited(_WAREHOUSE, question.limit, 1000)
    warehouse_id = shop_warehouse_id(question.warehouse_id)
    if warehouse_id not in {warehouse.id for warehouse in catalogue.shop.warehouses}:
        return not_found()
    active, after = catalogue.chrt_ids("ALL", call.now), read_cursor(question.cursor, int)
    first = 0 if after is None else bisect_right(active, chrt_id_of(after))
    quantities = ((chrt_id, catalogue.shop.quantity_at(chrt_id, warehouse_id, call.now)) for chrt_id in islice(active, first, None))
    found = dict(islice(((chrt_id, free) for chrt_id, free in quantities if free), limit + 1))
    offers = catalogue.describe(list(found)[:limit])
    rows = [
        {**_fbs_row(offer, catalogue.fbs_stock(offer.chrt_id, warehouse_id, found[offer.chrt_id])), "updated_at": call.now}
        for offer in offers
    ]
    last = product_id_of(list(found)[len(rows) - 1]) if rows else None
    cursor, has_next = end_of_page(call, last, more=len(found) > limit)
    return Answer(200, msgspec.json.encode({"cursor": cursor, "has_next": has_next, "stocks": rows}))


def _page_of_rows(call: Call, cursor: str, limit: int, rows: list[Row]) -> Answer:
    """The rows behind the cursor; they come in the order of their places."""
    after = read_cursor(cursor, tuple[int, int])
    first = 0 if after is None else bisect_right(rows, after, key=lambda row: row[0])
    page = rows[first : first + limit]
    cursor, has_next = end_of_page(call, page[-1][0] if page else None, more=first + limit < len(rows))
    return Answer(200, msgspec.json.encode({"cursor": cursor, "has_next": has_next, "products": [row for _, row in page]}))


def _ids(offer: Offer) -> dict[str, object]:
    return {"product_id": offer.product_id, "offer_id": offer.offer_id, "sku": offer.sku}


def _fbs_row(offer: Offer, stock: FbsStock) -> dict[str, object]:
    return {
        **_ids(offer),
        "warehouse_id": stock.warehouse_id,
        "present": stock.present,
        "reserved": stock.reserved,
        "free_stock": stock.present - stock.reserved,
    }
