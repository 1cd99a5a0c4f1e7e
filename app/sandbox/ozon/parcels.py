"""A shop's orders as Ozon sends them: in parcels, which it calls postings. Most orders are one; some of several products go in two.

Ozon knows no returns here: what came back stays delivered.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

from app.sandbox.orders import NoSuchItem, Order, OrderBook, OrderLine
from app.sandbox.shop import Shop

PACKED_AFTER = timedelta(hours=2)
"""An order that was made waits so long to be packed, and then until it is on its way to be handed over; no order is on its way before that."""

_PER_HALF = 10_000
_PLACES_PER_ORDER = 4
_FIRST_STEP = timedelta(hours=1)
_ENOUGH = 50
_TICK = timedelta(microseconds=1)

STATUSES = ("awaiting_packaging", "awaiting_deliver", "delivering", "delivered", "cancelled")


class Parcel(msgspec.Struct, frozen=True, gc=False):
    """`number` is the order's, and which of its parcels this is, counted from 1. `changed_at` is when the present status began."""

    order: Order
    order_number: str
    turn: int
    lines: tuple[OrderLine, ...]
    status: str
    changed_at: datetime

    @property
    def number(self) -> str:
        return f"{self.order_number}-{self.turn}"

    @property
    def place(self) -> int:
        """In the order in which all parcels of the shop were ordered."""
        return self.order.number * _PLACES_PER_ORDER + self.turn


class Parcels:
    """The parcels of one shop, as they are known at `now`."""

    def __init__(self, shop: Shop, now: datetime) -> None:
        self._book: OrderBook = shop.orders.without("returned")
        self._buyers = shop.goods.seed % 90_000 + 10_000
        self._now = now

    def ordered(self, since: datetime, until: datetime, *, descending: bool = False) -> Iterator[Parcel]:
        """Those ordered in the period, oldest first or latest first."""
        until, step = min(until, self._now + _TICK), _FIRST_STEP
        while since < until:
            first, last = (max(since, until - step), until) if descending else (since, min(until, since + step))
            orders = self._book.created_between(first, last, self._now)
            yield from self._all(reversed(orders) if descending else orders, descending=descending)
            since, until = (since, first) if descending else (last, until)
            # Small shops have quiet hours, and large ones more orders in an hour than anybody asks for at once.
            if len(orders) < _ENOUGH:
                step *= 2

    def changed(self, changed_since: datetime, changed_until: datetime, *, descending: bool = False) -> Iterator[Parcel]:
        """Those whose present status began in the period, in the order in which they were ordered."""
        numbers = set(self._book.numbers_changed_between(changed_since, changed_until, self._now))
        packed = self._book.created_between(changed_since - PACKED_AFTER, changed_until - PACKED_AFTER, self._now)
        numbers |= {order.number for order in packed if order.status == "created"}
        orders = (self._book.order(number, self._now) for number in sorted(numbers, reverse=descending))
        return (parcel for parcel in self._all(orders, descending=descending) if changed_since <= parcel.changed_at < changed_until)

    def ordered_at(self, place: int) -> datetime:
        """When the parcel was ordered that has this place.

        Raises:
            NoSuchItem: none has it.
        """
        return self._book.order(place // _PLACES_PER_ORDER, self._now).ordered_at

    def order_of(self, posting_number: str) -> int:
        """The number in the shop of the order that a parcel belongs to.

        Raises:
            NoSuchItem: the shop has no such parcel.
        """
        try:
            first, second, turn = posting_number.split("-")
            number = int(first.removeprefix(str(self._buyers))) * _PER_HALF + int(second)
            parcels = self._all([self._book.order(number, self._now)])
            return next(parcel.order.number for parcel in parcels if parcel.number == posting_number and turn)
        except (ValueError, StopIteration) as error:
            raise NoSuchItem(f"The shop has no posting {posting_number}.") from error

    def _all(self, orders: Iterable[Order], *, descending: bool = False) -> Iterator[Parcel]:
        for order in orders:
            lines = self._book.lines(order)
            status, changed_at = self._stage(order)
            together = (lines[:1], lines[1:]) if len(lines) > 1 and order.number % 4 == 1 else (lines,)
            number = f"{self._buyers}{order.number // _PER_HALF:05d}-{order.number % _PER_HALF:04d}"
            parcels = [Parcel(order, number, turn, part, status, changed_at) for turn, part in enumerate(together, start=1)]
            yield from reversed(parcels) if descending else parcels

    def _stage(self, order: Order) -> tuple[str, datetime]:
        if order.status != "created":
            return order.status, order.changed_at
        packed_at = order.changed_at + PACKED_AFTER
        return ("awaiting_deliver", packed_at) if packed_at <= self._now else ("awaiting_packaging", order.changed_at)
