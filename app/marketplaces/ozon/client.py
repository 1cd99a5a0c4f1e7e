"""A seller's account at Ozon.

Each subject has a file: products.py, prices.py, stocks.py, postings.py. The methods they call stand in methods.py, their messages in wire.py.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime

import msgspec
import structlog

from app.marketplaces.contract import (
    FetchedOrder,
    FetchedPrice,
    FetchedProduct,
    FetchedStock,
    Fulfilment,
    KeyFacts,
    KnownSize,
    KnownSizes,
    Marketplace,
    Page,
    Traffic,
)
from app.marketplaces.errors import CircuitOpen, CredentialsRejected, MarketplaceError, ScopeMissing
from app.marketplaces.ozon.account import Account
from app.marketplaces.ozon.keys import OzonKey
from app.marketplaces.ozon.methods import ROLES
from app.marketplaces.ozon.postings import order_pages
from app.marketplaces.ozon.prices import price_pages
from app.marketplaces.ozon.products import product_pages
from app.marketplaces.ozon.rhythm import LEAST_INTERVAL_MINUTES
from app.marketplaces.ozon.roles import with_roles
from app.marketplaces.ozon.stocks import stock_pages, warehouse_names
from app.marketplaces.ozon.wire import RolesAnswer
from app.marketplaces.transport import Transport

log = structlog.get_logger(__name__)

_roles = msgspec.json.Decoder(RolesAnswer, strict=False)


class OzonClient:
    """Implements `MarketplaceClient`. Make one per run: it counts its own traffic. All methods raise what app.marketplaces.errors has."""

    def __init__(
        self, key: OzonKey, transport: Transport, base_url: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._account = Account(key, transport, base_url)
        self._now = now
        self._warehouse_names: Mapping[int, str] | None = None

    @property
    def marketplace(self) -> Marketplace:
        return Marketplace.OZON

    @property
    def traffic(self) -> Traffic:
        return self._account.traffic

    @property
    def products_are_incremental(self) -> bool:
        return False

    def read_key(self) -> KeyFacts:
        """Whose the key is, if it is a pair.

        Raises:
            CredentialsRejected: it can't be a key of Ozon at all.
        """
        self._account.refuse_unusable_key()
        client_id = self._account.client_id
        return KeyFacts(
            seller_id=client_id, token_type="oauth" if client_id is None else "api_key", least_interval_minutes=LEAST_INTERVAL_MINUTES
        )

    async def verify(self) -> KeyFacts:
        """Ask Ozon once (`POST /v1/roles`) what the key may do, and until when.

        Raises:
            CredentialsRejected: Ozon doesn't accept it, or `read_key` doesn't.
            MarketplaceDown, RateLimited: it can't be asked now; the key may be fine.
        """
        facts = self.read_key()
        try:
            return with_roles(facts, await self._account.call(ROLES, lambda answer: _roles.decode(answer.body)))
        except ScopeMissing as refusal:
            # Accepted, and not allowed to ask: what it may do will show.
            log.info("ozon.roles_closed", excerpt=refusal.excerpt)
            return facts

    def product_pages(self, after: bytes = b"") -> AsyncIterator[Page[FetchedProduct]]:
        """Yield all products, the archived ones last. A cursor only serves to go on with the same walk; the last one is empty."""
        return product_pages(self._account, after)

    def price_pages(self, after: bytes = b"") -> AsyncIterator[Page[FetchedPrice]]:
        """Yield the prices of all products that are not archived."""
        return price_pages(self._account, after)

    async def stock_pages(
        self,
        fulfilment: Fulfilment,
        known_sizes: KnownSizes,
        after: bytes = b"",  # noqa: ARG002 - the protocol's; Ozon makes no reports that one would have to come back for
    ) -> AsyncIterator[Page[FetchedStock]]:
        """Yield what lies in Ozon's warehouses (FBO), or in the seller's own (FBS). No stock is one empty page, and no page has a cursor."""
        names: Mapping[int, str] = {}
        if fulfilment is Fulfilment.MARKETPLACE_WAREHOUSE:
            names = await self._names()
        async for page in stock_pages(self._account, fulfilment, known_sizes, names):
            yield page

    def order_pages(self, after: bytes = b"") -> AsyncIterator[Page[FetchedOrder]]:
        """Yield the postings of FBS and FBO that are new or changed, from at most 60 days ago. Those of FBO that could have changed come again, unchanged."""
        return order_pages(self._account, after, self._now())

    async def fetch_products(self) -> list[FetchedProduct]:
        """All products at once; malformed ones are left out."""
        return [product async for page in self.product_pages() for product in page.items]

    async def fetch_stocks(self) -> list[FetchedStock]:
        """All stock of products that are not archived at once, of Ozon's warehouses and then of the seller's."""
        products = await self.fetch_products()

        async def all_sizes() -> AsyncIterator[list[KnownSize]]:
            shown = [product for product in products if not product.archived]
            yield [KnownSize(product.external_id, size.id, size.name, size.barcodes) for product in shown for size in product.sizes]

        return [stock for fulfilment in Fulfilment async for page in self.stock_pages(fulfilment, all_sizes) for stock in page.items]

    async def _names(self) -> Mapping[int, str]:
        """What Ozon's warehouses are called. Stock without names is better than none: where they are not to be had, the ids serve."""
        if self._warehouse_names is None:
            try:
                self._warehouse_names = await warehouse_names(self._account)
            except (CredentialsRejected, CircuitOpen):
                raise
            except MarketplaceError as error:
                log.warning("ozon.no_warehouse_names", code=error.code, excerpt=error.excerpt)
                self._warehouse_names = {}
        return self._warehouse_names
