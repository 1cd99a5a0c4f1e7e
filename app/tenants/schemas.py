"""A tenant as it crosses the wire."""

import zoneinfo
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from app.api.structs import In, Out, ShortText
from app.marketplaces.contract import Marketplace

Language = Literal["ru", "en"]


class TimeZone(str):
    """The IANA name of a time zone."""

    __slots__ = ()

    json_schema: ClassVar[Mapping[str, object]] = {"type": "string", "maxLength": 64, "examples": ["Europe/Moscow"]}

    @classmethod
    def parse(cls, text: str) -> Self:
        if text not in _time_zones():
            raise ValueError("Expected the IANA name of a time zone, such as Europe/Moscow")
        return cls(text)


@cache
def _time_zones() -> set[str]:
    """Reading them takes some milliseconds. A name in the set is at most 64 characters, as the column wants it."""
    return {name for name in zoneinfo.available_timezones() if len(name) <= 64}


class TenantOut(Out, frozen=True, kw_only=True):
    """A seller's company and its settings.

    `sync_interval_minutes` is what the tenant wishes; `effective_sync_interval_minutes` is how often its accounts are really synced: no more often than its keys
    and marketplaces allow to learn anything new. `sync_paused`: the service's operator holds up the syncs of one of its accounts or of all, and they go on by
    themselves when that ends; each sync that waits for it says so.

    `next_sync_at` is null while the schedule is off: with `sync_enabled` false, or without a key that a marketplace accepts.
    `digest_hour` is in the tenant's time zone; null means no digest.
    """

    EXAMPLE: ClassVar[dict[str, object]] = {
        "id": "019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d5e",
        "name": "Romashka LLC",
        "marketplace_type": "wildberries",
        "language": "ru",
        "time_zone": "Europe/Moscow",
        "google_sheet_id": None,
        "sync_enabled": True,
        "sync_interval_minutes": 30,
        "effective_sync_interval_minutes": 30,
        "sync_paused": False,
        "low_stock_threshold": 5,
        "digest_hour": 9,
        "next_sync_at": "2026-11-22T10:17:42Z",
        "created_at": "2026-11-20T08:00:00Z",
        "updated_at": "2026-11-22T10:00:00Z",
    }

    id: UUID
    name: str
    marketplace_type: Marketplace
    language: Language
    time_zone: str
    google_sheet_id: str | None
    sync_enabled: bool
    sync_interval_minutes: int
    effective_sync_interval_minutes: int
    sync_paused: bool
    low_stock_threshold: int
    digest_hour: int | None
    next_sync_at: datetime | None
    created_at: datetime
    updated_at: datetime


class TenantPatch(In, frozen=True, kw_only=True):
    """What is left out stays as it is. Only `digest_hour` may be null.

    A `sync_interval_minutes` that is shorter than the keys allow is kept for a key that allows it; the answer's `effective_sync_interval_minutes` is what is done.
    """

    EXAMPLE: ClassVar[dict[str, object]] = {"sync_interval_minutes": 60, "low_stock_threshold": 10, "digest_hour": None}

    name: ShortText | UnsetType = UNSET
    language: Language | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET
    sync_enabled: bool | UnsetType = UNSET
    sync_interval_minutes: Annotated[int, Meta(ge=5, le=1440)] | UnsetType = UNSET
    low_stock_threshold: Annotated[int, Meta(ge=0, le=1_000_000)] | UnsetType = UNSET
    digest_hour: Annotated[int, Meta(ge=0, le=23)] | UnsetType | None = UNSET
