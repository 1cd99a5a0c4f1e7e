"""What a Wildberries key says of itself, read without asking anybody.

A key is a JWT. Wildberries publishes no key to check its signature with, so all of this is a claim; whether the token is genuine, only
Wildberries says. Source: dev.wildberries.ru, "Introduction to API", "Authorization" (fields and bits), as of 2026-11.
"""

import base64
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

from app.secret import Secret


class TokenType(StrEnum):
    """Which limits apply, and which methods are open. `TEST` serves the marketplace's sandbox only."""

    BASE = "base"
    TEST = "test"
    PERSONAL = "personal"
    SERVICE = "service"


class Access(StrEnum):
    """What Wildberries lets a key do: by the token's type, and for a Base token also by whether the service that uses it is registered and sends its secret.

    Limits and open methods depend on it. Source: dev.wildberries.ru, "Introduction to API", as of 2026-10-24.
    """

    PERSONAL = "personal"
    SERVICE = "service"
    BASE_WITH_SECRET = "base_with_secret"  # noqa: S105 - the name of a kind of access
    BASE = "base"


class Category(StrEnum):
    """What a seller ticks when making a token, in the words of the page where that is done. It can't be changed afterwards."""

    CONTENT = "Content"
    ANALYTICS = "Analytics"
    PRICES = "Prices and discounts"
    MARKETPLACE = "Marketplace"
    STATISTICS = "Statistics"

    @property
    def ru(self) -> str:
        """As the Russian cabinet has it."""
        return _IN_RUSSIAN[self]


_IN_RUSSIAN = {
    Category.CONTENT: "Контент",
    Category.ANALYTICS: "Аналитика",
    Category.PRICES: "Цены и скидки",
    Category.MARKETPLACE: "Маркетплейс",
    Category.STATISTICS: "Статистика",
}


class Token(msgspec.Struct, frozen=True):
    """A token's claims. None where it doesn't say; `categories` are None when unknown, empty when none of ours is ticked. `service_id` is that of the service
    for which a Service token was made."""

    seller_id: str | None
    type: TokenType | None
    service_id: str | None
    categories: frozenset[Category] | None
    expires_at: datetime | None
    read_only: bool | None

    def is_expired(self, at: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= at

    def may_have(self, *categories: Category) -> bool:
        """Whether one of these is ticked, or it can't be told."""
        return self.categories is None or not self.categories.isdisjoint(categories)


class _Payload(msgspec.Struct):
    sid: str | None = None
    s: int | None = None
    exp: int | float | None = None
    acc: int | None = None
    purpose: str | None = msgspec.field(name="for", default=None)
    t: bool | None = None


_BIT = {Category.CONTENT: 1, Category.ANALYTICS: 2, Category.PRICES: 3, Category.MARKETPLACE: 4, Category.STATISTICS: 5}
_READ_ONLY_BIT = 30
_TYPE_OF_ACC = {1: TokenType.BASE, 2: TokenType.TEST, 3: TokenType.PERSONAL, 4: TokenType.SERVICE}
_EPOCH = datetime.fromtimestamp(0, UTC)
# UUIDs today. Anybody can write a token, so what is taken over is bounded.
_SELLER_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_FOR_SERVICE = re.compile(r"asid:([0-9A-Za-z-]{1,64})")

_payload = msgspec.json.Decoder(_Payload)


def read_token(key: Secret) -> Token | None:
    """The claims; None if the key can't be read, which proves nothing: the form is internal to Wildberries and may change."""
    parts = key.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        payload = _payload.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None
    return Token(
        seller_id=payload.sid if payload.sid and _SELLER_ID.fullmatch(payload.sid) else None,
        type=_type(payload),
        service_id=for_service[1] if (for_service := _FOR_SERVICE.fullmatch(payload.purpose or "")) else None,
        categories=None if payload.s is None else frozenset(category for category, bit in _BIT.items() if payload.s >> bit & 1),
        expires_at=_instant(payload.exp),
        read_only=None if payload.s is None else bool(payload.s >> _READ_ONLY_BIT & 1),
    )


def access_of(token: Token | None, has_secret: bool) -> Access:
    """What a key may do. One that can't be read is taken for a good one: Wildberries refuses what it may not."""
    match token.type if token else None:
        case TokenType.SERVICE:
            return Access.SERVICE
        case TokenType.BASE if has_secret:
            return Access.BASE_WITH_SECRET
        case TokenType.BASE | TokenType.TEST:
            return Access.BASE
        case TokenType.PERSONAL | None:
            return Access.PERSONAL


def _type(payload: _Payload) -> TokenType | None:
    if payload.t:
        return TokenType.TEST
    if payload.acc in _TYPE_OF_ACC:
        return _TYPE_OF_ACC[payload.acc]
    # Tokens of before spring 2026 have no `acc`; what they are for tells two of the types.
    if payload.purpose == "self":
        return TokenType.PERSONAL
    if payload.purpose is not None and payload.purpose.startswith("asid:"):
        return TokenType.SERVICE
    return None


def _instant(unix_s: float | None) -> datetime | None:
    try:
        return None if unix_s is None else _EPOCH + timedelta(seconds=unix_s)
    except (OverflowError, ValueError):
        return None
