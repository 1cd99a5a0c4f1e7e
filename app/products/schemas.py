"""Products as they cross the wire."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.api.structs import In, Out
from app.marketplaces.contract import Fulfilment, Marketplace

Sort = Literal["title", "-title", "stock", "-stock", "updated_at", "-updated_at"]


# None of these three is kw_only: a list makes a hundred of them out of rows, in the order of the columns in app.products.service, and by name that takes 16 times
# as long.
class ProductOut(msgspec.Struct, frozen=True):
    """A product. Prices are decimal strings in `currency`; `stock_total` counts units that a buyer could order now, in all warehouses.

    Prices and `days_of_cover` are null while nothing is known of them.
    """

    id: UUID
    marketplace: Marketplace
    external_id: str
    article: str
    title: str
    brand: str
    category: str
    barcodes: list[str]
    image_url: str | None
    price: Decimal | None
    discounted_price: Decimal | None
    currency: str | None
    stock_total: int
    days_of_cover: float | None
    archived: bool
    updated_at: datetime


class ShelfOut(msgspec.Struct, frozen=True, gc=False):
    """Units of one size of the product in one warehouse. `size` is empty where the product has but one."""

    fulfilment: Fulfilment
    warehouse_id: str
    warehouse: str
    size_id: str
    size: str
    quantity: int
    in_way_to_client: int
    in_way_from_client: int
    changed_at: datetime


class ProductDetailOut(ProductOut, frozen=True):
    """A product with the seller's own settings, which no sync changes, and with its stock by warehouse and size, fullest shelf first.

    Where `low_stock_threshold` is null, the tenant's applies.
    """

    low_stock_threshold: int | None
    lead_time_days: int | None
    stocks: list[ShelfOut]


class ProductPatch(In, frozen=True, kw_only=True):
    """The seller's own settings of a product. What is left out stays as it is; null takes a setting back. The threshold is in units: at or below it a
    product is low in stock."""

    EXAMPLE: ClassVar[dict[str, object]] = {"low_stock_threshold": 20, "lead_time_days": 14}

    low_stock_threshold: Annotated[int, Meta(ge=0, le=1_000_000)] | UnsetType | None = UNSET
    lead_time_days: Annotated[int, Meta(ge=0, le=365)] | UnsetType | None = UNSET


class ChangeOut(Out, frozen=True):
    """What became of a product, and the product as it is now. `added`: it may be new to whoever holds the cursor."""

    change: Literal["added", "updated", "archived"]
    product: ProductDetailOut


class ChangesOut(Out, frozen=True):
    """Changes in the order in which they happened. `next_cursor` is always there, to be kept and sent next time; `more`: ask again at once."""

    items: list[ChangeOut]
    next_cursor: str
    more: bool


class ProductQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to list. `q` looks in title, article and barcodes; `archived` left out gives the active ones."""

    marketplace: Marketplace | None = None
    q: str | None = None
    brand: str | None = None
    archived: bool = False
    low_stock: bool | None = None
    updated_since: datetime | None = None
    sort: Sort | None = None
    limit: int = 100
    cursor: str | None = None
