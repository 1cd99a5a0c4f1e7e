"""Products as the API tells them."""

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from app.marketplaces.contract import Fulfilment, Marketplace

Sort = Literal["title", "-title", "stock", "-stock", "updated_at", "-updated_at"]


# Not kw_only: a list makes a hundred of them out of rows, in the order of app.products.service.COLUMNS, and by name that takes 16 times as long.
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


class ShelfOut(msgspec.Struct, frozen=True, kw_only=True):
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


class ProductDetailOut(ProductOut, frozen=True, kw_only=True):
    """A product with its stock by warehouse and size, fullest shelf first."""

    stocks: list[ShelfOut]


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
