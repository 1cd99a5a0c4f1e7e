"""A seller's shop: invented goods, and stock that sells and is replenished as time passes.

All that nobody changed is a function of the shop's seed and the product's number, worked out when it is asked for. A product costs 12 bytes
of memory (when it changed, and its place in that order), so a shop of 200,000 opens in a fraction of a second.
"""

import itertools
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from app.sandbox.dice import mix
from app.sandbox.goods import Goods, Price, Product, Warehouse, first_changed_at_us
from app.sandbox.instants import instant, microseconds
from app.sandbox.orders import WB_WAREHOUSE_ID, CancelType, NoSuchItem, OrderBook, OrderStatus, OrderTotals

MAX_PRODUCTS = 200_000

STOCK_STEP = timedelta(minutes=30)
"""How often Wildberries counts its stock anew, and so how often ours moves."""

_versions = itertools.count(1)


class StockRow(msgspec.Struct, frozen=True):
    """Units of one size in one warehouse: for sale, on the way to buyers, on the way back. Seller's warehouses have only the first."""

    nm_id: int
    chrt_id: int
    warehouse_id: int
    quantity: int
    in_way_to_client: int = 0
    in_way_from_client: int = 0


class Totals(msgspec.Struct, frozen=True):
    """The truth to compare a sync with: products outside the trash, their sizes, units for sale in either sort of warehouse, the sums of their prices
    before and after the seller's discount; products in the trash; orders of the last days."""

    products: int
    sizes: int
    marketplace_quantity: int
    seller_quantity: int
    trashed: int
    price_sum: int
    discounted_price_sum: Decimal
    orders: OrderTotals


class Shop:
    """One seller's goods.

    The same seed and count give the same shop; its stock starts the same too, at `opened_at`, and moves every half hour from there.
    `version` is another number after every change, of all numbers in the process.
    """

    def __init__(self, seller_id: UUID, *, products: int, seed: int, opened_at: datetime) -> None:
        if not 0 <= products <= MAX_PRODUCTS:
            raise ValueError(f"A shop of the sandbox has 0 to {MAX_PRODUCTS} products.")
        self.goods = Goods(seed)
        self._opened_at = opened_at
        self._changed_at_us = array("q", (first_changed_at_us(number) for number in range(products)))
        self._by_change = array("I", range(products))
        self._added_at_us: dict[int, int] = {}
        self._trashed_at_us: dict[int, int] = {}
        self._titles: dict[int, str] = {}
        self._quantities: dict[tuple[int, int], int] = {}
        self._prices: dict[int, list[tuple[int, Price]]] = {}
        self.seller = self.goods.seller(seller_id)
        self.warehouses = self.goods.warehouses()
        self.orders = OrderBook(self.goods, products, self.warehouses, self.price_at)
        self.version = next(_versions)

    def __len__(self) -> int:
        """Products outside the trash."""
        return len(self._by_change)

    # What a product is

    def product(self, nm_id: int) -> Product:
        return self._describe(self._number(nm_id))

    def numbered(self, number: int) -> Product:
        """The product of that number, be it in the trash or not."""
        return self._describe(number)

    def numbers(self, *, trashed: bool = False) -> Sequence[int]:
        """The numbers of the products outside the trash, or of those in it, in the order in which they were made."""
        if trashed:
            return sorted(self._trashed_at_us)
        everything = range(len(self._changed_at_us))
        return [number for number in everything if number not in self._trashed_at_us] if self._trashed_at_us else everything

    def is_active(self, number: int) -> bool:
        return number < len(self._changed_at_us) and number not in self._trashed_at_us

    def changed_after(self, updated_at: datetime | None, nm_id: int, *, ascending: bool) -> Iterator[Product]:
        """Products in the order of (`updated_at`, `nm_id`), or the reverse of it, from behind that place; None is before the first."""
        order: Sequence[int] = self._by_change
        if updated_at is None:
            places = range(len(order)) if ascending else range(len(order) - 1, -1, -1)
        elif ascending:
            places = range(bisect_right(order, (microseconds(updated_at), nm_id), key=self._place), len(order))
        else:
            places = range(bisect_left(order, (microseconds(updated_at), nm_id), key=self._place) - 1, -1, -1)
        return (self._describe(order[place]) for place in places)

    def trashed_after(self, trashed_at: datetime | None, nm_id: int, *, ascending: bool = True) -> Iterator[tuple[datetime, Product]]:
        """Products in the trash and when each was put there, in the order of that instant and `nm_id`, or the reverse of it, from behind that place;
        None is before the first."""
        places = sorted(((at_us, self.goods.nm_id(number), number) for number, at_us in self._trashed_at_us.items()), reverse=not ascending)
        if trashed_at is not None:
            asked = (microseconds(trashed_at), nm_id)
            places = [place for place in places if (place[:2] > asked if ascending else place[:2] < asked)]
        return ((instant(at_us), self._describe(number)) for at_us, _, number in places)

    # What it costs

    def price(self, nm_id: int) -> Price:
        return self.present_price(self._number(nm_id))

    def present_price(self, number: int) -> Price:
        """Of the product of that number."""
        return self._prices[number][-1][1] if number in self._prices else self.goods.price(number)

    def price_at(self, number: int, at_us: int) -> Price:
        for since_us, price in reversed(self._prices.get(number, ())):
            if since_us <= at_us:
                return price
        return self.goods.price(number)

    # What lies where

    def stock_step(self, now: datetime) -> int:
        """How many times the stock was counted anew since the shop opened."""
        return max(0, (now - self._opened_at) // STOCK_STEP)

    def marketplace_stock(self, now: datetime, nm_ids: Sequence[int] = ()) -> Iterator[StockRow]:
        """Sizes that Wildberries holds or moves, all its warehouses taken together. Sizes of which it has nothing at all are left out."""
        step = self.stock_step(now)
        for number, nm_id in self._chosen(nm_ids):
            for chrt_id in self.goods.chrt_ids(number):
                dice = mix(self.goods.seed ^ chrt_id)
                quantity = self._quantity(chrt_id, WB_WAREHOUSE_ID, dice, step)
                to_client, from_client = (dice >> 20) % 7, (dice >> 24) % 3
                if quantity or to_client or from_client:
                    yield StockRow(nm_id, chrt_id, WB_WAREHOUSE_ID, quantity, to_client, from_client)

    def seller_stock(self, now: datetime, nm_ids: Sequence[int] = ()) -> Iterator[StockRow]:
        """Sizes that lie in the seller's own warehouses; those of which there are none are left out."""
        step = self.stock_step(now)
        for number, nm_id in self._chosen(nm_ids):
            for chrt_id in self.goods.chrt_ids(number):
                for warehouse in self.warehouses:
                    quantity = self._seller_quantity(chrt_id, warehouse.id, step)
                    if quantity:
                        yield StockRow(nm_id, chrt_id, warehouse.id, quantity)

    def warehouse(self, warehouse_id: int) -> Warehouse:
        """One of the seller's own."""
        return next(warehouse for warehouse in self.warehouses if warehouse.id == warehouse_id)

    def quantity_at(self, chrt_id: int, warehouse_id: int, now: datetime) -> int:
        """Units of a size in one of the seller's warehouses; of an unknown size, and of one in the trash, there are none."""
        number = self.goods.number_of_size(chrt_id)
        if number is None or not self.is_active(number):
            return 0
        return self._seller_quantity(chrt_id, warehouse_id, self.stock_step(now))

    def totals(self, now: datetime, order_days: int = 30) -> Totals:
        prices = [self.present_price(number) for number in self._by_change]
        return Totals(
            products=len(self),
            sizes=sum(len(self.goods.chrt_ids(number)) for number in self._by_change),
            marketplace_quantity=sum(row.quantity for row in self.marketplace_stock(now)),
            seller_quantity=sum(row.quantity for row in self.seller_stock(now)),
            trashed=len(self._trashed_at_us),
            price_sum=sum(price.price for price in prices),
            # In kopecks, since a hundred thousand sums of decimals take their time.
            discounted_price_sum=Decimal(sum(price.price * (100 - price.discount) for price in prices)) / 100,
            orders=self.orders.totals(now, order_days),
        )

    # What the seller does

    def add(self, count: int, now: datetime) -> list[int]:
        """Make new products; the ids of their cards."""
        first = len(self._changed_at_us)
        if first + count > MAX_PRODUCTS:
            raise ValueError(f"A shop of the sandbox has at most {MAX_PRODUCTS} products.")
        for number in range(first, first + count):
            self._added_at_us[number] = microseconds(now)
            self._changed_at_us.append(self._added_at_us[number])
            self._insert(number)
        self.version = next(_versions)
        return [self.goods.nm_id(number) for number in range(first, first + count)]

    def rename(self, nm_id: int, title: str, now: datetime) -> None:
        self._titles[self._number(nm_id)] = title
        self.touch(nm_id, now)

    def touch(self, nm_id: int, now: datetime) -> None:
        """Move `updated_at` and nothing else, as Wildberries does when a document of the product is judged."""
        number = self._number(nm_id)
        self._remove(number)
        self._changed_at_us[number] = microseconds(now)
        self._insert(number)
        self.version = next(_versions)

    def trash(self, nm_id: int, now: datetime) -> None:
        """Put a product into the trash: its card, price and stock are no longer told of."""
        number = self._number(nm_id)
        self._remove(number)
        self._trashed_at_us[number] = microseconds(now)
        self.version = next(_versions)

    def restore(self, nm_id: int, now: datetime) -> None:
        """Take a product out of the trash; its card changes by that."""
        number = self.goods.number(nm_id)
        if number is None or number not in self._trashed_at_us:
            raise NoSuchItem(f"The shop has no product {nm_id} in the trash.")
        del self._trashed_at_us[number]
        self._changed_at_us[number] = microseconds(now)
        self._insert(number)
        self.version = next(_versions)

    def set_price(self, nm_id: int, price: Price, now: datetime) -> None:
        """What the product costs from now on. Orders keep the price of their day; `updated_at` of the card stays."""
        self._prices.setdefault(self._number(nm_id), []).append((microseconds(now), price))
        self.version = next(_versions)

    def set_order_status(self, number: int, status: OrderStatus, now: datetime, cancel_type: CancelType = "other") -> None:
        """As `OrderBook.set_status`."""
        self.orders.set_status(number, status, now, cancel_type)
        self.version = next(_versions)

    def publish_orders_late(self, count: int, delay: timedelta, now: datetime) -> list[int]:
        """As `OrderBook.publish_late`."""
        numbers = self.orders.publish_late(count, delay, now)
        self.version = next(_versions)
        return numbers

    def set_quantity(self, chrt_id: int, quantity: int, warehouse_id: int = WB_WAREHOUSE_ID) -> None:
        """From now on there are so many of this size, whatever the time. A count is no change of the card: `updated_at` stays."""
        number = self.goods.number_of_size(chrt_id)
        if number is None or not self.is_active(number):
            raise NoSuchItem(f"The shop has no size {chrt_id}.")
        if warehouse_id not in (WB_WAREHOUSE_ID, *(warehouse.id for warehouse in self.warehouses)):
            raise NoSuchItem(f"The shop has no warehouse {warehouse_id}.")
        self._quantities[chrt_id, warehouse_id] = quantity
        self.version = next(_versions)

    # Numbers

    def _describe(self, number: int) -> Product:
        return self.goods.describe(
            number, title=self._titles.get(number), added_at_us=self._added_at_us.get(number), updated_at_us=self._changed_at_us[number]
        )

    def _seller_quantity(self, chrt_id: int, warehouse_id: int, step: int) -> int:
        return self._quantity(chrt_id, warehouse_id, mix(self.goods.seed ^ chrt_id ^ warehouse_id << 32), step)

    def _quantity(self, chrt_id: int, warehouse_id: int, dice: int, step: int) -> int:
        """Sells one by one, each at its own pace, down to nothing; then a delivery comes. A quarter of the sizes never moves."""
        if (chosen := self._quantities.get((chrt_id, warehouse_id))) is not None:
            return chosen
        delivery = dice % 128 if dice >> 8 & 3 else dice % 8 // 5
        if warehouse_id != WB_WAREHOUSE_ID and dice >> 12 & 1:
            return 0
        pace = dice >> 14 & 3
        return delivery - step // pace % (delivery + 1) if pace else delivery

    def _chosen(self, nm_ids: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Numbers and ids of the products outside the trash, in the order in which they were made: all, or those of the ids that exist."""
        if nm_ids:
            candidates = {self.goods.number(nm_id) for nm_id in nm_ids}
            numbers = sorted(number for number in candidates if number is not None and self.is_active(number))
        else:
            numbers = self.numbers()
        return ((number, self.goods.nm_id(number)) for number in numbers)

    def _number(self, nm_id: int) -> int:
        number = self.goods.number(nm_id)
        if number is None or not self.is_active(number):
            raise NoSuchItem(f"The shop has no product {nm_id}.")
        return number

    def _place(self, number: int) -> tuple[int, int]:
        return self._changed_at_us[number], self.goods.nm_id(number)

    def _insert(self, number: int) -> None:
        self._by_change.insert(bisect_left(self._by_change, self._place(number), key=self._place), number)

    def _remove(self, number: int) -> None:
        del self._by_change[bisect_left(self._by_change, self._place(number), key=self._place)]
