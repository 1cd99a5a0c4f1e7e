"""Webhooks as they cross the wire."""

from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.api.structs import In, Out
from app.webhooks.tables import DeliveryStatus

EventType = Annotated[str, Meta(min_length=1, max_length=40, examples=["sync.completed"])]


class WebhookIn(In, frozen=True):
    """Where to send events. `event_types` left out or empty: all of them."""

    url: Annotated[str, Meta(min_length=1, max_length=2000, examples=["https://bot.example.com/stock-tracker"])]
    event_types: Annotated[list[EventType], Meta(max_length=50, examples=[["sync.completed", "sync.failed"]])] = msgspec.field(
        default_factory=list[EventType]
    )
    description: Annotated[str, Meta(max_length=200, examples=["The seller's bot"])] | None = None


class WebhookOut(Out, frozen=True, kw_only=True):
    """An endpoint. Its secret is shown once, when it is made. A disabled one says why."""

    id: UUID
    url: str
    event_types: list[str]
    description: str | None
    enabled: bool
    disabled_reason: str | None
    created_at: datetime
    secret: str | UnsetType = UNSET


class AttemptOut(Out, frozen=True, kw_only=True):
    """One request to the receiver. `error` is a stable word, null where it answered 2xx; `excerpt` is the beginning of its answer."""

    number: int
    attempted_at: datetime
    status_code: int | None
    duration_ms: int
    error: str | None
    excerpt: str | None


class DeliveryOut(Out, frozen=True, kw_only=True):
    """One event for one endpoint, with all attempts so far. `next_attempt_at` is null once the status is final."""

    id: UUID
    event_id: UUID
    event_type: str
    status: DeliveryStatus
    created_at: datetime
    next_attempt_at: datetime | None
    finished_at: datetime | None
    attempts: list[AttemptOut]


class WebhookTestOut(Out, frozen=True, kw_only=True):
    """What the receiver said to `webhook.test`."""

    delivered: bool
    status_code: int | None
    duration_ms: int
    error: str | None
    excerpt: str | None


class EventTypeOut(Out, frozen=True, kw_only=True):
    """A type of event: what it tells, the JSON schema of its `data`, a body, and after how long an undelivered one is not sent any more."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "sync.completed",
        "description": "A sync is done.",
        "lifetime_s": 604800,
        "schema": {"type": "object"},
        "example": {"type": "sync.completed", "timestamp": "2026-11-22T10:00:00Z", "sequence": 42, "data": {"message": "…"}},
    }

    type: str
    description: str
    lifetime_s: int
    schema: dict[str, Any]
    example: dict[str, Any]
