"""The messages of Ozon, field by field, as far as we use them.

Decoding is lenient: fields that we don't know are skipped, all may be absent or null but ids and the list that a message is about, and numbers may come as text
(64-bit ones often do). So decoders are made with `strict=False`.
Source: docs.ozon.ru/api/seller, as of 2026-10-01; /v1/warehouse/ozon/list as of 2026-04-16.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

import msgspec

Item = TypeVar("Item")

Id = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
# 0 stands for "none yet" where an id is to come.
IdOrZero = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Units = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Listed(msgspec.Struct, Generic[Item], kw_only=True):
    """A page of a list: each method has its own name for the items, and some for the cursor. `has_next` is None where the method doesn't tell."""

    items: list[Item]
    cursor: str | None = None
    has_next: bool | None = None


class Role(msgspec.Struct):
    """`methods` are paths, or beginnings of paths."""

    name: str | None = None
    methods: list[str] | None = None


class RolesAnswer(msgspec.Struct):
    """POST /v1/roles. `expires_at` is there since 2026-02-20."""

    roles: list[Role]
    expires_at: datetime | None = None


class VisibilityFilter(msgspec.Struct):
    """`ALL` is all but the archived ones, which are `ARCHIVED`."""

    visibility: str


class ProductListQuestion(msgspec.Struct):
    """POST /v3/product/list"""

    filter: VisibilityFilter
    last_id: str
    limit: int


class ListedProduct(msgspec.Struct, gc=False):
    product_id: Id


class ProductListResult(Listed[Item], Generic[Item], kw_only=True):
    cursor: str | None = msgspec.field(name="last_id", default=None)


class ProductListAnswer(msgspec.Struct, Generic[Item]):
    result: ProductListResult[Item]


class ProductInfoQuestion(msgspec.Struct):
    """POST /v3/product/info/list. Ids go as text."""

    product_id: list[str]


class ProductInfo(msgspec.Struct, gc=False):
    """`sku` is 0 until Ozon has made one."""

    id: Id
    offer_id: str | None = None
    sku: IdOrZero | None = None
    name: str | None = None
    barcodes: list[str] | None = None
    images: list[str] | None = None
    primary_image: list[str] | str | None = None
    is_archived: bool | None = None
    is_autoarchived: bool | None = None


class PricesQuestion(msgspec.Struct):
    """POST /v5/product/info/prices"""

    filter: VisibilityFilter
    cursor: str
    limit: int


class PriceInfo(msgspec.Struct, gc=False):
    """In units of the currency. `old_price` is shown crossed out, `marketing_seller_price` is after the seller's own promotions; 0 where there is none."""

    price: Decimal | None = None
    old_price: Decimal | None = None
    marketing_seller_price: Decimal | None = None
    currency_code: str | None = None


class PricedProduct(msgspec.Struct, gc=False):
    product_id: Id
    price: PriceInfo | None = None


class FboStocksQuestion(msgspec.Struct):
    """POST /v1/product/info/stocks-by-warehouse/fbo. SKUs go as text."""

    skus: list[str]
    cursor: str
    limit: int


class FbsStocksQuestion(msgspec.Struct):
    """POST /v2/product/info/stocks-by-warehouse/fbs. The same list as above under another name."""

    sku: list[str]
    cursor: str
    limit: int


class StockRow(msgspec.Struct, gc=False):
    """One product in one warehouse. `free_stock` and `warehouse_name` are told of the seller's warehouses only."""

    sku: Id
    warehouse_id: IdOrZero
    present: Units
    reserved: Units | None = None
    free_stock: Units | None = None
    product_id: IdOrZero | None = None
    warehouse_name: str | None = None


class StockRows(Listed[Item], Generic[Item], kw_only=True):
    items: list[Item] = msgspec.field(name="products")


class WarehousesQuestion(msgspec.Struct):
    """POST /v1/warehouse/ozon/list"""

    warehouse_types: list[str]


class OzonWarehouse(msgspec.Struct, gc=False):
    warehouse_id: Id
    name: str | None = None


class OzonWarehouses(Listed[Item], Generic[Item], kw_only=True):
    items: list[Item] = msgspec.field(name="warehouses")


class Period(msgspec.Struct):
    from_: datetime = msgspec.field(name="from")
    to: datetime


class PostingFilter(msgspec.Struct, omit_defaults=True):
    """At most a year. Only FBS can be asked by the time of the last change."""

    since: datetime
    to: datetime
    last_changed_status_date: Period | None = None


class PostingWith(msgspec.Struct):
    """Which parts are wanted: the city stands in one, the region in the other."""

    analytics_data: bool = True
    financial_data: bool = True


class PostingsQuestion(msgspec.Struct):
    """POST /v4/posting/fbs/list and /v3/posting/fbo/list"""

    filter: PostingFilter
    limit: int
    cursor: str
    sort_dir: str = "ASC"
    with_: PostingWith = msgspec.field(name="with", default_factory=PostingWith)


class Money(msgspec.Struct, gc=False):
    amount: Decimal | None = None
    currency: str | None = None


class PostedProduct(msgspec.Struct, gc=False):
    """The price is for one unit."""

    sku: Id
    quantity: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    offer_id: str | None = None
    price: Money | None = None


class DeliveryMethod(msgspec.Struct, gc=False):
    warehouse: str | None = None


class AnalyticsData(msgspec.Struct, gc=False):
    """The name of the warehouse is `warehouse` in FBS and `warehouse_name` in FBO."""

    city: str | None = None
    region: str | None = None
    warehouse: str | None = None
    warehouse_name: str | None = None


class FinancialData(msgspec.Struct, gc=False):
    """Where to, as regions. Its products are not used: their `product_id` is a SKU."""

    cluster_to: str | None = None


class Posting(msgspec.Struct, gc=False):
    """A parcel of an order. `created_at` is told of FBO only."""

    posting_number: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    status: str
    products: list[PostedProduct]
    order_number: str | None = None
    in_process_at: datetime | None = None
    created_at: datetime | None = None
    delivery_method: DeliveryMethod | None = None
    analytics_data: AnalyticsData | None = None
    financial_data: FinancialData | None = None


class Postings(Listed[Item], Generic[Item], kw_only=True):
    items: list[Item] = msgspec.field(name="postings")


class ProductId(msgspec.Struct):
    """What a malformed product or price is told by, whatever it is."""

    value: Any = msgspec.field(name="product_id", default=None)


class InfoId(msgspec.Struct):
    """The same in /v3/product/info/list."""

    value: Any = msgspec.field(name="id", default=None)


class Sku(msgspec.Struct):
    value: Any = msgspec.field(name="sku", default=None)


class WarehouseId(msgspec.Struct):
    value: Any = msgspec.field(name="warehouse_id", default=None)


class PostingNumber(msgspec.Struct):
    value: Any = msgspec.field(name="posting_number", default=None)
