"""Orders as the API tells them."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from app.marketplaces.contract import Fulfilment, Marketplace, OrderStatus


# Not kw_only, likewise the order: a list makes them out of rows, in the order of app.orders.service.LINES and COLUMNS.
class OrderLineOut(msgspec.Struct, frozen=True):
    """Units of one product. `product_id` and `title` are null while the catalogue doesn't show the product; `price` is for one unit, after the seller's
    discount, in the order's currency, and null where the marketplace doesn't tell."""

    product_id: UUID | None
    product_external_id: str | None
    size_id: str | None
    article: str
    title: str | None
    quantity: int
    price: Decimal | None


class OrderOut(msgspec.Struct, frozen=True):
    """An order as its marketplace counts it: one unit at Wildberries, a posting at Ozon. `number` is shared by what a buyer ordered at once.

    `marketplace_status` is the marketplace's own word, of which `status` is what both have in common; `changed_at` is when the marketplace last changed it,
    if it says so; `destination` is the city or region.
    """

    id: UUID
    marketplace: Marketplace
    external_id: str
    number: str
    status: OrderStatus
    marketplace_status: str
    fulfilment: Fulfilment
    warehouse: str
    destination: str
    currency: str
    ordered_at: datetime
    changed_at: datetime | None
    updated_at: datetime
    lines: list[OrderLineOut]


class OrderQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to list, by the time of the order: from `since` on, and before `until`."""

    marketplace: Marketplace | None = None
    status: OrderStatus | None = None
    since: datetime | None = None
    until: datetime | None = None
    product_id: UUID | None = None
    limit: int = 100
    cursor: str | None = None
