"""A seller's account at Wildberries.

The client translates their language into ours; time-outs, retries and limits are the transport's business, and what a refusal means stands
in refusals.py. Source of all formats: dev.wildberries.ru, sections "Products" and "Analytics", as of 2026-10-24.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from app.marketplaces.contract import FetchedProduct, FetchedStock, Fulfilment, KeyFacts, KnownSizes, Marketplace, Page, Traffic
from app.marketplaces.errors import CredentialsRejected, MarketplaceDown, MarketplaceError, ScopeMissing, UnexpectedResponse
from app.marketplaces.exchange import Answer, Call
from app.marketplaces.transport import Transport
from app.marketplaces.wildberries.methods import CARDS_LIST, PING, SELLER_WAREHOUSES, WB_WAREHOUSES, Method
from app.marketplaces.wildberries.refusals import refusal
from app.marketplaces.wildberries.token import Category, TokenType, read_token
from app.marketplaces.wildberries.translation import UNREADABLE, read_cards, read_stock_rows, reason, translate_stock_rows
from app.marketplaces.wildberries.wire import CardsCursor, CardsFilter, CardsQuestion, CardsSettings, CardsSort, Ping, StockQuestion
from app.secret import Secret

Result = TypeVar("Result")

# The most that cards/list gives.
CARDS_PER_PAGE = 100
# The most that a report gives: one page is one snapshot, while a report that is renewed between two pages loses rows at the seam.
ROWS_PER_REPORT_PAGE = 250_000
# What is decoded and handed on at a time.
ROWS_PER_SLICE = 5_000
# A report may be asked for once in 20 s. Its second page has to be waited for: putting the run back would begin at the first page again.
NEXT_REPORT_PAGE_PATIENCE_S = 30.0

# Which category each stage of a sync needs.
CATEGORY_OF_STAGE = {"products": Category.CONTENT, "stocks": Category.ANALYTICS, "prices": Category.PRICES, "orders": Category.ANALYTICS}

TEST_KEY = "This is a test key: it works in Wildberries' sandbox only."

# Anything else can't be sent in a header; a key with a line break in it would show in the error of the HTTP library.
_SENDABLE_KEY = re.compile(r"[\x21-\x7e]{1,4096}")

_encode = msgspec.json.Encoder().encode
_ping = msgspec.json.Decoder(Ping)
_cursor = msgspec.json.Decoder(CardsCursor)


class WildberriesHosts(msgspec.Struct, frozen=True):
    """Where each part of Wildberries is: base URLs, https and official unless a sandbox or a test is meant."""

    content: str = "https://content-api.wildberries.ru"
    marketplace: str = "https://marketplace-api.wildberries.ru"
    statistics: str = "https://statistics-api.wildberries.ru"
    analytics: str = "https://seller-analytics-api.wildberries.ru"
    prices: str = "https://discounts-prices-api.wildberries.ru"
    common: str = "https://common-api.wildberries.ru"

    @property
    def is_production(self) -> bool:
        return urlsplit(self.content).hostname == "content-api.wildberries.ru"


class WildberriesClient:
    """Implements `MarketplaceClient`. Make one per run: it counts its own traffic.

    `client_secret` is that of a service registered with Wildberries; it goes with every call.
    """

    def __init__(self, api_key: Secret, transport: Transport, hosts: WildberriesHosts, client_secret: Secret | None = None) -> None:
        self._transport = transport
        self._hosts = hosts
        self._is_sendable = _SENDABLE_KEY.fullmatch(api_key.reveal()) is not None
        self._token = read_token(api_key)
        self._headers: dict[str, str | Secret] = {"Authorization": api_key, "Content-Type": "application/json"}
        if client_secret:
            self._headers["X-Client-Secret"] = client_secret
        # Limits count per seller and token type, so several keys of a seller share a budget; of an unreadable key only its hash is known.
        seller = self._token and self._token.seller_id
        kind = self._token and self._token.type
        self._account = (
            f"wildberries:{seller or hashlib.sha256(api_key.reveal().encode(errors='replace')).hexdigest()[:32]}:{kind or 'unknown'}"
        )

    @property
    def marketplace(self) -> Marketplace:
        return Marketplace.WILDBERRIES

    @property
    def products_are_incremental(self) -> bool:
        return True

    @property
    def traffic(self) -> Traffic:
        return self._transport.traffic

    def read_key(self) -> KeyFacts:
        """What the key says of itself; nothing, if it can't be read, which proves nothing.

        Raises:
            CredentialsRejected: it is expired, made for Wildberries' own sandbox, or can't be a key at all.
        """
        self._refuse_unusable_key()
        token = self._token
        if token is None:
            return KeyFacts()
        ticked = token.categories
        return KeyFacts(
            seller_id=token.seller_id,
            token_type=token.type,
            scopes=() if ticked is None else tuple(stage for stage, category in CATEGORY_OF_STAGE.items() if category in ticked),
            missing_scopes=()
            if ticked is None
            else tuple(stage for stage, category in CATEGORY_OF_STAGE.items() if category not in ticked),
            expires_at=token.expires_at,
            read_only=token.read_only,
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
            await self._call(self._hosts.content, PING, lambda answer: _ping.decode(answer.body))
        except ScopeMissing as refusal:
            if facts.token_type == TokenType.TEST:
                # Wildberries says the same to a test key, whatever is ticked in it.
                raise CredentialsRejected(TEST_KEY, excerpt=refusal.excerpt) from refusal
            # Wildberries knows better than the key's own claims.
            scopes = tuple(stage for stage in facts.scopes if stage != "products")
            missing = tuple(stage for stage in CATEGORY_OF_STAGE if stage == "products" or stage in facts.missing_scopes)
            return msgspec.structs.replace(facts, scopes=scopes, missing_scopes=missing)
        return facts

    async def product_pages(self, after: bytes = b"") -> AsyncIterator[Page[FetchedProduct]]:
        """Yield the seller's cards in the order in which they changed, those in the trash left out.

        A cursor may be kept for good: asked again behind it, Wildberries gives what changed since.

        Raises:
            CredentialsRejected: the key was revoked or has expired.
            ScopeMissing: it lacks Content.
            RateLimited, MarketplaceDown, MethodGone, UnexpectedResponse: see app.marketplaces.errors.
        """
        cursor = _cursor.decode(after) if after else CardsCursor()
        seen = {_encode(cursor)}
        while True:
            settings = CardsSettings(
                sort=CardsSort(ascending=True),
                filter=CardsFilter(with_photo=-1),
                cursor=CardsCursor(CARDS_PER_PAGE, cursor.updated_at, cursor.nm_id),
            )
            products, rejected, end = await self._call(
                self._hosts.content, CARDS_LIST, lambda answer: read_cards(answer.body), _encode(CardsQuestion(settings))
            )
            # `total` counts this answer, not the catalogue: a short page is the last.
            is_last = end.total < CARDS_PER_PAGE
            # An empty page ends nowhere: the next walk goes on behind the last card that was seen.
            if end.updated_at and end.nm_id:
                cursor = CardsCursor(updated_at=end.updated_at, nm_id=end.nm_id)
            position = _encode(cursor)
            if position in seen and not is_last:
                raise UnexpectedResponse(f"{CARDS_LIST.path}: the cursor does not move on, so the list would never end.")
            seen.add(position)
            yield Page(products, position, rejected)
            if is_last:
                return

    async def stock_pages(
        self, fulfilment: Fulfilment, known_sizes: KnownSizes | None = None, after: bytes = b""
    ) -> AsyncIterator[Page[FetchedStock]]:
        """Yield what lies in Wildberries' warehouses, or in the seller's own, as of at most 30 minutes ago. No stock is one empty page.

        Raises:
            ScopeMissing: the key lacks Analytics, or Wildberries closes this report to tokens of its type.
            CredentialsRejected, RateLimited, MarketplaceDown, MethodGone, UnexpectedResponse: see app.marketplaces.errors.
        """
        method = WB_WAREHOUSES if fulfilment is Fulfilment.MARKETPLACE_WAREHOUSE else SELLER_WAREHOUSES
        offset = 0
        seen: set[bytes] = set()
        while True:
            question = _encode(StockQuestion(limit=ROWS_PER_REPORT_PAGE, offset=offset))
            rows = await self._call(self._hosts.analytics, method, _read_stock, question)
            first = bytes(rows[0]) if rows else b""
            if first in seen:
                raise UnexpectedResponse(f"{method.path}: a page came twice, so the report would never end.")
            seen.add(first)
            for start in range(0, len(rows), ROWS_PER_SLICE):
                try:
                    stocks, rejected = translate_stock_rows(rows[start : start + ROWS_PER_SLICE])
                except UNREADABLE as error:
                    raise UnexpectedResponse(f"{method.path}: {reason(error)}") from error
                yield Page(stocks, b"", rejected)
            if not rows and not offset:
                yield Page([], b"")
            if len(rows) < ROWS_PER_REPORT_PAGE:
                return
            offset += len(rows)
            method = msgspec.structs.replace(method, patience_s=NEXT_REPORT_PAGE_PATIENCE_S)

    async def fetch_products(self) -> list[FetchedProduct]:
        """All cards at once; malformed ones are left out."""
        return [product async for page in self.product_pages() for product in page.items]

    async def fetch_stocks(self) -> list[FetchedStock]:
        """All stock at once, of Wildberries' warehouses and then of the seller's."""
        return [stock for fulfilment in Fulfilment async for page in self.stock_pages(fulfilment) for stock in page.items]

    async def _call(self, host: str, method: Method, read: Callable[[Answer], Result], body: bytes | None = None) -> Result:
        self._refuse_unusable_key()
        call = Call(
            method=method.verb,
            url=host + method.path,
            account=self._account,
            group=method.group,
            headers=self._headers,
            body=body,
            attempts=method.attempts,
            patience_s=method.patience_s,
            timeout_s=method.timeout_s,
            max_bytes=method.max_bytes,
        )

        def understand(answer: Answer) -> Result:
            if answer.status not in (200, 204):
                raise refusal(answer, method)
            try:
                return read(answer)
            except UNREADABLE as error:
                raise _misunderstood(answer, method, error) from error

        return await self._transport.send(call, understand)

    def _refuse_unusable_key(self) -> None:
        """What is known to fail isn't sent: a dead key is not hammered on."""
        if not self._is_sendable:
            raise CredentialsRejected("This can't be a Wildberries key: it is empty, too long, or has characters that no key has.")
        token = self._token
        if token is None:
            return
        if token.is_expired(datetime.now(UTC)):
            raise CredentialsRejected(f"The key expired on {token.expires_at:%Y-%m-%d}.")
        if token.type is TokenType.TEST and self._hosts.is_production:
            raise CredentialsRejected(TEST_KEY)


def _read_stock(answer: Answer) -> list[msgspec.Raw]:
    # 204 says that there is no data, where others would send an empty list.
    return [] if answer.status == 204 else read_stock_rows(answer.body)


def _misunderstood(answer: Answer, method: Method, error: Exception) -> MarketplaceError:
    body = answer.body.strip()
    if body[:1] in (b"{", b"[") and body[-1:] not in (b"}", b"]"):
        # A gateway that loses its connection in the middle may still end the HTTP message properly.
        return MarketplaceDown(f"The answer of {method.path} is cut short.", excerpt=answer.excerpt)
    return UnexpectedResponse(f"{method.path}: {reason(error)}", excerpt=answer.excerpt)
