"""A seller's shop as Ozon sees it: there are no sizes, so each size of a product is a product of its own, with its own ids.

`product_id` and `sku` follow from the size's number in ranges that never meet, so that who takes one for the other finds nothing.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from app.sandbox.dice import mix
from app.sandbox.goods import Price, Product, Size
from app.sandbox.orders import NoSuchItem
from app.sandbox.ozon.storage import OZON_WAREHOUSES, OzonWarehouse, seller_warehouse_id
from app.sandbox.shop import Shop, StockRow

_PRODUCT_IDS_BELOW_SIZES = 2_000_000_000
_SKUS_BELOW_SIZES = 600_000_000

Visibility = Literal[
    "ALL",
    "VISIBLE",
    "INVISIBLE",
    "EMPTY_STOCK",
    "NOT_MODERATED",
    "MODERATED",
    "DISABLED",
    "STATE_FAILED",
    "READY_TO_SUPPLY",
    "VALIDATION_STATE_PENDING",
    "VALIDATION_STATE_FAIL",
    "VALIDATION_STATE_SUCCESS",
    "TO_SUPPLY",
    "IN_SALE",
    "REMOVED_FROM_SALE",
    "BANNED",
    "OVERPRICED",
    "CRITICALLY_OVERPRICED",
    "EMPTY_BARCODE",
    "BARCODE_EXISTS",
    "QUARANTINE",
    "ARCHIVED",
    "OVERPRICED_WITH_STOCK",
    "PARTIAL_APPROVED",
    "AUTO_ARCHIVED",
    "MANUAL_ARCHIVED",
    "SEASONAL_AUTO_ARCHIVED",
    "VISIBLE_WITH_FBO_STOCK",
    "SHOWCASE_SELECT_ACTIVE",
]
_NOT_ARCHIVED = ("ALL", "MODERATED", "READY_TO_SUPPLY", "VALIDATION_STATE_SUCCESS")
_WITH_STOCK = ("VISIBLE", "IN_SALE")
_WITHOUT_STOCK = ("INVISIBLE", "EMPTY_STOCK", "TO_SUPPLY")

_StockOfShop: TypeAlias = Callable[[datetime, Sequence[int]], Iterable[StockRow]]


class Offer(msgspec.Struct, frozen=True, gc=False):
    """A product as Ozon knows it; `chrt_id` is the size that it is in the shop."""

    chrt_id: int
    product_id: int
    sku: int
    offer_id: str
    name: str
    size: Size
    product: Product
    price: Price
    archived: bool
    archived_by_ozon: bool


class FboStock(NamedTuple):
    """Units in a warehouse of Ozon. `present` includes `reserved`."""

    warehouse: OzonWarehouse
    present: int
    reserved: int


class FbsStock(NamedTuple):
    """The same in a warehouse of the seller, by the id that Ozon gives it."""

    warehouse_id: int
    warehouse_name: str
    present: int
    reserved: int


def product_id_of(chrt_id: int) -> int:
    return chrt_id - _PRODUCT_IDS_BELOW_SIZES


def chrt_id_of(product_id: int) -> int:
    return product_id + _PRODUCT_IDS_BELOW_SIZES


def sku_of(chrt_id: int) -> int:
    return chrt_id - _SKUS_BELOW_SIZES


class Catalogue:
    """One shop's products for Ozon, and which of them are archived: some from the start, those in the shop's trash, and by hand.

    What is archived is not in stock. `version` is another one after every change.
    """

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self._archived_by_hand: dict[int, bool] = {}
        self._changes = 0
        self._listed: dict[tuple[Visibility, object], array[int]] = {}
        self._by_offer_id: tuple[int, dict[str, int]] = (0, {})

    @property
    def version(self) -> tuple[int, int]:
        return self.shop.version, self._changes

    # Which there are

    def chrt_ids(self, visibility: Visibility, now: datetime) -> Sequence[int]:
        """In the order of their product ids."""
        moment = (*self.version, 0 if visibility in _NOT_ARCHIVED or "ARCHIVED" in visibility else self.shop.stock_step(now))
        listed = self._listed.get((visibility, moment))
        if listed is None:
            # The lists of the past are asked for no more.
            self._listed = {key: value for key, value in self._listed.items() if key[1] == moment}
            listed = self._listed[visibility, moment] = array("q", self._chosen(visibility, now))
        return listed

    def of_product_ids(self, product_ids: Iterable[int]) -> list[int]:
        return self._known(map(chrt_id_of, product_ids))

    def of_skus(self, skus: Iterable[int]) -> list[int]:
        return self._known(sku + _SKUS_BELOW_SIZES for sku in skus)

    def of_offer_ids(self, offer_ids: Iterable[str]) -> list[int]:
        made, by_offer_id = self._by_offer_id
        if made != self._products:
            by_offer_id = {_offer_id(product, size): size.chrt_id for product in self._all() for size in product.sizes}
            self._by_offer_id = (self._products, by_offer_id)
        return self._known(by_offer_id[offer_id] for offer_id in offer_ids if offer_id in by_offer_id)

    def is_archived(self, chrt_id: int) -> bool:
        number = self.shop.goods.number_of_size(chrt_id)
        if number is None or not self.shop.is_active(number):
            return True
        return self._archived_by_hand.get(chrt_id, self._dice(chrt_id) % 12 == 0)

    def describe(self, chrt_ids: Iterable[int]) -> Iterator[Offer]:
        product: Product | None = None
        sizes: dict[int, Size] = {}
        for chrt_id in chrt_ids:
            number = self._number(chrt_id)
            if product is None or chrt_id not in sizes:
                product = self.shop.numbered(number)
                sizes = {size.chrt_id: size for size in product.sizes}
            size, archived = sizes[chrt_id], self.is_archived(chrt_id)
            yield Offer(
                chrt_id=chrt_id,
                product_id=product_id_of(chrt_id),
                sku=sku_of(chrt_id),
                offer_id=_offer_id(product, size),
                name=product.title if size.name == "0" else f"{product.title}, {size.name}",
                size=size,
                product=product,
                price=self.shop.present_price(number),
                archived=archived,
                archived_by_ozon=archived and self._by_ozon(chrt_id),
            )

    # What lies where

    def fbo(self, chrt_ids: Iterable[int], now: datetime) -> dict[int, list[FboStock]]:
        """What of these lies with Ozon; without those of which there is nothing."""
        return {row.chrt_id: self._spread(row) for row in self._rows(self.shop.marketplace_stock, chrt_ids, now) if row.quantity}

    def fbs(self, chrt_ids: Iterable[int], now: datetime) -> dict[int, list[FbsStock]]:
        """What of these lies with the seller; without those of which there is nothing."""
        stocks: dict[int, list[FbsStock]] = {}
        for row in self._rows(self.shop.seller_stock, chrt_ids, now):
            stocks.setdefault(row.chrt_id, []).append(self.fbs_stock(row.chrt_id, row.warehouse_id, row.quantity))
        return stocks

    def fbs_stock(self, chrt_id: int, warehouse_id: int, free: int) -> FbsStock:
        """So many units for sale, and those that buyers have ordered on top."""
        reserved = mix(self.shop.goods.seed ^ chrt_id ^ warehouse_id << 33) % 4 // 2
        return FbsStock(seller_warehouse_id(warehouse_id), self.shop.warehouse(warehouse_id).name, free + reserved, reserved)

    # What the seller does

    def archive(self, product_id: int, *, archived: bool, now: datetime) -> None:
        """Take a product into the archive, or out of it, and out of the shop's trash with that."""
        chrt_id = self._one(product_id)
        nm_id = self.shop.goods.nm_id(self._number(chrt_id))
        if not archived and not self.shop.is_active(self._number(chrt_id)):
            self.shop.restore(nm_id, now)
        self._archived_by_hand[chrt_id] = archived
        self._changes += 1

    def nm_id(self, product_id: int) -> int:
        """The card in the shop that this is a size of."""
        return self.shop.goods.nm_id(self._number(self._one(product_id)))

    def _one(self, product_id: int) -> int:
        """
        Raises:
            NoSuchItem: the shop has no such product.
        """
        chrt_ids = self.of_product_ids([product_id])
        if not chrt_ids:
            raise NoSuchItem(f"The shop has no product {product_id}.")
        return chrt_ids[0]

    # Numbers

    @property
    def _products(self) -> int:
        """In the trash or not."""
        return len(self.shop) + len(self.shop.numbers(trashed=True))

    def _all(self) -> Iterator[Product]:
        return map(self.shop.numbered, range(self._products))

    def _number(self, chrt_id: int) -> int:
        number = self.shop.goods.number_of_size(chrt_id)
        if number is None:
            raise NoSuchItem(f"The shop has no size {chrt_id}.")
        return number

    def _known(self, chrt_ids: Iterable[int]) -> list[int]:
        """Those that exist, each once, in their order."""
        products, number_of_size = self._products, self.shop.goods.number_of_size
        return sorted({chrt_id for chrt_id in chrt_ids if (number := number_of_size(chrt_id)) is not None and number < products})

    def _chosen(self, visibility: Visibility, now: datetime) -> Iterable[int]:
        sizes = (chrt_id for number in range(self._products) for chrt_id in self.shop.goods.chrt_ids(number))
        match visibility:
            case "ARCHIVED":
                return filter(self.is_archived, sizes)
            case "AUTO_ARCHIVED":
                return (chrt_id for chrt_id in sizes if self.is_archived(chrt_id) and self._by_ozon(chrt_id))
            case "MANUAL_ARCHIVED":
                return (chrt_id for chrt_id in sizes if self.is_archived(chrt_id) and not self._by_ozon(chrt_id))
            case _ if visibility in _NOT_ARCHIVED:
                return (chrt_id for chrt_id in sizes if not self.is_archived(chrt_id))
            case _ if visibility in (*_WITH_STOCK, *_WITHOUT_STOCK, "VISIBLE_WITH_FBO_STOCK"):
                active = self.chrt_ids("ALL", now)
                stocked: set[int] = set(self.fbo(active, now))
                if visibility != "VISIBLE_WITH_FBO_STOCK":
                    stocked |= self.fbs(active, now).keys()
                return (chrt_id for chrt_id in active if (chrt_id in stocked) is (visibility not in _WITHOUT_STOCK))
            case _:
                # Nothing is wrong with the sandbox's goods.
                return ()

    def _rows(self, stock: _StockOfShop, chrt_ids: Iterable[int], now: datetime) -> Iterator[StockRow]:
        wanted = {chrt_id for chrt_id in chrt_ids if not self.is_archived(chrt_id)}
        if not wanted:
            return iter(())
        nm_ids = {self.shop.goods.nm_id(self._number(chrt_id)) for chrt_id in wanted}
        return (row for row in stock(now, list(nm_ids)) if row.chrt_id in wanted)

    def _spread(self, row: StockRow) -> list[FboStock]:
        """Over one to three warehouses; the first has what is left over, and what buyers have ordered."""
        dice = self._dice(row.chrt_id) >> 16
        count = min(1 + dice % 3, row.quantity)
        first = (dice >> 8) % len(OZON_WAREHOUSES)
        warehouses = [OZON_WAREHOUSES[(first + turn * 3) % len(OZON_WAREHOUSES)] for turn in range(count)]
        share, rest = divmod(row.quantity, count)
        reserved = row.in_way_to_client % 4
        return [
            FboStock(warehouse, share + rest + reserved, reserved) if turn == 0 else FboStock(warehouse, share, 0)
            for turn, warehouse in enumerate(warehouses)
        ]

    def _dice(self, chrt_id: int) -> int:
        return mix(self.shop.goods.seed ^ chrt_id << 5)

    def _by_ozon(self, chrt_id: int) -> bool:
        return chrt_id not in self._archived_by_hand and bool(self._dice(chrt_id) >> 32 & 1)


def _offer_id(product: Product, size: Size) -> str:
    return product.article if size.name == "0" else f"{product.article}-{size.name}"
