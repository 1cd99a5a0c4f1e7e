"""Orders from the order feed, by windows of the time at which they got their status.

Source: dev.wildberries.ru, "Analytics", "Order feed", as of 2026-10-24.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from app.marketplaces.contract import FetchedOrder, FetchedOrderLine, Fulfilment, Marketplace, OrderStatus, Page
from app.marketplaces.errors import UnexpectedResponse
from app.marketplaces.exchange import Answer
from app.marketplaces.items import (
    DESTINATION_LENGTH,
    UNREADABLE,
    WAREHOUSE_LENGTH,
    NotOurs,
    Understood,
    currency,
    misunderstood,
    one_by_one,
    price,
    text,
    translated,
)
from app.marketplaces.wildberries.account import Account
from app.marketplaces.wildberries.methods import ORDER_FEED
from app.marketplaces.wildberries.wire import FeedAnswer, FeedOrder, FeedPagination, FeedPeriod, FeedQuestion, Srid

# Wildberries tells of 31 days. The walk over a long window takes a while, in which its beginning must not fall out of them.
FURTHEST_BACK = timedelta(days=31) - timedelta(hours=12)
# How much of what was read is read again: statuses that were entered late, and clocks that differ.
OVERLAP = timedelta(hours=1)

ORDERS_PER_SLICE = 1_000

STATUSES = {
    "created": OrderStatus.CREATED,
    "buyout": OrderStatus.DELIVERED,
    "cancel": OrderStatus.CANCELLED,
    "return": OrderStatus.RETURNED,
    "returnDefective": OrderStatus.RETURNED,
}


class FeedPlace(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="source", tag="feed"):
    """Where the windows stand: our cursor. All that changed before `read_until` is read; of a window that is being walked through, from `start` on, `offset`
    orders of the state `snapshot`."""

    read_until: datetime | None = None
    start: datetime | None = None
    snapshot: str | None = None
    offset: int = 0


class Answered(NamedTuple):
    """A page of the feed. The orders are left undecoded: there may be 10,000 of them, and they are worked through in slices."""

    snapshot: str
    currency: str
    orders: list[msgspec.Raw]


_encode_place = msgspec.json.Encoder().encode
_answer = msgspec.json.Decoder(FeedAnswer)
_order = msgspec.json.Decoder(FeedOrder)
_srid = msgspec.json.Decoder(Srid)


async def feed_pages(account: Account, place: FeedPlace) -> AsyncIterator[Page[FetchedOrder]]:
    """Yield orders, the latest change first, from the place on, or from as far back as Wildberries tells. A window ends where Wildberries says that its data
    do: its clock counts, not ours."""
    oldest = datetime.now(UTC) - FURTHEST_BACK
    walking = place.start is not None
    start = place.start or max(oldest, (place.read_until or oldest) - OVERLAP)
    snapshot, offset = place.snapshot, place.offset
    while True:
        question = FeedQuestion(FeedPeriod(start), FeedPagination(ORDER_FEED.page_size, offset, snapshot))
        try:
            answered = await account.call(ORDER_FEED, _read, question)
        except UnexpectedResponse:
            if not walking:
                raise
            # The state that the walk was about may be forgotten: from the beginning, then, and not in this visit, which has had its call.
            yield Page([], _encode_place(FeedPlace(read_until=place.read_until)))
            raise
        snapshot = snapshot or answered.snapshot
        is_last = len(answered.orders) < ORDER_FEED.page_size
        for first in range(0, max(len(answered.orders), 1), ORDERS_PER_SLICE):
            raws = answered.orders[first : first + ORDERS_PER_SLICE]
            try:
                orders, rejected = _understand(raws, answered.currency)
            except UNREADABLE as error:
                if walking:
                    yield Page([], _encode_place(FeedPlace(read_until=place.read_until)))
                raise misunderstood(Marketplace.WILDBERRIES, ORDER_FEED.path, error) from error
            offset += len(raws)
            read_all = is_last and first + ORDERS_PER_SLICE >= len(answered.orders)
            reached = FeedPlace(read_until=_instant(snapshot)) if read_all else FeedPlace(place.read_until, start, snapshot, offset)
            yield Page(orders, _encode_place(reached), rejected)
        if is_last or not account.can_ask_again(ORDER_FEED):
            return


def _read(answer: Answer) -> Answered:
    data = _answer.decode(answer.body).data
    _instant(data.snapshot_time)
    return Answered(data.snapshot_time, currency(data.currency), data.orders or [])


def _understand(raws: Sequence[msgspec.Raw], in_currency: str) -> Understood[FetchedOrder]:
    orders = one_by_one(raws, _order.decode, _srid.decode)
    return translated(orders, lambda order: _fetched(order, in_currency), lambda order: order.srid)


def _instant(text: str) -> datetime:
    instant = msgspec.convert(text, datetime)
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)


def _fetched(order: FeedOrder, in_currency: str) -> FetchedOrder:
    status = STATUSES.get(order.status)
    if status is None:
        raise NotOurs("Its status is none that is documented.")
    if order.created_at.tzinfo is None or (order.updated_at and order.updated_at.tzinfo is None):
        raise NotOurs("Its times are of no time zone.")
    line = FetchedOrderLine(str(order.nm_id), str(order.chrt_id) if order.chrt_id else None, "", 1, price(order.seller_price))
    return FetchedOrder(
        external_id=text(order.srid, len(order.srid)),
        number="",
        status=status,
        marketplace_status=order.status,
        fulfilment=Fulfilment.SELLER_WAREHOUSE if order.is_mp else Fulfilment.MARKETPLACE_WAREHOUSE,
        ordered_at=order.created_at.astimezone(UTC),
        changed_at=order.updated_at and order.updated_at.astimezone(UTC),
        warehouse=text(order.warehouse_name, WAREHOUSE_LENGTH),
        destination=text(order.destination_city or order.destination_district, DESTINATION_LENGTH),
        currency=in_currency,
        lines=(line,),
    )
