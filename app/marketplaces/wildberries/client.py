"""A seller's account at Wildberries.

Each subject has a file: cards.py, prices.py, stocks.py (with remains.py and fbs.py for keys to which the reports are closed), orders.py (with statistics.py
for keys to which the order feed is closed). The methods they call stand in methods.py, their messages in wire.py.
"""

from collections.abc import AsyncIterator

import msgspec

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
from app.marketplaces.errors import CredentialsRejected, ScopeMissing
from app.marketplaces.transport import Transport
from app.marketplaces.wildberries.account import TEST_KEY, Account
from app.marketplaces.wildberries.cards import product_pages
from app.marketplaces.wildberries.fbs import warehouse_stock_pages
from app.marketplaces.wildberries.hosts import WildberriesHosts
from app.marketplaces.wildberries.methods import PING, SELLER_WAREHOUSES, WB_WAREHOUSES
from app.marketplaces.wildberries.orders import order_pages
from app.marketplaces.wildberries.prices import price_pages
from app.marketplaces.wildberries.refusals import ClosedToKey
from app.marketplaces.wildberries.remains import remains_pages
from app.marketplaces.wildberries.rhythm import least_interval_minutes
from app.marketplaces.wildberries.stocks import report_pages
from app.marketplaces.wildberries.token import Category, TokenType
from app.marketplaces.wildberries.wire import Ping
from app.secret import Secret

# Which categories each stage of a sync needs, one of them.
CATEGORIES_OF_STAGE = {
    "products": (Category.CONTENT,),
    "stocks": (Category.ANALYTICS,),
    "prices": (Category.PRICES,),
    "orders": (Category.ANALYTICS, Category.STATISTICS),
}

_ping = msgspec.json.Decoder(Ping)


class WildberriesClient:
    """Implements `MarketplaceClient`. Make one per run: it counts its own traffic.

    `client_secret` is that of a service registered with Wildberries; it goes with every call. All methods raise what app.marketplaces.errors has.
    """

    def __init__(self, api_key: Secret, transport: Transport, hosts: WildberriesHosts, client_secret: Secret | None = None) -> None:
        self._account = Account(api_key, transport, hosts, client_secret)
        self._making: dict[Fulfilment, bytes] = {}

    @property
    def marketplace(self) -> Marketplace:
        return Marketplace.WILDBERRIES

    @property
    def traffic(self) -> Traffic:
        return self._account.traffic

    @property
    def products_are_incremental(self) -> bool:
        return True

    def read_key(self) -> KeyFacts:
        """What the key says of itself; next to nothing, if it can't be read, which proves nothing.

        Raises:
            CredentialsRejected: it is expired, made for Wildberries' own sandbox, or can't be a key at all.
        """
        self._account.refuse_unusable_key()
        token = self._account.token
        if token is None:
            return KeyFacts(least_interval_minutes=least_interval_minutes(self._account.access, None))
        told = token.categories is not None
        return KeyFacts(
            seller_id=token.seller_id,
            token_type=token.type,
            scopes=tuple(stage for stage, needed in CATEGORIES_OF_STAGE.items() if told and token.may_have(*needed)),
            missing_scopes=tuple(stage for stage, needed in CATEGORIES_OF_STAGE.items() if not token.may_have(*needed)),
            expires_at=token.expires_at,
            read_only=token.read_only,
            least_interval_minutes=least_interval_minutes(self._account.access, token),
        )

    async def verify(self) -> KeyFacts:
        """Read the key offline, then ask Wildberries once (`GET /ping` of the Content host) whether it accepts it.

        A key that is accepted and lacks Content is valid: its `missing_scopes` say so.

        Raises:
            CredentialsRejected: Wildberries doesn't accept it, or `read_key` doesn't.
            MarketplaceDown, RateLimited: it can't be asked now; the key may be fine.
        """
        facts = self.read_key()
        try:
            await self._account.call(PING, lambda answer: _ping.decode(answer.body))
        except ScopeMissing as refusal:
            if facts.token_type == TokenType.TEST:
                # Wildberries says the same to a test key, whatever is ticked in it.
                raise CredentialsRejected(TEST_KEY[0], detail_ru=TEST_KEY[1], excerpt=refusal.excerpt) from refusal
            # Wildberries knows better than the key's own claims.
            scopes = tuple(stage for stage in facts.scopes if stage != "products")
            missing = tuple(stage for stage in CATEGORIES_OF_STAGE if stage == "products" or stage in facts.missing_scopes)
            return msgspec.structs.replace(facts, scopes=scopes, missing_scopes=missing)
        return facts

    def product_pages(self, after: bytes = b"") -> AsyncIterator[Page[FetchedProduct]]:
        """Yield the seller's cards in the order in which they changed, and then in `gone` those that were put into the trash. A cursor may be kept for good."""
        return product_pages(self._account, after)

    def price_pages(self, after: bytes = b"") -> AsyncIterator[Page[FetchedPrice]]:
        """Yield the prices of all cards."""
        return price_pages(self._account, after)

    async def stock_pages(self, fulfilment: Fulfilment, known_sizes: KnownSizes, after: bytes = b"") -> AsyncIterator[Page[FetchedStock]]:
        """Yield what lies in Wildberries' warehouses, or in the seller's own: from the report on it, or else, if that is closed to the key, from the report on
        remains, and from the seller's warehouses one by one, which need another category. No stock is one empty page.

        Raises:
            ReportNotReady: the report on remains is being made.
        """
        if fulfilment is Fulfilment.MARKETPLACE_WAREHOUSE:
            report, otherwise = WB_WAREHOUSES, remains_pages(self._account, known_sizes, after)
        else:
            report, otherwise = SELLER_WAREHOUSES, warehouse_stock_pages(self._account, known_sizes)
        token = self._account.token
        is_open = self._account.access not in report.closed_to and (token is None or token.may_have(report.category))
        if not after and is_open:
            begun = False
            try:
                async for page in report_pages(self._account, report):
                    begun = True
                    yield page
                return
            except ClosedToKey:
                if begun:
                    raise
        async for page in otherwise:
            yield page

    def order_pages(self, after: bytes = b"") -> AsyncIterator[Page[FetchedOrder]]:
        """Yield orders whose status changed, from at most 31 days ago: from the order feed, or else from the statistics of orders and sales."""
        return order_pages(self._account, after)

    async def fetch_products(self) -> list[FetchedProduct]:
        """All cards at once; malformed ones are left out."""
        return [product async for page in self.product_pages() for product in page.items]

    async def fetch_stocks(self) -> list[FetchedStock]:
        """All stock at once, of Wildberries' warehouses and then of the seller's.

        Raises:
            ReportNotReady: Wildberries is making a report for this key. Ask the same client again in `retry_after`; it knows which.
        """
        stocks: list[FetchedStock] = []
        for fulfilment in Fulfilment:
            async for page in self.stock_pages(fulfilment, self.walk_sizes, self._making.get(fulfilment, b"")):
                stocks += page.items
                if page.cursor:
                    self._making[fulfilment] = page.cursor
        self._making.clear()
        return stocks

    async def walk_sizes(self) -> AsyncIterator[list[KnownSize]]:
        """The sizes of all cards, for who has not stored them."""
        async for page in self.product_pages():
            yield [KnownSize(product.external_id, size.id, size.name, size.barcodes) for product in page.items for size in product.sizes]
