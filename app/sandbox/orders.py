"""What buyers order from a shop: a stream without end, of which nothing is stored but what was changed by hand.

Orders come at an even pace, numbered from 0 at a fixed instant, so an instant leads to a number and back. How an order fares follows from its
number too: it lives one of `LIVES`, which take turns. So the orders whose status changed in some period are found without looking at the others.
"""

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from app.errors import StockTrackerError
from app.sandbox.dice import mix
from app.sandbox.goods import Goods, Price, Warehouse
from app.sandbox.instants import duration_us, instant, microseconds

OrderStatus = Literal["created", "delivering", "delivered", "cancelled", "returned"]
CancelType = Literal["app", "receipt", "expire", "other"]

WB_WAREHOUSE_ID = -999_999
"""Stands for all of Wildberries' own warehouses, which it hides from its answers since 2026-08-15 (release note 570)."""

DESTINATIONS = (
    ("Москва", "Центральный"), ("Казань", "Приволжский"), ("Санкт-Петербург", "Северо-Западный"), ("Екатеринбург", "Уральский"),
    ("Новосибирск", "Сибирский"), ("Краснодар", "Южный"), ("Воронеж", "Центральный"), ("Хабаровск", "Дальневосточный"),
    ("Пятигорск", "Северо-Кавказский"), ("Самара", "Приволжский"), ("Тула", "Центральный"), ("Минск", ""),
)  # fmt: skip
"""Cities, and the federal district of each; abroad there is none."""

_FIRST_ORDER_AT_US = microseconds(datetime(2025, 1, 1, tzinfo=UTC))
_DAY_US = duration_us(timedelta(days=1))
_MINUTE_US = 60_000_000
_MIN_PER_DAY = 24
_LIFE_COUNT = 64


class NoSuchItem(StockTrackerError):
    """The shop has no such product, size, warehouse or order, or the product is in the trash."""

    status = 404
    code = "no_such_item"
    title = "No such item"


class Life(NamedTuple):
    """How an order fares: its statuses, each with the microseconds after the order at which it began. `cancel_type` is for those that end cancelled,
    `defective` for goods that came back broken."""

    stages: tuple[tuple[OrderStatus, int], ...]
    cancel_type: CancelType | None = None
    defective: bool = False


class Order(msgspec.Struct, frozen=True, gc=False):
    """An order as it stood when it was asked for. `price` is as it was at `ordered_at`; `changed_at` is when the present status began."""

    number: int
    product_number: int
    nm_id: int
    chrt_id: int
    warehouse_id: int
    price: Price
    city: str
    district: str
    ordered_at: datetime
    status: OrderStatus
    changed_at: datetime
    cancel_type: CancelType | None
    defective: bool

    @property
    def from_marketplace(self) -> bool:
        """Whether it ships from the marketplace's warehouse, not from one of the seller's."""
        return self.warehouse_id == WB_WAREHOUSE_ID


class Begun(NamedTuple):
    """An order got a status."""

    at: datetime
    number: int
    status: OrderStatus


class OrderLine(msgspec.Struct, frozen=True, gc=False):
    """Units of one product in an order of several."""

    product_number: int
    nm_id: int
    chrt_id: int
    units: int
    price: Price


class OrderTotals(msgspec.Struct, frozen=True):
    """Orders of some period: how many, and how many in each status. `units` counts all lines; Wildberries' orders are of one unit each."""

    orders: int
    units: int
    by_status: dict[OrderStatus, int]


def _lives() -> tuple[Life, ...]:
    cancel_types: tuple[CancelType, ...] = ("app", "expire", "other", "receipt")
    lives: list[Life] = []
    for index in range(_LIFE_COUNT):
        dice = mix(index)
        delivering_us = (180 + dice % 1620) * _MINUTE_US
        delivered_us = delivering_us + (1440 + (dice >> 16) % 11_520) * _MINUTE_US
        returned_us = delivered_us + (720 + (dice >> 32) % 9360) * _MINUTE_US
        if index % 7 == 3:
            cancel_type = cancel_types[index // 7 % 4]
            # What a buyer refuses at receipt has travelled; all other cancelled orders never left.
            cancelled: tuple[OrderStatus, int] = ("cancelled", delivered_us if cancel_type == "receipt" else delivering_us)
            travelled: tuple[tuple[OrderStatus, int], ...] = (("delivering", delivering_us),) if cancel_type == "receipt" else ()
            lives.append(Life((("created", 0), *travelled, cancelled), cancel_type))
            continue
        delivered: tuple[tuple[OrderStatus, int], ...] = (("created", 0), ("delivering", delivering_us), ("delivered", delivered_us))
        if index % 11 == 5:
            lives.append(Life((*delivered, ("returned", returned_us)), defective=index % 3 == 0))
        else:
            lives.append(Life(delivered))
    return tuple(lives)


LIVES = _lives()
LONGEST_LIFE_US = max(began_us for life in LIVES for _, began_us in life.stages)


class OrderBook:
    """The orders of one shop: about one a day for every ten products that it opened with, and 24 a day at least; none if it opened empty.

    `price_at` tells what a product cost at an instant (microseconds). All periods are half-open and end no later than `now` is told.
    """

    def __init__(self, goods: Goods, products: int, warehouses: Sequence[Warehouse], price_at: Callable[[int, int], Price]) -> None:
        self._goods = goods
        self._products = products
        self._warehouse_ids = (WB_WAREHOUSE_ID, WB_WAREHOUSE_ID, WB_WAREHOUSE_ID, *(warehouse.id for warehouse in warehouses))
        self._price_at = price_at
        self._interval_us = _DAY_US // max(_MIN_PER_DAY, products // 10)
        self._changed: dict[int, Life] = {}
        self._published_at_us: dict[int, int] = {}
        self._hidden: tuple[OrderStatus, ...] = ()
        self._listed: dict[tuple[object, ...], list[int]] = {}

    def without(self, *statuses: OrderStatus) -> "OrderBook":
        """The same orders as a marketplace sees them that doesn't know these statuses: to it the one before goes on."""
        view = copy.copy(self)
        view._hidden = statuses  # noqa: SLF001  it is one of us
        return view

    def created_between(self, since: datetime, until: datetime, now: datetime) -> list[Order]:
        """Orders made in the period that are known at `now`, oldest first."""
        until_us, now_us = microseconds(until), microseconds(now)
        numbers = self._numbers(microseconds(since), min(until_us, now_us + 1))
        return [self._order(number, now_us) for number in numbers if self._is_published(number, now_us)]

    def changed_between(self, since: datetime, until: datetime, now: datetime) -> list[Order]:
        """Orders whose status of `now` began in the period, the earliest change first."""
        now_us = microseconds(now)
        return [self._order(number, now_us) for number in self.numbers_changed_between(since, until, now)]

    def numbers_changed_between(self, since: datetime, until: datetime, now: datetime) -> list[int]:
        """The numbers of these orders alone, which costs a tenth."""
        now_us = microseconds(now)
        since_us, until_us = microseconds(since), min(microseconds(until), now_us + 1)
        question = (since_us, until_us, now_us, self._hidden)
        if question not in self._listed:
            regular = self._regular_changes(since_us, until_us, now_us)
            changes = sorted(itertools.chain(regular, self._changes_by_hand(since_us, until_us, now_us)))
            # Who reads page by page asks the same again and again.
            self._listed.clear()
            self._listed[question] = [number for _, number in changes if self._is_published(number, now_us)]
        return self._listed[question]

    def begun_between(self, statuses: Sequence[OrderStatus], since: datetime, until: datetime, now: datetime) -> list[Begun]:
        """Whenever an order got one of these statuses in the period, whatever became of it since; the earliest first."""
        now_us = microseconds(now)
        since_us, until_us = microseconds(since), min(microseconds(until), now_us + 1)
        begun: list[tuple[int, int, OrderStatus]] = []
        for turn, life in enumerate(LIVES):
            for status, began_us in life.stages:
                if status in statuses:
                    numbers = self._numbers_of_life(turn, since_us - began_us, until_us - began_us)
                    begun.extend((self._ordered_at_us(number) + began_us, number, status) for number in numbers)
        for number, life in self._changed.items():
            for status, began_us in life.stages:
                at_us = self._ordered_at_us(number) + began_us
                if status in statuses and since_us <= at_us < until_us:
                    begun.append((at_us, number, status))
        return [Begun(instant(at_us), number, status) for at_us, number, status in sorted(begun) if self._is_published(number, now_us)]

    def order(self, number: int, now: datetime) -> Order:
        """
        Raises:
            NoSuchItem: nobody has made it by `now`, or it isn't published yet.
        """
        now_us = microseconds(now)
        if not self._products or number < 0 or self._ordered_at_us(number) > now_us or not self._is_published(number, now_us):
            raise NoSuchItem(f"The shop has no order {number}.")
        return self._order(number, now_us)

    def stages(self, order: Order) -> list[tuple[OrderStatus, datetime]]:
        """What became of the order until it was asked for, and when each of that began."""
        ordered_at_us = self._ordered_at_us(order.number)
        stages: list[tuple[OrderStatus, datetime]] = [
            (status, instant(ordered_at_us + began_us))
            for status, began_us in self._life(order.number).stages
            if status not in self._hidden
        ]
        return [(status, began_at) for status, began_at in stages if began_at <= order.changed_at]

    def lines(self, order: Order) -> tuple[OrderLine, ...]:
        """One to three products that were ordered together, the order's own first; for marketplaces where that is one order."""
        count, units = self._basket(order.number)
        lines = [OrderLine(order.product_number, order.nm_id, order.chrt_id, units, order.price)]
        others = self._products - 1
        place = order.number
        for _ in range(count - 1):
            place = place % others + 1
            number = (order.product_number + place) % self._products
            price = self._price_at(number, microseconds(order.ordered_at))
            lines.append(OrderLine(number, self._goods.nm_id(number), self._goods.chrt_ids(number)[0], 1, price))
        return tuple(lines)

    def totals(self, now: datetime, days: int) -> OrderTotals:
        """Of the orders made in so many days until `now`."""
        now_us = microseconds(now)
        numbers = self._numbers(now_us - days * _DAY_US, now_us + 1)
        by_status: Counter[OrderStatus] = Counter()
        units = 0
        for number in numbers:
            if self._is_published(number, now_us):
                by_status[self._stage(number, now_us)[0]] += 1
                count, first = self._basket(number)
                units += first + count - 1
        return OrderTotals(by_status.total(), units, dict(by_status))

    # By hand

    def set_status(self, number: int, status: OrderStatus, now: datetime, cancel_type: CancelType = "other") -> None:
        """What came before `now` stays; from then on the order has this status for good.

        Raises:
            NoSuchItem: there is no such order at `now`.
        """
        order = self.order(number, now)
        ordered_at_us = self._ordered_at_us(number)
        stages: list[tuple[OrderStatus, int]] = [(past, microseconds(began_at) - ordered_at_us) for past, began_at in self.stages(order)]
        stages.append((status, microseconds(now) - ordered_at_us))
        self._listed.clear()
        self._changed[number] = Life(tuple(stages), cancel_type if status == "cancelled" else None)

    def publish_late(self, count: int, delay: timedelta, now: datetime) -> list[int]:
        """The next orders, so many, will be told of only so long after they were made. Their numbers."""
        self._listed.clear()
        first = self._first_from(microseconds(now)) if self._products else 0
        numbers = list(range(first, first + count)) if self._products else []
        for number in numbers:
            self._published_at_us[number] = self._ordered_at_us(number) + duration_us(delay)
        return numbers

    # Numbers and microseconds

    def _ordered_at_us(self, number: int) -> int:
        # The pace is even, but no two intervals are the same.
        return _FIRST_ORDER_AT_US + number * self._interval_us + number * 0x9E3779B1 % self._interval_us

    def _first_from(self, at_us: int) -> int:
        """The first order that was made at that instant or later."""
        number = max(0, (at_us - _FIRST_ORDER_AT_US) // self._interval_us)
        return number if self._ordered_at_us(number) >= at_us else number + 1

    def _numbers(self, since_us: int, until_us: int) -> range:
        return range(self._first_from(since_us), self._first_from(until_us)) if self._products else range(0)

    def _numbers_of_life(self, turn: int, since_us: int, until_us: int) -> Iterator[int]:
        """The orders made in the period that fare by themselves, and in that way."""
        numbers = self._numbers(since_us, until_us)
        every = range(numbers.start + (turn - numbers.start) % _LIFE_COUNT, numbers.stop, _LIFE_COUNT)
        return (number for number in every if number not in self._changed) if self._changed else iter(every)

    def _regular_changes(self, since_us: int, until_us: int, now_us: int) -> Iterator[tuple[int, int]]:
        """When the present status began, and the number, of all orders that fare by themselves."""
        for turn, life in enumerate(LIVES):
            stages = [began_us for status, began_us in life.stages if status not in self._hidden]
            for began_us, next_us in itertools.zip_longest(stages, stages[1:]):
                first_us = since_us
                if next_us is not None:
                    # Whoever has gone on to the next stage by now is told of there.
                    first_us = max(first_us, now_us + 1 - next_us + began_us)
                for number in self._numbers_of_life(turn, first_us - began_us, until_us - began_us):
                    yield self._ordered_at_us(number) + began_us, number

    def _changes_by_hand(self, since_us: int, until_us: int, now_us: int) -> Iterable[tuple[int, int]]:
        for number in self._changed:
            began_us = self._ordered_at_us(number) + self._stage(number, now_us)[1]
            if since_us <= began_us < until_us:
                yield began_us, number

    def _basket(self, number: int) -> tuple[int, int]:
        """How many lines an order has, and how many units the first; the others have one."""
        dice = mix(self._goods.seed ^ number << 3)
        return min((1, 1, 1, 2, 2, 3)[dice % 6], self._products), 1 + (dice >> 8) % 3 // 2

    def _life(self, number: int) -> Life:
        return self._changed.get(number) or LIVES[number % _LIFE_COUNT]

    def _stage(self, number: int, now_us: int) -> tuple[OrderStatus, int]:
        passed_us = now_us - self._ordered_at_us(number)
        present = ("created", 0)
        for stage in self._life(number).stages:
            if stage[1] > passed_us:
                break
            if stage[0] not in self._hidden:
                present = stage
        return present

    def _is_published(self, number: int, now_us: int) -> bool:
        return not self._published_at_us or self._published_at_us.get(number, 0) <= now_us

    def _order(self, number: int, now_us: int) -> Order:
        dice = mix(self._goods.seed ^ number << 2)
        ordered_at_us = self._ordered_at_us(number)
        # Some goods sell better than others: those with the lowest numbers.
        share = dice & 0xFFFF_FFFF
        product_number = self._products * share * share >> 64
        chrt_ids = self._goods.chrt_ids(product_number)
        city, district = DESTINATIONS[(dice >> 32) % len(DESTINATIONS)]
        status, began_us = self._stage(number, now_us)
        life = self._life(number)
        return Order(
            number=number,
            product_number=product_number,
            nm_id=self._goods.nm_id(product_number),
            chrt_id=chrt_ids[(dice >> 40) % len(chrt_ids)],
            warehouse_id=self._warehouse_ids[(dice >> 48) % len(self._warehouse_ids)],
            price=self._price_at(product_number, ordered_at_us),
            city=city,
            district=district,
            ordered_at=instant(ordered_at_us),
            status=status,
            changed_at=instant(ordered_at_us + began_us),
            cancel_type=life.cancel_type if status == "cancelled" else None,
            defective=life.defective and status == "returned",
        )
