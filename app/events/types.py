"""What may happen, and what is told about it: the catalogue of events.

Each type is a payload, the `data` of its webhook. Its name never changes; fields are added and never removed. `message` is a text in the tenant's
language that a bot can forward as it is. The bounds of all texts together keep the largest body below 20 kB, whatever characters they are of.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, ClassVar, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from app.marketplaces.contract import Fulfilment, Marketplace

MAX_ARTICLE_LENGTH = 75
MAX_TITLE_LENGTH = 120

MAX_PRODUCTS = 10
MAX_ORDERS = 50
# Of an order's texts, in bytes of JSON: fifty of them fit into an event whatever characters they are of.
MAX_NUMBER_BYTES = 40
MAX_ORDER_ARTICLE_BYTES = 36
MAX_ORDER_TITLE_BYTES = 56

Sentence = Annotated[str, Meta(max_length=1000)]
ShortSentence = Annotated[str, Meta(max_length=200)]
Code = Annotated[str, Meta(max_length=50)]
MAX_TELEGRAM_USERS = 20
TelegramUserIds = Annotated[list[int], Meta(max_length=MAX_TELEGRAM_USERS)]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """The root of all payloads. An event that could not be delivered within its `lifetime` is noise, and is not sent any more."""

    type: ClassVar[str]
    lifetime: ClassVar[timedelta] = timedelta(days=7)


class ToMembers(Payload, frozen=True, kw_only=True):
    """What concerns all members of a tenant. `telegram_user_ids`: those of them who can be written to, the eldest member first; the outbox puts them in."""

    tenant_id: UUID
    telegram_user_ids: TelegramUserIds = []


class ProductCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Products: what the sync did, and how many active ones there are now."""

    created: int
    updated: int
    archived: int
    total: int


class StockCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Shelves (a size in a warehouse) that changed, and units that a buyer could order now."""

    changed: int
    total_units: int


class OrderCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that were not known before."""

    new: int


class SyncCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync did."""

    products: ProductCounts
    stocks: StockCounts
    orders: OrderCounts


class LowStockItem(msgspec.Struct, frozen=True, kw_only=True):
    """A product at or below its threshold; `stock` in units. A long article or title is cut, and ends with an ellipsis."""

    product_id: UUID
    article: Annotated[str, Meta(max_length=MAX_ARTICLE_LENGTH)]
    title: Annotated[str, Meta(max_length=MAX_TITLE_LENGTH)]
    stock: int

    def __post_init__(self) -> None:
        # They are the seller's words: no length of them may keep the event of a sync from being recorded.
        msgspec.structs.force_setattr(self, "article", _cut(self.article, MAX_ARTICLE_LENGTH))
        msgspec.structs.force_setattr(self, "title", _cut(self.title, MAX_TITLE_LENGTH))


class ThresholdItem(LowStockItem, frozen=True, kw_only=True):
    """A product's stock beside the threshold that it is compared with: its own, or else the tenant's."""

    threshold: int


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order, made at `ordered_at` (to the second), of so many units. `amount` is for all of them, after the seller's discounts; null where the
    marketplace doesn't tell. `article` and `title` are its first product's; a long text is cut, and ends with an ellipsis."""

    order_id: UUID
    number: str
    ordered_at: datetime
    fulfilment: Fulfilment
    units: int
    amount: Decimal | None
    currency: Annotated[str, Meta(max_length=3)]
    article: str
    title: str

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "number", _within(self.number, MAX_NUMBER_BYTES))
        msgspec.structs.force_setattr(self, "article", _within(self.article, MAX_ORDER_ARTICLE_BYTES))
        msgspec.structs.force_setattr(self, "title", _within(self.title, MAX_ORDER_TITLE_BYTES))
        msgspec.structs.force_setattr(self, "ordered_at", self.ordered_at.replace(microsecond=0))


class EventError(msgspec.Struct, frozen=True, kw_only=True):
    """A stable code, and a sentence for a seller."""

    code: Code
    detail: Sentence


class SyncCompleted(ToMembers, frozen=True, kw_only=True):
    """A sync is done; `partial`: some of its stages could not be carried out. `low_stock` lists the ten lowest of `low_stock_total`."""

    type: ClassVar[str] = "sync.completed"

    sync_id: UUID
    marketplace: Marketplace
    status: Literal["succeeded", "partial"]
    trigger: Code
    duration_s: float
    counts: SyncCounts
    low_stock: Annotated[list[LowStockItem], Meta(max_length=10)]
    low_stock_total: int
    message: Sentence


class SyncFailed(ToMembers, frozen=True, kw_only=True):
    """A sync could not be carried out; what was copied before stays."""

    type: ClassVar[str] = "sync.failed"

    sync_id: UUID
    marketplace: Marketplace
    trigger: Code
    error: EventError
    message: Sentence


class StockMoved(ToMembers, frozen=True, kw_only=True):
    """What all events about stock carry: `products` lists at most ten of `total`, the lowest first. It comes before the end of its sync is told."""

    lifetime: ClassVar[timedelta] = timedelta(days=1)

    sync_id: UUID
    marketplace: Marketplace
    products: Annotated[list[ThresholdItem], Meta(max_length=MAX_PRODUCTS)]
    total: int
    message: Sentence


class StockLow(StockMoved, frozen=True, kw_only=True):
    """Products fell to their threshold or below it. Each is told once, and again only when it was replenished in between."""

    type: ClassVar[str] = "stock.low"


class StockOut(StockMoved, frozen=True, kw_only=True):
    """Products of which no unit is left to be ordered. Each is told once, and again only when there were some in between: a fifth of its threshold, and two
    units at least."""

    type: ClassVar[str] = "stock.out"


class StockReplenished(StockMoved, frozen=True, kw_only=True):
    """Products that were low or out are well above their threshold again: by a fifth of it, and by two units at least."""

    type: ClassVar[str] = "stock.replenished"


class OrdersCreated(ToMembers, frozen=True, kw_only=True):
    """Orders that were new to a sync and not older than three days; `orders` lists at most fifty of `total`. An account's first sync tells of none."""

    type: ClassVar[str] = "orders.created"
    lifetime: ClassVar[timedelta] = timedelta(days=3)

    sync_id: UUID
    marketplace: Marketplace
    orders: Annotated[list[NewOrder], Meta(max_length=MAX_ORDERS)]
    total: int
    message: ShortSentence


class CredentialsInvalid(ToMembers, frozen=True, kw_only=True):
    """The stored key has ended, or the marketplace no longer accepts it; that account is not synced until the seller gives another."""

    type: ClassVar[str] = "credentials.invalid"

    provider: Code
    detail: Sentence
    message: Sentence


class CredentialsExpiring(ToMembers, frozen=True, kw_only=True):
    """The stored key ends in `days_left` days or less: told 30, 7 and 1 days before `expires_at`, each once. Until then it works."""

    type: ClassVar[str] = "credentials.expiring"
    lifetime: ClassVar[timedelta] = timedelta(days=1)

    provider: Code
    days_left: int
    expires_at: datetime
    message: Sentence


class CredentialsShared(ToMembers, frozen=True, kw_only=True):
    """Somebody else of this service has a key of the same shop. All who have one are told, and nobody who the others are. A seller who registered
    twice has nothing to fear; any other should revoke the key at the marketplace."""

    type: ClassVar[str] = "credentials.shared"

    provider: Code
    message: Sentence


class WebhookTest(Payload, frozen=True, kw_only=True):
    """Sent to one endpoint when somebody asks for a test."""

    type: ClassVar[str] = "webhook.test"
    lifetime: ClassVar[timedelta] = timedelta(minutes=5)

    tenant_id: UUID
    message: Sentence


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _within(text: str, size: int) -> str:
    """Cut to at most `size` bytes of JSON."""
    if len(msgspec.json.encode(text)) - 2 <= size:
        return text
    room = size - len("…".encode())
    length = min(len(text), room)
    while len(msgspec.json.encode(text[:length])) - 2 > room:
        length -= 1
    return text[:length] + "…"


CATALOGUE: dict[str, type[Payload]] = {
    payload.type: payload
    for payload in (
        SyncCompleted,
        SyncFailed,
        StockLow,
        StockOut,
        StockReplenished,
        OrdersCreated,
        CredentialsInvalid,
        CredentialsExpiring,
        CredentialsShared,
        WebhookTest,
    )
}
