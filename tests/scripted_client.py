"""A marketplace account that says what a test tells it to: the seam below the stages, which speaks to no network."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from app.marketplaces.contract import (
    FetchedOrder,
    FetchedOrderLine,
    FetchedPrice,
    FetchedStock,
    Fulfilment,
    KeyFacts,
    KnownSizes,
    Marketplace,
    OrderStatus,
    Page,
    Rejected,
    Traffic,
)
from app.runs.tables import Stage

ORDERED_AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


class ScriptedClient:
    """Each stage has its pages: a page is a list of items, among them items that are `Rejected`; or an error, which is raised once; or an asynchronous function, which
    is awaited once, before the page behind it. `asked` tells from where each walk began."""

    products_are_incremental = True

    def __init__(self, marketplace: Marketplace = Marketplace.WILDBERRIES, **pages: Sequence[Any]) -> None:
        self.marketplace = marketplace
        self.traffic = Traffic()
        self.pages: dict[str, list[Any]] = {stage: list(pages.get(stage, [[]])) for stage in Stage}
        self.asked: list[tuple[str, bytes]] = []

    async def _walk(self, stage: str, after: bytes) -> AsyncIterator[Page[Any]]:
        self.asked.append((stage, after))
        pages = self.pages[stage]
        place = int(after or b"0")
        while place < len(pages):
            if callable(pages[place]):
                await pages.pop(place)()
                continue
            self.traffic.requests += 1
            if isinstance(pages[place], BaseException):
                raise pages.pop(place)
            items = [item for item in pages[place] if not isinstance(item, Rejected)]
            rejected = tuple(item for item in pages[place] if isinstance(item, Rejected))
            place += 1
            yield Page(items, str(place).encode(), rejected, total=sum(len(page) for page in pages if isinstance(page, list)))

    def product_pages(self, after: bytes = b"") -> AsyncIterator[Page[Any]]:
        return self._walk("products", after)

    def price_pages(self, after: bytes = b"") -> AsyncIterator[Page[Any]]:
        return self._walk("prices", after)

    def order_pages(self, after: bytes = b"") -> AsyncIterator[Page[Any]]:
        return self._walk("orders", after)

    async def stock_pages(self, fulfilment: Fulfilment, known_sizes: KnownSizes, after: bytes = b"") -> AsyncIterator[Page[Any]]:
        if fulfilment is Fulfilment.SELLER_WAREHOUSE:
            yield Page([], b"")
            return
        async for page in self._walk("stocks", b""):
            yield Page(page.items, b"", page.rejected)

    def read_key(self) -> KeyFacts:
        return KeyFacts()

    async def verify(self) -> KeyFacts:
        return KeyFacts()

    async def fetch_products(self) -> list[Any]:
        return [item async for page in self.product_pages() for item in page.items]

    async def fetch_stocks(self) -> list[Any]:
        return [item for fulfilment in Fulfilment async for page in self.stock_pages(fulfilment, _no_sizes) for item in page.items]


async def _no_sizes() -> AsyncIterator[list[Any]]:
    for nothing in ():
        yield nothing


def price(external_id: str, amount: str | None = "100.00", discounted: str | None = "90.50", currency: str = "RUB") -> FetchedPrice:
    return FetchedPrice(external_id, Decimal(amount) if amount else None, Decimal(discounted) if discounted else None, currency)


def shelf(product_external_id: str, quantity: int = 5) -> FetchedStock:
    return FetchedStock(product_external_id, f"{product_external_id}-0", "507", "Коледино", quantity, 0, 0)


def line(external_id: str | None = "1", article: str = "", quantity: int = 1, amount: str | None = "90.50") -> FetchedOrderLine:
    return FetchedOrderLine(external_id, None, article, quantity, Decimal(amount) if amount else None)


def order(
    external_id: str, *lines: FetchedOrderLine, status: OrderStatus = OrderStatus.CREATED, hours: float = 0, changed: float | None = 0
) -> FetchedOrder:
    """`hours` after the first order it was made, and `changed` hours after that it was last changed."""
    ordered_at = ORDERED_AT + timedelta(hours=hours)
    return FetchedOrder(
        external_id=external_id,
        number=f"N-{external_id}",
        status=status,
        marketplace_status=f"was {status.value}",
        fulfilment=Fulfilment.MARKETPLACE_WAREHOUSE,
        ordered_at=ordered_at,
        changed_at=None if changed is None else ordered_at + timedelta(hours=changed),
        warehouse="Коледино",
        destination="Казань",
        currency="RUB",
        lines=lines or (line(),),
    )


def ordered(external_id: str, *lines: Any, minutes_ago: float = 60, status: OrderStatus = OrderStatus.CREATED) -> FetchedOrder:
    """An order that was made so long ago."""
    hours = (datetime.now(UTC) - timedelta(minutes=minutes_ago) - ORDERED_AT) / timedelta(hours=1)
    return order(external_id, *lines, status=status, hours=hours)
