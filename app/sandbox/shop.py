"""A seller's shop: invented goods, and stock that sells and is replenished as time passes.

All that nobody changed is a function of the shop's seed and the product's number, worked out when it is asked for. A product costs 12 bytes
of memory (when it changed, and its place in that order), so a shop of 200,000 opens in a fraction of a second.
"""

import itertools
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import msgspec

from app.errors import StockTrackerError
from app.sandbox.assortment import BRANDS, COLOURS, INITIALS, KINDS, SELLER_WAREHOUSES, SURNAMES, Kind

MAX_PRODUCTS = 200_000

STOCK_STEP = timedelta(minutes=30)
"""How often Wildberries counts its stock anew, and so how often ours moves."""

WB_WAREHOUSE_ID = -999_999
"""Stands for all of Wildberries' own warehouses, which it hides from its answers since 2026-08-15 (release note 570)."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_FIRST_CHANGE_AT_US = (datetime(2025, 6, 1, 9, 0, 0, 120_450, UTC) - _EPOCH) // timedelta(microseconds=1)
_CARD_INTERVAL_US = 37_130_450
_LONGEST_UNCHANGED_US = timedelta(days=90) // timedelta(microseconds=1)
_MASK = (1 << 64) - 1
_SIZES_PER_ID_RANGE = 8
_NM_IDS_PER_PRODUCT = 7
Choice = TypeVar("Choice")

_versions = itertools.count(1)


class NoSuchItem(StockTrackerError):
    """The shop has no such product, size or warehouse, or the product is in the trash."""

    status = 404
    code = "no_such_item"
    title = "No such item"


class Warehouse(msgspec.Struct, frozen=True):
    """One of the seller's own warehouses."""

    id: int
    name: str
    region: str


class Size(msgspec.Struct, frozen=True):
    """A size of a product. `name` is "0" where there is but one."""

    chrt_id: int
    name: str
    russian_name: str
    barcodes: tuple[str, ...]


class Product(msgspec.Struct, frozen=True):
    """A product as its seller described it. `group_id` is shared by the colours of one model; `photos` is how many there are."""

    nm_id: int
    group_id: int
    kind: Kind
    article: str
    brand: str
    title: str
    colour: str
    photos: int
    sizes: tuple[Size, ...]
    created_at: datetime
    updated_at: datetime


class StockRow(msgspec.Struct, frozen=True):
    """Units of one size in one warehouse: for sale, on the way to buyers, on the way back. Seller's warehouses have only the first."""

    nm_id: int
    chrt_id: int
    warehouse_id: int
    quantity: int
    in_way_to_client: int = 0
    in_way_from_client: int = 0


class Totals(msgspec.Struct, frozen=True):
    """The truth to compare a sync with: products outside the trash, their sizes, and units for sale in either sort of warehouse."""

    products: int
    sizes: int
    marketplace_quantity: int
    seller_quantity: int


class Seller(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    tin: str
    trade_mark: str


class Shop:
    """One seller's goods.

    The same seed and count give the same shop; its stock starts the same too, at `opened_at`, and moves every half hour from there.
    `version` is another number after every change, of all numbers in the process.
    """

    def __init__(self, seller_id: UUID, *, products: int, seed: int, opened_at: datetime) -> None:
        if not 0 <= products <= MAX_PRODUCTS:
            raise ValueError(f"A shop of the sandbox has 0 to {MAX_PRODUCTS} products.")
        self._seed = _mix(seed)
        self._opened_at = opened_at
        self._first_nm_id = 120_000_000 + self._seed % 400 * 2_000_000
        # Beyond 31 bits on purpose: Wildberries' ids are 64-bit.
        self._first_chrt_id = 2_200_000_000 + self._seed % 400 * 2_000_000
        self._brands = tuple(BRANDS[(self._seed + k * k * 3) % len(BRANDS)] for k in range(4))
        self._changed_at_us = array("q", (_first_changed_at_us(number) for number in range(products)))
        self._by_change = array("I", range(products))
        self._added_at_us: dict[int, int] = {}
        self._trashed: set[int] = set()
        self._titles: dict[int, str] = {}
        self._quantities: dict[tuple[int, int], int] = {}
        self.seller = _seller(seller_id, self._seed, self._brands[0])
        self.warehouses = _warehouses(self._seed)
        self.version = next(_versions)

    def __len__(self) -> int:
        """Products outside the trash."""
        return len(self._by_change)

    # What a product is

    def product(self, nm_id: int) -> Product:
        return self._describe(self._number(nm_id))

    def changed_after(self, updated_at: datetime | None, nm_id: int, *, ascending: bool) -> Iterator[Product]:
        """Products in the order of (`updated_at`, `nm_id`), or the reverse of it, from behind that place; None is before the first."""
        order: Sequence[int] = self._by_change
        if updated_at is None:
            places = range(len(order)) if ascending else range(len(order) - 1, -1, -1)
        elif ascending:
            places = range(bisect_right(order, (_microseconds(updated_at), nm_id), key=self._place), len(order))
        else:
            places = range(bisect_left(order, (_microseconds(updated_at), nm_id), key=self._place) - 1, -1, -1)
        return (self._describe(order[place]) for place in places)

    # What lies where

    def stock_step(self, now: datetime) -> int:
        """How many times the stock was counted anew since the shop opened."""
        return max(0, (now - self._opened_at) // STOCK_STEP)

    def marketplace_stock(self, now: datetime, nm_ids: Sequence[int] = ()) -> Iterator[StockRow]:
        """Sizes that Wildberries holds or moves, all its warehouses taken together. Sizes of which it has nothing at all are left out."""
        step = self.stock_step(now)
        for number, nm_id in self._chosen(nm_ids):
            for chrt_id in self._chrt_ids(number):
                dice = _mix(self._seed ^ chrt_id)
                quantity = self._quantity(chrt_id, WB_WAREHOUSE_ID, dice, step)
                to_client, from_client = (dice >> 20) % 7, (dice >> 24) % 3
                if quantity or to_client or from_client:
                    yield StockRow(nm_id, chrt_id, WB_WAREHOUSE_ID, quantity, to_client, from_client)

    def seller_stock(self, now: datetime, nm_ids: Sequence[int] = ()) -> Iterator[StockRow]:
        """Sizes that lie in the seller's own warehouses; those of which there are none are left out."""
        step = self.stock_step(now)
        for number, nm_id in self._chosen(nm_ids):
            for chrt_id in self._chrt_ids(number):
                for warehouse in self.warehouses:
                    quantity = self._quantity(chrt_id, warehouse.id, _mix(self._seed ^ chrt_id ^ warehouse.id << 32), step)
                    if quantity:
                        yield StockRow(nm_id, chrt_id, warehouse.id, quantity)

    def totals(self, now: datetime) -> Totals:
        return Totals(
            products=len(self),
            sizes=sum(len(self._chrt_ids(number)) for number in self._by_change),
            marketplace_quantity=sum(row.quantity for row in self.marketplace_stock(now)),
            seller_quantity=sum(row.quantity for row in self.seller_stock(now)),
        )

    # What the seller does

    def add(self, count: int, now: datetime) -> list[int]:
        """Make new products; the ids of their cards."""
        first = len(self._changed_at_us)
        if first + count > MAX_PRODUCTS:
            raise ValueError(f"A shop of the sandbox has at most {MAX_PRODUCTS} products.")
        for number in range(first, first + count):
            self._added_at_us[number] = _microseconds(now)
            self._changed_at_us.append(self._added_at_us[number])
            self._insert(number)
        self.version = next(_versions)
        return [self._nm_id(number) for number in range(first, first + count)]

    def rename(self, nm_id: int, title: str, now: datetime) -> None:
        self._titles[self._number(nm_id)] = title
        self.touch(nm_id, now)

    def touch(self, nm_id: int, now: datetime) -> None:
        """Move `updated_at` and nothing else, as Wildberries does when a document of the product is judged."""
        number = self._number(nm_id)
        self._remove(number)
        self._changed_at_us[number] = _microseconds(now)
        self._insert(number)
        self.version = next(_versions)

    def trash(self, nm_id: int) -> None:
        """Put a product into the trash: its card and its stock are no longer told of."""
        number = self._number(nm_id)
        self._remove(number)
        self._trashed.add(number)
        self.version = next(_versions)

    def set_quantity(self, chrt_id: int, quantity: int, warehouse_id: int = WB_WAREHOUSE_ID) -> None:
        """From now on there are so many of this size, whatever the time. A count is no change of the card: `updated_at` stays."""
        number = (chrt_id - self._first_chrt_id) // _SIZES_PER_ID_RANGE
        known = 0 <= number < len(self._changed_at_us) and number not in self._trashed
        if not known or chrt_id not in self._chrt_ids(number):
            raise NoSuchItem(f"The shop has no size {chrt_id}.")
        if warehouse_id not in (WB_WAREHOUSE_ID, *(warehouse.id for warehouse in self.warehouses)):
            raise NoSuchItem(f"The shop has no warehouse {warehouse_id}.")
        self._quantities[chrt_id, warehouse_id] = quantity
        self.version = next(_versions)

    # Numbers: products are numbered from 0 in the order in which they were made

    def _describe(self, number: int) -> Product:
        model, colour_of_model = divmod(number, 3)
        dice, kind = self._model(model)
        dice, name = _draw(dice, kind.names)
        dice, variant = _draw(dice, kind.variants)
        dice, brand = _draw(dice, self._brands)
        colour = COLOURS[(dice % len(COLOURS) + colour_of_model * 4) % len(COLOURS)]
        own = _mix(self._seed ^ number << 1)
        made_at_us = self._added_at_us.get(number, _first_changed_at_us(number) - own % _LONGEST_UNCHANGED_US)
        return Product(
            nm_id=self._nm_id(number),
            group_id=180_000_000 + self._seed % 400 * 70_000 + model,
            kind=kind,
            article=_article(self._seed % 3, kind.code, colour.code, number + 1),
            brand=brand,
            title=self._titles.get(number, f"{name} {variant}, цвет {colour.name}"),
            colour=colour.name,
            photos=0 if own % 16 == 0 else 1 + own % 4,
            sizes=self._sizes(number, kind),
            created_at=_instant(made_at_us),
            updated_at=_instant(self._changed_at_us[number]),
        )

    def _model(self, model: int) -> tuple[int, Kind]:
        """The dice and the kind of a model; each model comes in three colours, numbered in a row."""
        return _draw(_mix(self._seed + model), KINDS)

    def _sizes(self, number: int, kind: Kind) -> tuple[Size, ...]:
        chrt_ids = self._chrt_ids(number)
        first = (number + self._seed) % max(1, len(kind.sizes) - len(chrt_ids) + 1)
        names = kind.sizes[first : first + len(chrt_ids)] or (("0", ""),)
        return tuple(Size(chrt_id, name, russian, _barcodes(chrt_id)) for chrt_id, (name, russian) in zip(chrt_ids, names, strict=True))

    def _chrt_ids(self, number: int) -> range:
        dice, kind = self._model(number // 3)
        count = 1 + (dice >> 40) % min(4, len(kind.sizes)) if kind.sizes else 1
        first = self._first_chrt_id + number * _SIZES_PER_ID_RANGE
        return range(first, first + count)

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
            candidates = sorted({(nm_id - self._first_nm_id) // _NM_IDS_PER_PRODUCT for nm_id in nm_ids})
            asked = set(nm_ids)
            numbers = (number for number in candidates if 0 <= number < len(self._changed_at_us) and self._nm_id(number) in asked)
        else:
            numbers = range(len(self._changed_at_us))
        return ((number, self._nm_id(number)) for number in numbers if number not in self._trashed)

    def _nm_id(self, number: int) -> int:
        return self._first_nm_id + number * _NM_IDS_PER_PRODUCT + number // 3 % _NM_IDS_PER_PRODUCT

    def _number(self, nm_id: int) -> int:
        number = (nm_id - self._first_nm_id) // _NM_IDS_PER_PRODUCT
        known = 0 <= number < len(self._changed_at_us) and number not in self._trashed
        if not known or self._nm_id(number) != nm_id:
            raise NoSuchItem(f"The shop has no product {nm_id}.")
        return number

    def _place(self, number: int) -> tuple[int, int]:
        return self._changed_at_us[number], self._nm_id(number)

    def _insert(self, number: int) -> None:
        self._by_change.insert(bisect_left(self._by_change, self._place(number), key=self._place), number)

    def _remove(self, number: int) -> None:
        del self._by_change[bisect_left(self._by_change, self._place(number), key=self._place)]


def _first_changed_at_us(number: int) -> int:
    """When a card of the opening assortment changed. Some changed together: now and then eight, and 300 of every 1,200 in one bulk edit."""
    if number % 1200 >= 900:
        number -= number % 300
    elif number // 8 % 5 == 0:
        number -= number % 8
    return _FIRST_CHANGE_AT_US + number * _CARD_INTERVAL_US


def _mix(value: int) -> int:
    """64 well-mixed bits of a number: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _MASK
    return value ^ value >> 31


def _draw(dice: int, choices: Sequence[Choice]) -> tuple[int, Choice]:
    """One of the choices, and the dice that are left for the next draw."""
    dice, index = divmod(dice, len(choices))
    return dice, choices[index]


def _article(style: int, kind: str, colour: str, number: int) -> str:
    """Each seller has a style, and none is made for machines."""
    match style:
        case 0:
            return f"{kind}-{colour}-{number:05d}"
        case 1:
            return f"{number}/{kind.lower()}_{colour.lower()}"
        case _:
            return f"Арт.{kind} {colour} №{number}"


def _barcodes(chrt_id: int) -> tuple[str, ...]:
    """EAN-13 codes from the range for use inside a shop; every ninth size has two."""
    prefixes = ("20", "29") if chrt_id % 9 == 0 else ("20",)
    return tuple(_ean13(f"{prefix}{chrt_id % 10**10:010d}") for prefix in prefixes)


def _ean13(digits: str) -> str:
    """The twelve digits and their check digit (GS1 General Specifications, "Check digit calculations")."""
    weighted = sum(map(int, digits[::2])) + 3 * sum(map(int, digits[1::2]))
    return f"{digits}{-weighted % 10}"


def _seller(seller_id: UUID, dice: int, trade_mark: str) -> Seller:
    surname = SURNAMES[dice % len(SURNAMES)]
    first, second = INITIALS[(dice >> 8) % len(INITIALS)], INITIALS[(dice >> 16) % len(INITIALS)]
    # No region has the number 00, so this is nobody's.
    tin = f"00{(dice >> 24) % 10**10:010d}"
    return Seller(seller_id, f"ИП {surname} {first}. {second}.", tin, trade_mark)


def _warehouses(dice: int) -> tuple[Warehouse, ...]:
    first = (dice >> 32) % len(SELLER_WAREHOUSES)
    chosen = [SELLER_WAREHOUSES[(first + k) % len(SELLER_WAREHOUSES)] for k in range(1 + (dice >> 40) % 2)]
    return tuple(Warehouse(501_001 + (dice >> 44) % 90_000 * 10 + k, name, region) for k, (name, region) in enumerate(chosen))


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
