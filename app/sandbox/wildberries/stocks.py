"""The two reports of present stock on the Analytics host: Wildberries' own warehouses and the seller's.

Sources: the official description 11-analytics.yaml, state of 2026-08-18, and for the seller's warehouses (since 2026-08-24) the models of
`wildberries-sdk` 0.1.177. A report that has no row is 204.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from app.sandbox.messages import Answer
from app.sandbox.shop import Shop, StockRow
from app.sandbox.wildberries.problems import analytics_rejected

MAX_LIMIT = 250_000
MAX_NM_IDS = 1000

_MASK_NAME = "Склад WB"
# What Wildberries' stock was split into before it hid its warehouses: id, name, region, and the share of each in percent; the last has the rest.
_NAMED = ((507, "Коледино", "Центральный", 50), (120762, "Электросталь", "Центральный", 30), (117986, "Казань", "Приволжский", 0))


class InventoryRequest(msgspec.Struct, frozen=True, rename="camel"):
    """Empty `nm_ids` means all; `chrt_ids` narrows down the sizes of the given `nm_ids` and is ignored without them."""

    nm_ids: Annotated[list[int], Meta(max_length=MAX_NM_IDS)] = []
    chrt_ids: list[int] = []
    limit: Annotated[int, Meta(ge=0, le=MAX_LIMIT)] = MAX_LIMIT
    offset: Annotated[int, Meta(ge=0)] = 0


class WbRow(msgspec.Struct, frozen=True, rename="camel"):
    nm_id: int
    chrt_id: int
    warehouse_id: int
    warehouse_name: str
    region_name: str
    quantity: int
    in_way_to_client: int
    in_way_from_client: int


class SellerRow(msgspec.Struct, frozen=True, rename="camel"):
    nm_id: int
    chrt_id: int
    warehouse_id: int
    warehouse_name: str
    region_name: str
    quantity: int


Row = TypeVar("Row", WbRow, SellerRow)

_decoder = msgspec.json.Decoder(InventoryRequest)


def report_wb_warehouses(shop: Shop, body: bytes, now: datetime, *, masked: bool) -> Answer:
    try:
        wanted = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        return analytics_rejected(str(error))
    stock = _of_sizes(shop.marketplace_stock(now, wanted.nm_ids), wanted)
    return _report(_masked(stock) if masked else _named(stock), wanted)


def report_seller_warehouses(shop: Shop, body: bytes, now: datetime) -> Answer:
    try:
        wanted = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        return analytics_rejected(str(error))
    warehouses = {warehouse.id: warehouse for warehouse in shop.warehouses}
    stock = _of_sizes(shop.seller_stock(now, wanted.nm_ids), wanted)
    rows = (
        SellerRow(row.nm_id, row.chrt_id, row.warehouse_id, warehouse.name, warehouse.region, row.quantity)
        for row in stock
        for warehouse in (warehouses[row.warehouse_id],)
    )
    return _report(rows, wanted)


def _of_sizes(stock: Iterator[StockRow], wanted: InventoryRequest) -> Iterator[StockRow]:
    if not (wanted.nm_ids and wanted.chrt_ids):
        return stock
    chrt_ids = frozenset(wanted.chrt_ids)
    return (row for row in stock if row.chrt_id in chrt_ids)


def _masked(stock: Iterable[StockRow]) -> Iterator[WbRow]:
    for row in stock:
        yield WbRow(
            row.nm_id, row.chrt_id, row.warehouse_id, _MASK_NAME, _MASK_NAME, row.quantity, row.in_way_to_client, row.in_way_from_client
        )


def _named(stock: Iterable[StockRow]) -> Iterator[WbRow]:
    """The same units in three warehouses, what is under way all in the first; rows without anything are left out."""
    for row in stock:
        left = row.quantity
        in_way = (row.in_way_to_client, row.in_way_from_client)
        for warehouse_id, name, region, share in _NAMED:
            quantity = min(left, row.quantity * share // 100) if share else left
            left -= quantity
            if quantity or any(in_way):
                yield WbRow(row.nm_id, row.chrt_id, warehouse_id, name, region, quantity, *in_way)
            in_way = (0, 0)


def _report(rows: Iterator[Row], wanted: InventoryRequest) -> Answer:
    items = list(islice(rows, wanted.offset, wanted.offset + wanted.limit))
    if not items:
        return Answer(204)
    return Answer(200, msgspec.json.encode({"data": {"items": items}}))
