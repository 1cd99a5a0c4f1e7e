"""What every marketplace gives, in our words. A client translates its marketplace's language into these."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import msgspec

Item = TypeVar("Item")


class Marketplace(StrEnum):
    """Where a shop is."""

    WILDBERRIES = "wildberries"
    OZON = "ozon"


class Fulfilment(StrEnum):
    """Whose warehouse the units lie in: the marketplace's (FBW, FBO) or the seller's own (FBS)."""

    MARKETPLACE_WAREHOUSE = "marketplace_warehouse"
    SELLER_WAREHOUSE = "seller_warehouse"


class CredentialStatus(StrEnum):
    """What is known of a key. A key that was never tried is `unverified`."""

    UNVERIFIED = "unverified"
    VALID = "valid"
    INVALID = "invalid"
    EXPIRING = "expiring"


# gc=False: these can't be part of a cycle, and a sync makes so many that looking for one costs time. array_like: they are packed for digests, by the
# hundred thousand, and names would be most of what is packed.
class Size(msgspec.Struct, frozen=True, gc=False):
    """A variant of a product that is counted by itself. `id` is the marketplace's; `name` is empty where there is but one size."""

    id: str
    name: str
    barcodes: tuple[str, ...]


class FetchedProduct(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A product as the marketplace describes it. `external_id` is the marketplace's id, unique in the seller's account. `archived`: the
    seller put it away at the marketplace, which still tells of it."""

    external_id: str
    article: str
    title: str
    brand: str
    category: str
    image_url: str | None
    sizes: tuple[Size, ...]
    archived: bool = False


class FetchedPrice(msgspec.Struct, frozen=True, gc=False):
    """What a product costs: `price` before the seller's discount and `discounted_price` after it, in `currency` (ISO 4217). Where sizes differ, the
    cheapest."""

    product_external_id: str
    price: Decimal | None
    discounted_price: Decimal | None
    currency: str


class KnownSize(msgspec.Struct, frozen=True, gc=False):
    """A size that an earlier sync stored. Some reports can be asked for, or understood, only with these."""

    product_external_id: str
    size_id: str
    name: str
    barcodes: tuple[str, ...]


KnownSizes = Callable[[], AsyncIterator[list[KnownSize]]]
"""Walks over all sizes of the account's products that are not archived, some hundreds of products at a time; all sizes of a product come together."""


class FetchedStock(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Units of one size in one warehouse. `quantity` is what a buyer could order now; the other two are under way."""

    product_external_id: str
    size_id: str
    warehouse_id: str
    warehouse: str
    quantity: int
    in_way_to_client: int
    in_way_from_client: int


class OrderStatus(StrEnum):
    """How far an order is, in words that fit both marketplaces. Only the marketplaces' own words, kept beside it, say more."""

    CREATED = "created"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class FetchedOrderLine(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Units of one product in an order. `price` is for one unit, after the seller's discount. At least one of the product's ids is known; `article` is the
    seller's own code, by which a product is found where the marketplace does not name it by its id."""

    product_external_id: str | None
    size_id: str | None
    article: str
    quantity: int
    price: Decimal | None


class FetchedOrder(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An order as the marketplace counts it: one unit at Wildberries (`srid`), a posting at Ozon. `number` is shared by what a buyer ordered at once, if that is known.

    `changed_at` is when the marketplace last changed it, if it says so. `destination` is the city or region.
    """

    external_id: str
    number: str
    status: OrderStatus
    marketplace_status: str
    fulfilment: Fulfilment
    ordered_at: datetime
    changed_at: datetime | None
    warehouse: str
    destination: str
    currency: str
    lines: tuple[FetchedOrderLine, ...]


class Rejected(msgspec.Struct, frozen=True):
    """An item that could not be understood. `reason` says which field and why, without the marketplace's data."""

    external_id: str | None
    reason: str


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """One answer. `cursor` is what to pass as `after` to go on behind this page; it is opaque to everybody but the client.

    `gone` are ids of items that the marketplace says are no longer there, such as cards in the trash. `total` is how many items all pages have
    together, where that is known.
    """

    items: list[Item]
    cursor: bytes
    rejected: tuple[Rejected, ...] = ()
    gone: tuple[str, ...] = ()
    total: int | None = None


class Traffic(msgspec.Struct):
    """What a client has cost so far: requests sent (retries too) and seconds waited for limits and retries."""

    requests: int = 0
    waited_s: float = 0.0


class KeyFacts(msgspec.Struct, frozen=True):
    """What a key says of itself, or the marketplace of it. Empty where the marketplace doesn't tell.

    `scopes` and `missing_scopes` are our stage names (`products`, `stocks`, `prices`, `orders`). More frequent syncs than `least_interval_minutes` would gain
    nothing.
    """

    seller_id: str | None = None
    token_type: str | None = None
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    read_only: bool | None = None
    least_interval_minutes: int | None = None


class MarketplaceClient(Protocol):
    """One seller's account at one marketplace. All methods raise `app.marketplaces.errors`; none knows a tenant or a table."""

    @property
    def marketplace(self) -> Marketplace: ...

    @property
    def traffic(self) -> Traffic: ...

    def read_key(self) -> KeyFacts:
        """What the key says of itself, without asking anybody.

        Raises:
            CredentialsRejected: it says that it is expired, or made for the marketplace's sandbox.
        """
        ...

    async def verify(self) -> KeyFacts:
        """Read the key offline, then ask the marketplace once whether it accepts it.

        Raises:
            CredentialsRejected: it does not, or the key is expired or made for its sandbox.
            MarketplaceDown, RateLimited: it can't be asked now; the key may be fine.
        """
        ...

    @property
    def products_are_incremental(self) -> bool:
        """Whether the cursor of the last page may be kept, to be told next time of nothing but what changed since. Else each walk is over everything,
        and a cursor only serves to go on with the same walk."""
        ...

    def product_pages(self, after: bytes = b"") -> AsyncIterator[Page[FetchedProduct]]:
        """Yield products, and in `gone` those that the seller removed, from behind the cursor of the last page that was stored (empty: from the start)."""
        ...

    def price_pages(self, after: bytes = b"") -> AsyncIterator[Page[FetchedPrice]]:
        """Yield the present prices of all products. A cursor only serves to go on with the same walk."""
        ...

    def stock_pages(self, fulfilment: Fulfilment, known_sizes: KnownSizes, after: bytes = b"") -> AsyncIterator[Page[FetchedStock]]:
        """Yield the present stock of all products for one kind of warehouse. The pages together are the whole; there are no deltas.
        Where nothing is in stock there is one empty page.

        A page with a cursor has no items: the marketplace is making a report, which the cursor names. The caller keeps it and passes it as `after` when
        it asks again, after `ReportNotReady` for example.
        """
        ...

    def order_pages(self, after: bytes = b"") -> AsyncIterator[Page[FetchedOrder]]:
        """Yield orders that are new or changed since the cursor of the last page that was stored (empty: as far back as the marketplace tells, at most some
        60 days). Windows overlap, so an order may come again, unchanged."""
        ...

    async def fetch_products(self) -> list[FetchedProduct]:
        """All products at once. For small shops and scripts; a sync walks `product_pages`."""
        ...

    async def fetch_stocks(self) -> list[FetchedStock]:
        """All stock of both kinds of warehouse at once."""
        ...
