"""The messages of Wildberries, field by field, as far as we use them.

Decoding is lenient where their description is: fields that we don't know are skipped, most may be absent, and texts and lists may be null.
Ids must be there. The spelling differs between their services (`nmID` in Content, `nmId` in Analytics), so every name is given.
Source: dev.wildberries.ru, "Product management", "Analytics" and "Reports", as of 2026-10-24.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

# They are unsigned 64-bit numbers by the description; beyond the signed ones it can't be one.
Id = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
WarehouseId = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Units = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Ping(msgspec.Struct):
    """GET /ping"""

    status: Literal["OK"] = msgspec.field(name="Status")


class NmID(msgspec.Struct):
    """What a malformed item of Content or Prices is told by, whatever it is."""

    value: Any = msgspec.field(name="nmID", default=None)


class NmId(msgspec.Struct):
    """The same as Analytics spells it."""

    value: Any = msgspec.field(name="nmId", default=None)


class Srid(msgspec.Struct):
    """What a malformed order is told by."""

    value: Any = msgspec.field(name="srid", default=None)


class CardsCursor(msgspec.Struct, omit_defaults=True):
    """Behind which card to go on; without one, from the first."""

    limit: int | None = None
    updated_at: str | None = msgspec.field(name="updatedAt", default=None)
    nm_id: Id | None = msgspec.field(name="nmID", default=None)


class CardsSort(msgspec.Struct):
    ascending: bool


class CardsFilter(msgspec.Struct):
    """`withPhoto` -1 is all cards, today as before 2026-06-16, when 0 meant those without photos."""

    with_photo: int = msgspec.field(name="withPhoto")


class CardsSettings(msgspec.Struct):
    sort: CardsSort
    filter: CardsFilter
    cursor: CardsCursor


class CardsQuestion(msgspec.Struct):
    """POST /content/v2/get/cards/list"""

    settings: CardsSettings


class CardSize(msgspec.Struct, gc=False):
    """`techSize` is "0" where a product has no sizes. `skus` are barcodes."""

    chrt_id: Id = msgspec.field(name="chrtID")
    tech_size: str | None = msgspec.field(name="techSize", default=None)
    skus: list[str] | None = None


class CardPhoto(msgspec.Struct, gc=False):
    """The same picture in several sizes."""

    c516x688: str | None = None
    big: str | None = None


class Card(msgspec.Struct, gc=False):
    """A product."""

    nm_id: Id = msgspec.field(name="nmID")
    vendor_code: str | None = msgspec.field(name="vendorCode", default=None)
    title: str | None = None
    brand: str | None = None
    subject_name: str | None = msgspec.field(name="subjectName", default=None)
    photos: list[CardPhoto] | None = None
    sizes: list[CardSize] | None = None


class CardsAnswerCursor(msgspec.Struct):
    """`total` is the number of cards in this answer, not in the shop."""

    total: int
    updated_at: str | None = msgspec.field(name="updatedAt", default=None)
    nm_id: int | None = msgspec.field(name="nmID", default=None)


class CardsAnswer(msgspec.Struct):
    cards: list[Card] | None
    cursor: CardsAnswerCursor


class RawCardsAnswer(msgspec.Struct):
    """The same with the cards left undecoded, for a page of which one is malformed."""

    cards: list[msgspec.Raw] | None
    cursor: CardsAnswerCursor


class TrashCursor(msgspec.Struct, omit_defaults=True):
    """Behind which card in the trash to go on; without one, from the first."""

    limit: int | None = None
    trashed_at: str | None = msgspec.field(name="trashedAt", default=None)
    nm_id: Id | None = msgspec.field(name="nmID", default=None)


class TrashSettings(msgspec.Struct):
    sort: CardsSort
    cursor: TrashCursor


class TrashQuestion(msgspec.Struct):
    """POST /content/v2/get/cards/trash"""

    settings: TrashSettings


class TrashedCard(msgspec.Struct, gc=False):
    """All that matters of a card that was thrown away."""

    nm_id: Id = msgspec.field(name="nmID")


class TrashAnswerCursor(msgspec.Struct):
    """`total` is the number of cards in this answer."""

    total: int
    trashed_at: str | None = msgspec.field(name="trashedAt", default=None)
    nm_id: int | None = msgspec.field(name="nmID", default=None)


class TrashAnswer(msgspec.Struct):
    cards: list[msgspec.Raw] | None
    cursor: TrashAnswerCursor


class GoodsSize(msgspec.Struct, gc=False):
    """What one size costs, in units of the currency, before and after the seller's discount."""

    price: Decimal | None = None
    discounted_price: Decimal | None = msgspec.field(name="discountedPrice", default=None)


class Goods(msgspec.Struct, gc=False):
    """The prices of a product."""

    nm_id: Id = msgspec.field(name="nmID")
    sizes: list[GoodsSize] | None = None
    currency: str | None = msgspec.field(name="currencyIsoCode4217", default=None)


class GoodsData(msgspec.Struct):
    list_goods: list[msgspec.Raw] | None = msgspec.field(name="listGoods")


class GoodsAnswer(msgspec.Struct):
    """GET /api/v2/list/goods/filter"""

    data: GoodsData


class StockQuestion(msgspec.Struct):
    """POST /api/analytics/v1/stocks-report/{wb,seller}-warehouses. An empty `nmIds` is all products."""

    limit: int
    offset: int
    nm_ids: list[int] = msgspec.field(name="nmIds", default_factory=list[int])


class StockRow(msgspec.Struct, gc=False):
    """One size in one warehouse. `quantity` is what buyers can order; the seller's warehouses have nothing under way.

    Wildberries hides its own warehouses behind one (-999999) since 2026-08-15; the names will come back.
    """

    nm_id: Id = msgspec.field(name="nmId")
    chrt_id: Id = msgspec.field(name="chrtId")
    warehouse_id: WarehouseId = msgspec.field(name="warehouseId")
    quantity: Units
    warehouse_name: str | None = msgspec.field(name="warehouseName", default=None)
    in_way_to_client: Units | None = msgspec.field(name="inWayToClient", default=None)
    in_way_from_client: Units | None = msgspec.field(name="inWayFromClient", default=None)


class StockData(msgspec.Struct):
    items: list[StockRow] | None


class StockReport(msgspec.Struct):
    """The answer without its rows, which are read in slices (rows.py)."""

    data: StockData


class RemainsTask(msgspec.Struct):
    task_id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = msgspec.field(name="taskId")


class RemainsCreated(msgspec.Struct):
    """GET /api/v1/warehouse_remains"""

    data: RemainsTask


class RemainsState(msgspec.Struct):
    """One of new, processing, done, purged and canceled, as far as is documented."""

    status: str


class RemainsStatus(msgspec.Struct):
    """GET /api/v1/warehouse_remains/tasks/{task_id}/status"""

    data: RemainsState


class RemainsWarehouse(msgspec.Struct, gc=False):
    """Units in a warehouse, or, under names of their own, on their way or in all."""

    name: str = msgspec.field(name="warehouseName")
    quantity: Units


class RemainsRow(msgspec.Struct, gc=False):
    """GET /api/v1/warehouse_remains/tasks/{task_id}/download: one barcode of a product."""

    nm_id: Id = msgspec.field(name="nmId")
    barcode: str | None = None
    tech_size: str | None = msgspec.field(name="techSize", default=None)
    warehouses: list[RemainsWarehouse] | None = None


class Warehouse(msgspec.Struct, gc=False):
    """GET /api/v3/warehouses: one of the seller's."""

    id: WarehouseId
    name: str | None = None
    is_deleting: bool = msgspec.field(name="isDeleting", default=False)


class WarehouseStocksQuestion(msgspec.Struct):
    """POST /api/v3/stocks/{warehouseId}"""

    chrt_ids: list[int] = msgspec.field(name="chrtIds")


class WarehouseStock(msgspec.Struct, gc=False):
    chrt_id: Id = msgspec.field(name="chrtId")
    amount: Units


class ChrtId(msgspec.Struct):
    """What a malformed amount is told by."""

    value: Any = msgspec.field(name="chrtId", default=None)


class WarehouseStocksAnswer(msgspec.Struct):
    """Sizes of which there is nothing are left out."""

    stocks: list[msgspec.Raw] | None


class FeedPeriod(msgspec.Struct):
    """By the time at which the orders got their present status; not longer than 31 days ago."""

    start: datetime


class FeedPagination(msgspec.Struct, omit_defaults=True):
    """`snapshotTime` is what the first answer of a walk told; all later questions repeat it."""

    limit: int
    offset: int = 0
    snapshot_time: str | None = msgspec.field(name="snapshotTime", default=None)


class FeedQuestion(msgspec.Struct):
    """POST /api/analytics/v1/order-feed"""

    selected_period: FeedPeriod = msgspec.field(name="selectedPeriod")
    pagination: FeedPagination


class FeedOrder(msgspec.Struct, gc=False):
    """One unit that somebody ordered."""

    srid: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    nm_id: Id = msgspec.field(name="nmId")
    status: str
    created_at: datetime = msgspec.field(name="createdAt")
    updated_at: datetime | None = msgspec.field(name="updatedAt", default=None)
    chrt_id: Id | None = msgspec.field(name="chrtId", default=None)
    warehouse_name: str | None = msgspec.field(name="warehouseName", default=None)
    is_mp: bool = msgspec.field(name="isMp", default=False)
    destination_city: str | None = msgspec.field(name="destinationCity", default=None)
    destination_district: str | None = msgspec.field(name="destinationDistrict", default=None)
    seller_price: Decimal | None = msgspec.field(name="sellerPrice", default=None)


class FeedData(msgspec.Struct):
    snapshot_time: str = msgspec.field(name="snapshotTime")
    currency: str
    orders: list[msgspec.Raw] | None


class FeedAnswer(msgspec.Struct):
    data: FeedData


class SupplierRow(msgspec.Struct, gc=False):
    """GET /api/v1/supplier/orders and /sales: an order, or its sale or return, which has a `saleID`.

    Times are Moscow's and don't say so.
    """

    srid: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    nm_id: Id = msgspec.field(name="nmId")
    date: datetime
    last_change_date: datetime = msgspec.field(name="lastChangeDate")
    warehouse_name: str | None = msgspec.field(name="warehouseName", default=None)
    warehouse_type: str | None = msgspec.field(name="warehouseType", default=None)
    region_name: str | None = msgspec.field(name="regionName", default=None)
    supplier_article: str | None = msgspec.field(name="supplierArticle", default=None)
    price_with_discount: Decimal | None = msgspec.field(name="priceWithDisc", default=None)
    g_number: str | None = msgspec.field(name="gNumber", default=None)


class SupplierOrder(SupplierRow, gc=False):
    is_cancel: bool = msgspec.field(name="isCancel", default=False)


class SupplierSale(SupplierRow, gc=False):
    """`saleID` begins with S for a sale and R for a return."""

    sale_id: Annotated[str, msgspec.Meta(min_length=1)] = msgspec.field(name="saleID", default="")
