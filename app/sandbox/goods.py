"""What a seller offers, as a function of the shop's seed and the product's number: nothing of it is stored."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

import msgspec

from app.sandbox.assortment import BRANDS, COLOURS, INITIALS, KINDS, SELLER_WAREHOUSES, SURNAMES, Kind
from app.sandbox.dice import draw, mix
from app.sandbox.instants import duration_us, instant, microseconds

_FIRST_CHANGE_AT_US = microseconds(datetime(2025, 6, 1, 9, 0, 0, 120_450, UTC))
_CARD_INTERVAL_US = 37_130_450
_LONGEST_UNCHANGED_US = duration_us(timedelta(days=90))
_SIZES_PER_ID_RANGE = 8
_NM_IDS_PER_PRODUCT = 7
_REMEMBERED = 16_384


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


class Price(msgspec.Struct, frozen=True, gc=False):
    """What all sizes of a product cost: whole roubles before any discount, the seller's discount, and what members of the club save on top, both in
    percent."""

    price: int
    discount: int
    club_discount: int = 0

    @property
    def discounted(self) -> Decimal:
        return Decimal(self.price * (100 - self.discount)) / 100

    @property
    def club_discounted(self) -> Decimal:
        return Decimal(self.price * (100 - self.discount) * (100 - self.club_discount)) / 10_000


class Seller(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    tin: str
    trade_mark: str


class Goods:
    """Products are numbered from 0 in the order in which they were made; each number has its ids, its looks and its price."""

    def __init__(self, seed: int) -> None:
        self.seed = mix(seed)
        self._first_nm_id = 120_000_000 + self.seed % 400 * 2_000_000
        # Beyond 31 bits on purpose: Wildberries' ids are 64-bit.
        self._first_chrt_id = 2_200_000_000 + self.seed % 400 * 2_000_000
        # What orders ask for again and again, as some goods sell better than others.
        self.chrt_ids = lru_cache(maxsize=_REMEMBERED)(self._chrt_ids)
        """The ids of a product's sizes, by its number."""
        self.price = lru_cache(maxsize=_REMEMBERED)(self._price)
        """A product's price as the seller set it at first, by its number."""
        self.brands = tuple(BRANDS[(self.seed + k * k * 3) % len(BRANDS)] for k in range(4))

    def nm_id(self, number: int) -> int:
        return self._first_nm_id + number * _NM_IDS_PER_PRODUCT + number // 3 % _NM_IDS_PER_PRODUCT

    def number(self, nm_id: int) -> int | None:
        """The number whose id this is; it may be larger than any that a shop has."""
        number = (nm_id - self._first_nm_id) // _NM_IDS_PER_PRODUCT
        return number if number >= 0 and self.nm_id(number) == nm_id else None

    def _chrt_ids(self, number: int) -> range:
        dice, kind = self._model(number // 3)
        count = 1 + (dice >> 40) % min(4, len(kind.sizes)) if kind.sizes else 1
        first = self._first_chrt_id + number * _SIZES_PER_ID_RANGE
        return range(first, first + count)

    def number_of_size(self, chrt_id: int) -> int | None:
        """The number of the product whose size this is; it may be larger than any that a shop has."""
        number = (chrt_id - self._first_chrt_id) // _SIZES_PER_ID_RANGE
        return number if number >= 0 and chrt_id in self.chrt_ids(number) else None

    def _price(self, number: int) -> Price:
        _, kind = self._model(number // 3)
        dice = mix(self.seed ^ number << 2)
        roubles = 190 + int(kind.weight_kg * 700) + dice % 40 * 25
        return Price(roubles, (dice >> 8) % 13 * 5, (dice >> 16) % 3 * 5)

    def describe(self, number: int, *, title: str | None, added_at_us: int | None, updated_at_us: int) -> Product:
        """The product; `title` and `added_at_us` are None where it is as at the opening."""
        model, colour_of_model = divmod(number, 3)
        dice, kind = self._model(model)
        dice, name = draw(dice, kind.names)
        dice, variant = draw(dice, kind.variants)
        dice, brand = draw(dice, self.brands)
        colour = COLOURS[(dice % len(COLOURS) + colour_of_model * 4) % len(COLOURS)]
        own = mix(self.seed ^ number << 1)
        made_at_us = first_changed_at_us(number) - own % _LONGEST_UNCHANGED_US if added_at_us is None else added_at_us
        return Product(
            nm_id=self.nm_id(number),
            group_id=180_000_000 + self.seed % 400 * 70_000 + model,
            kind=kind,
            article=_article(self.seed % 3, kind.code, colour.code, number + 1),
            brand=brand,
            title=title or f"{name} {variant}, цвет {colour.name}",
            colour=colour.name,
            photos=0 if own % 16 == 0 else 1 + own % 4,
            sizes=self._sizes(number, kind),
            created_at=instant(made_at_us),
            updated_at=instant(updated_at_us),
        )

    def seller(self, seller_id: UUID) -> Seller:
        dice = self.seed
        surname = SURNAMES[dice % len(SURNAMES)]
        first, second = INITIALS[(dice >> 8) % len(INITIALS)], INITIALS[(dice >> 16) % len(INITIALS)]
        # No region has the number 00, so this is nobody's.
        tin = f"00{(dice >> 24) % 10**10:010d}"
        return Seller(seller_id, f"ИП {surname} {first}. {second}.", tin, self.brands[0])

    def warehouses(self) -> tuple[Warehouse, ...]:
        dice = self.seed
        first = (dice >> 32) % len(SELLER_WAREHOUSES)
        chosen = [SELLER_WAREHOUSES[(first + k) % len(SELLER_WAREHOUSES)] for k in range(1 + (dice >> 40) % 2)]
        return tuple(Warehouse(501_001 + (dice >> 44) % 90_000 * 10 + k, name, region) for k, (name, region) in enumerate(chosen))

    def _model(self, model: int) -> tuple[int, Kind]:
        """The dice and the kind of a model; each model comes in three colours, numbered in a row."""
        return draw(mix(self.seed + model), KINDS)

    def _sizes(self, number: int, kind: Kind) -> tuple[Size, ...]:
        chrt_ids = self.chrt_ids(number)
        first = (number + self.seed) % max(1, len(kind.sizes) - len(chrt_ids) + 1)
        names: Sequence[tuple[str, str]] = kind.sizes[first : first + len(chrt_ids)] or (("0", ""),)
        return tuple(Size(chrt_id, name, russian, _barcodes(chrt_id)) for chrt_id, (name, russian) in zip(chrt_ids, names, strict=True))


def first_changed_at_us(number: int) -> int:
    """When a card of the opening assortment changed. Some changed together: now and then eight, and 300 of every 1,200 in one bulk edit."""
    if number % 1200 >= 900:
        number -= number % 300
    elif number // 8 % 5 == 0:
        number -= number % 8
    return _FIRST_CHANGE_AT_US + number * _CARD_INTERVAL_US


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
