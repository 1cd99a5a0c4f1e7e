"""What every marketplace gives, in our words. A client translates its marketplace's language into these."""

from collections.abc import AsyncIterator
from datetime import datetime
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


# gc=False: these can't be part of a cycle, and a sync makes so many that looking for one costs time.
class Size(msgspec.Struct, frozen=True, gc=False):
    """A variant of a product that is counted by itself. `id` is the marketplace's; `name` is empty where there is but one size."""

    id: str
    name: str
    barcodes: tuple[str, ...]


class FetchedProduct(msgspec.Struct, frozen=True, gc=False):
    """A product as the marketplace describes it. `external_id` is the marketplace's id, unique in the seller's account."""

    external_id: str
    article: str
    title: str
    brand: str
    category: str
    image_url: str | None
    sizes: tuple[Size, ...]


class FetchedStock(msgspec.Struct, frozen=True, gc=False):
    """Units of one size in one warehouse. `quantity` is what a buyer could order now; the other two are under way."""

    product_external_id: str
    size_id: str
    warehouse_id: str
    warehouse: str
    quantity: int
    in_way_to_client: int
    in_way_from_client: int


class Rejected(msgspec.Struct, frozen=True):
    """An item that could not be understood. `reason` says which field and why, without the marketplace's data."""

    external_id: str | None
    reason: str


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """One answer. `cursor` is what to pass as `after` to go on behind this page; it is opaque to everybody but the client."""

    items: list[Item]
    cursor: bytes
    rejected: tuple[Rejected, ...] = ()


class Traffic(msgspec.Struct):
    """What a client has cost so far: requests sent (retries too) and seconds waited for limits and retries."""

    requests: int = 0
    waited_s: float = 0.0


class KeyFacts(msgspec.Struct, frozen=True):
    """What a key says of itself, or the marketplace of it. Empty where the marketplace doesn't tell.

    `scopes` and `missing_scopes` are our stage names (`products`, `stocks`, `prices`, `orders`).
    """

    seller_id: str | None = None
    token_type: str | None = None
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    read_only: bool | None = None


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

    def product_pages(self, after: bytes = b"") -> AsyncIterator[Page[FetchedProduct]]:
        """Yield products in the order in which they changed, from the cursor of the last page that was stored (empty: from the start)."""
        ...

    def stock_pages(self, fulfilment: Fulfilment) -> AsyncIterator[Page[FetchedStock]]:
        """Yield the present stock of all products for one kind of warehouse. The pages together are the whole; there are no deltas."""
        ...

    async def fetch_products(self) -> list[FetchedProduct]:
        """All products at once. For small shops and scripts; a sync walks `product_pages`."""
        ...

    async def fetch_stocks(self) -> list[FetchedStock]:
        """All stock of both kinds of warehouse at once."""
        ...
