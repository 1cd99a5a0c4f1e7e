"""What may happen, and what is told about it: the catalogue of events.

Each type is a payload, the `data` of its webhook. Its name never changes; fields are added and never removed. `message` is a text in the tenant's
language that a bot can forward as it is. The bounds of all texts together keep the largest body below 20 kB, whatever characters they are of.
"""

from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from app.marketplaces.contract import Marketplace

MAX_ARTICLE_LENGTH = 75
MAX_TITLE_LENGTH = 120

Sentence = Annotated[str, Meta(max_length=1000)]
Code = Annotated[str, Meta(max_length=50)]
TelegramUserIds = Annotated[list[int], Meta(max_length=20)]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """The root of all payloads. An event that could not be delivered within its `lifetime` is noise, and is not sent any more."""

    type: ClassVar[str]
    lifetime: ClassVar[timedelta] = timedelta(days=7)


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


class EventError(msgspec.Struct, frozen=True, kw_only=True):
    """A stable code, and a sentence for a seller."""

    code: Code
    detail: Sentence


class SyncCompleted(Payload, frozen=True, kw_only=True):
    """A sync is done; `partial`: some of its stages could not be carried out. `low_stock` lists the ten lowest of `low_stock_total`."""

    type: ClassVar[str] = "sync.completed"

    tenant_id: UUID
    telegram_user_ids: TelegramUserIds
    sync_id: UUID
    marketplace: Marketplace
    status: Literal["succeeded", "partial"]
    trigger: Code
    duration_s: float
    counts: SyncCounts
    low_stock: Annotated[list[LowStockItem], Meta(max_length=10)]
    low_stock_total: int
    message: Sentence


class SyncFailed(Payload, frozen=True, kw_only=True):
    """A sync could not be carried out; what was copied before stays."""

    type: ClassVar[str] = "sync.failed"

    tenant_id: UUID
    telegram_user_ids: TelegramUserIds
    sync_id: UUID
    marketplace: Marketplace
    trigger: Code
    error: EventError
    message: Sentence


class CredentialsInvalid(Payload, frozen=True, kw_only=True):
    """The stored key has ended, or the marketplace no longer accepts it; that account is not synced until the seller gives another."""

    type: ClassVar[str] = "credentials.invalid"

    tenant_id: UUID
    telegram_user_ids: TelegramUserIds
    provider: Code
    detail: Sentence
    message: Sentence


class CredentialsExpiring(Payload, frozen=True, kw_only=True):
    """The stored key ends in `days_left` days or less: told 30, 7 and 1 days before `expires_at`, each once. Until then it works."""

    type: ClassVar[str] = "credentials.expiring"
    lifetime: ClassVar[timedelta] = timedelta(days=1)

    tenant_id: UUID
    telegram_user_ids: TelegramUserIds
    provider: Code
    days_left: int
    expires_at: datetime
    message: Sentence


class CredentialsShared(Payload, frozen=True, kw_only=True):
    """Somebody else of this service has a key of the same shop. All who have one are told, and nobody who the others are. A seller who registered
    twice has nothing to fear; any other should revoke the key at the marketplace."""

    type: ClassVar[str] = "credentials.shared"

    tenant_id: UUID
    telegram_user_ids: TelegramUserIds
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


CATALOGUE: dict[str, type[Payload]] = {
    payload.type: payload
    for payload in (SyncCompleted, SyncFailed, CredentialsInvalid, CredentialsExpiring, CredentialsShared, WebhookTest)
}
