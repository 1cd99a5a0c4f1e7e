"""Orders from the older statistics methods, by the time of their last change: for keys to which the order feed is closed.

Two lists: what was ordered, some of it cancelled, and what became of it, sold or returned. Wildberries has announced that it will switch them off, without a day.
Source: dev.wildberries.ru, "Reports", "Main reports", as of 2026-10-24.
"""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar

import msgspec

from app.marketplaces.contract import FetchedOrder, FetchedOrderLine, Fulfilment, Marketplace, OrderStatus, Page, Rejected
from app.marketplaces.errors import RateLimited
from app.marketplaces.items import (
    ARTICLE_LENGTH,
    DESTINATION_LENGTH,
    NUMBER_LENGTH,
    UNREADABLE,
    USUAL_CURRENCY,
    WAREHOUSE_LENGTH,
    NotOurs,
    misunderstood,
    price,
    text,
    translated,
)
from app.marketplaces.wildberries.account import Account
from app.marketplaces.wildberries.methods import SUPPLIER_ORDERS, SUPPLIER_SALES, Method
from app.marketplaces.wildberries.rows import Report
from app.marketplaces.wildberries.wire import Srid, SupplierOrder, SupplierRow, SupplierSale

Row = TypeVar("Row", bound=SupplierRow)

FURTHEST_BACK = timedelta(days=31)
# How much of what was read is read again in the next run: the lists are renewed every half an hour.
OVERLAP = timedelta(hours=1)
# Wildberries gives what is *later* than the moment asked for, and many rows may share one.
OVERLAP_OF_PAGES = timedelta(seconds=1)

# No summer time since 2014.
MOSCOW = timezone(timedelta(hours=3))

_ORDERS = Report(SupplierOrder, Srid)
_SALES = Report(SupplierSale, Srid)


class StatisticsPlace(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="source", tag="statistics"):
    """Up to which change each list is read: our cursor."""

    orders_until: datetime | None = None
    sales_until: datetime | None = None


_encode_place = msgspec.json.Encoder().encode


async def statistics_pages(account: Account, place: StatisticsPlace) -> AsyncIterator[Page[FetchedOrder]]:
    """Yield orders, and then what became of them, from the place on, or from a month ago.

    Each list has its own limit, which may be hours: one does not hold up the other.

    Raises:
        RateLimited: for the longer of both waits, after what could be had.
    """
    limits: list[RateLimited] = []
    try:
        async for orders, rejected, until in _walk(account, SUPPLIER_ORDERS, _ORDERS, _order, place.orders_until):
            place = msgspec.structs.replace(place, orders_until=until)
            yield Page(orders, _encode_place(place), rejected)
    except RateLimited as error:
        limits.append(error)
    try:
        async for orders, rejected, until in _walk(account, SUPPLIER_SALES, _SALES, _sale, place.sales_until):
            place = msgspec.structs.replace(place, sales_until=until)
            yield Page(orders, _encode_place(place), rejected)
    except RateLimited as error:
        limits.append(error)
    if limits:
        raise max(limits, key=lambda error: error.retry_after)


async def _walk(
    account: Account, method: Method, report: Report[Row], translate: Callable[[Row], FetchedOrder], until: datetime | None
) -> AsyncIterator[tuple[list[FetchedOrder], tuple[Rejected, ...], datetime | None]]:
    """Orders, rows that can't be understood, and up to where the list is read with them."""
    asked_from = (until or datetime.now(UTC) - FURTHEST_BACK + OVERLAP) - OVERLAP
    while True:
        query = {"dateFrom": asked_from.astimezone(MOSCOW).replace(tzinfo=None).isoformat(), "flag": 0}
        count = 0
        newest: datetime | None = None
        with await account.call(method, lambda answer: report.open(answer, method), query=query) as rows:
            for understood in rows:
                try:
                    orders, rejected = translated(understood, translate, lambda row: row.srid)
                except UNREADABLE as error:
                    raise misunderstood(Marketplace.WILDBERRIES, method.path, error) from error
                count += len(orders) + len(rejected)
                newest = max([*filter(None, (newest, *map(_changed_at, understood[0])))], default=None)
                # Only the end of an answer is a place to go on from.
                yield orders, rejected, until
        # The answer ends at some 80,000 rows; one of half as many was not cut off.
        is_last = count < method.page_size // 2
        if newest is None:
            return
        if until is None or newest > until:
            until = newest
            yield [], (), until
        # Even an answer of nothing but what is known, from the overlap, may have been cut off. One that leads nowhere is the end.
        if is_last or newest - OVERLAP_OF_PAGES <= asked_from or not account.can_ask_again(method):
            return
        asked_from = newest - OVERLAP_OF_PAGES


def _order(row: SupplierOrder) -> FetchedOrder:
    if row.is_cancel:
        return _fetched(row, OrderStatus.CANCELLED, "cancel", _changed_at(row))
    # What else may have changed of an order, its status has not since it was made; a sale is told by the other list.
    return _fetched(row, OrderStatus.CREATED, "created", _utc(row.date))


def _sale(row: SupplierSale) -> FetchedOrder:
    match row.sale_id[:1]:
        case "S":
            return _fetched(row, OrderStatus.DELIVERED, "buyout", _changed_at(row))
        case "R":
            return _fetched(row, OrderStatus.RETURNED, "return", _changed_at(row))
        case _:
            raise NotOurs("It is neither a sale nor a return.")


def _changed_at(row: SupplierRow) -> datetime | None:
    return _utc(row.last_change_date)


def _utc(moment: datetime) -> datetime | None:
    """The instant of a moment as these lists tell it: Moscow's time, without saying so; the year 1 is none."""
    if moment.year == 1:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=MOSCOW)).astimezone(UTC)


def _fetched(row: SupplierRow, status: OrderStatus, marketplace_status: str, changed_at: datetime | None) -> FetchedOrder:
    ordered_at = _utc(row.date)
    if ordered_at is None:
        raise NotOurs("It has no date.")
    article = text(row.supplier_article, ARTICLE_LENGTH)
    return FetchedOrder(
        external_id=row.srid,
        number=text(row.g_number, NUMBER_LENGTH),
        status=status,
        marketplace_status=marketplace_status,
        fulfilment=Fulfilment.SELLER_WAREHOUSE if row.warehouse_type == "Склад продавца" else Fulfilment.MARKETPLACE_WAREHOUSE,
        ordered_at=ordered_at,
        changed_at=changed_at,
        warehouse=text(row.warehouse_name, WAREHOUSE_LENGTH),
        destination=text(row.region_name, DESTINATION_LENGTH),
        currency=USUAL_CURRENCY,
        lines=(FetchedOrderLine(str(row.nm_id), None, article, 1, price(row.price_with_discount)),),
    )
