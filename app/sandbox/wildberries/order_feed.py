"""`POST /api/analytics/v1/order-feed`: orders by the time of their present status, newest first.

Source: the official description 11-analytics.yaml, state of 2026-08-18. An order on its way is still `created` here.
"""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from app.sandbox.messages import Answer
from app.sandbox.orders import Order, OrderBook, OrderStatus
from app.sandbox.shop import Shop
from app.sandbox.wildberries.call import Call
from app.sandbox.wildberries.moscow import moscow_time
from app.sandbox.wildberries.problems import analytics_rejected

DEFAULT_LIMIT = 50
MAX_LIMIT = 10_000
LONGEST_PERIOD = timedelta(days=31)

Instant = Annotated[datetime, Meta(tz=True)]

STATUSES: dict[OrderStatus, str] = {"created": "created", "delivered": "buyout", "cancelled": "cancel", "returned": "return"}


class Period(msgspec.Struct, frozen=True):
    start: Instant
    end: Instant | None = None


class Pagination(msgspec.Struct, frozen=True, rename="camel"):
    snapshot_time: Instant | None = None
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT


class FeedRequest(msgspec.Struct, frozen=True, rename="camel"):
    """Empty lists filter nothing. Tags are accepted, and all orders pass them."""

    selected_period: Period
    nm_ids: Annotated[list[int], Meta(max_length=1000)] = []
    subject_ids: Annotated[list[int], Meta(max_length=50)] = []
    brand_names: Annotated[list[str], Meta(max_length=50)] = []
    tag_ids: Annotated[list[int], Meta(max_length=50)] = []
    pagination: Pagination = Pagination()


class FeedOrder(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    nm_id: int
    chrt_id: int
    srid: str
    created_at: str
    updated_at: str
    status: str
    warehouse_name: str
    warehouse_region: str
    is_mp: bool
    destination_city: str
    destination_district: str
    seller_price: float
    is_b2b: bool = msgspec.field(name="isB2b")
    cancel_type: str | None = None


_decoder = msgspec.json.Decoder(FeedRequest)


def order_feed(call: Call) -> Answer:
    """A page of the orders as they stood at the snapshot: the first page makes one, later pages name it."""
    try:
        wanted = _decoder.decode(call.body)
    except msgspec.MsgspecError as error:
        return analytics_rejected(str(error))
    snapshot_at = wanted.pagination.snapshot_time or call.now.replace(microsecond=0)
    since, until = wanted.selected_period.start, wanted.selected_period.end or snapshot_at
    if since < call.now - LONGEST_PERIOD:
        return analytics_rejected("invalid: selectedPeriod.start (must not be earlier than 31 days ago)")
    if until < since:
        return analytics_rejected("invalid: selectedPeriod.end (must not be earlier than start)")
    if snapshot_at > call.now:
        return analytics_rejected("invalid: pagination.snapshotTime (must not be in the future)")
    book = call.shop.orders.without("delivering")
    first, last = wanted.pagination.offset, wanted.pagination.offset + wanted.pagination.limit
    numbers = _numbers(call.shop, book, wanted, since, until, snapshot_at)
    orders = [_order(call.shop, book.order(number, snapshot_at)) for number in numbers[first:last]]
    data = {"snapshotTime": f"{snapshot_at:%Y-%m-%dT%H:%M:%SZ}", "currency": "RUB", "orders": orders}
    return Answer(200, msgspec.json.encode({"data": data}))


def srid(order: Order) -> str:
    """Wildberries' name of an order; the assembly orders of the seller's warehouses and the statistics have it too."""
    return f"{order.number % 90 + 10}.r{order.number:032x}.0.0"


def _numbers(shop: Shop, book: OrderBook, wanted: FeedRequest, since: datetime, until: datetime, snapshot_at: datetime) -> list[int]:
    """The period includes its end."""
    numbers = book.numbers_changed_between(since, until + timedelta(microseconds=1), snapshot_at)[::-1]
    if not (wanted.nm_ids or wanted.subject_ids or wanted.brand_names):
        return numbers
    orders = (book.order(number, snapshot_at) for number in numbers)
    return [order.number for order in orders if _passes(shop, order, wanted)]


def _passes(shop: Shop, order: Order, wanted: FeedRequest) -> bool:
    product = shop.numbered(order.product_number)
    return (
        (not wanted.nm_ids or order.nm_id in wanted.nm_ids)
        and (not wanted.subject_ids or product.kind.subject_id in wanted.subject_ids)
        and (not wanted.brand_names or product.brand in wanted.brand_names)
    )


def _order(shop: Shop, order: Order) -> FeedOrder:
    seller_warehouse = None if order.from_marketplace else shop.warehouse(order.warehouse_id)
    return FeedOrder(
        nm_id=order.nm_id,
        chrt_id=order.chrt_id,
        srid=srid(order),
        created_at=f"{moscow_time(order.ordered_at)}+03:00",
        updated_at=f"{moscow_time(order.changed_at)}+03:00",
        status="returnDefective" if order.defective else STATUSES[order.status],
        cancel_type=order.cancel_type,
        warehouse_name=seller_warehouse.name if seller_warehouse else "Склад WB",
        warehouse_region=seller_warehouse.region if seller_warehouse else "",
        is_mp=not order.from_marketplace,
        destination_city=order.city,
        destination_district=order.district,
        seller_price=float(order.price.discounted),
        is_b2b=order.number % 50 == 0,
    )
