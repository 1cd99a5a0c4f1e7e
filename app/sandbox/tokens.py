"""Tokens as Wildberries gives them to sellers: made here, and read as its gateway reads them.

The payload is the documented one (portal chapter "Authorization", May 2026). Nobody outside Wildberries can verify a signature, so the
sandbox's are random bytes, and it accepts any.
"""

import base64
import binascii
import os
import time
import uuid
from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import msgspec

from app.sandbox.shop import MAX_PRODUCTS

TokenType: TypeAlias = Literal["base", "test", "personal", "service"]

VALIDITY_S = 180 * 24 * 3600
"""How long Wildberries' tokens live, in seconds."""

SANDBOX_SERVICE = "asid:00000000-0000-4000-8000-000000000001"
"""The service that the sandbox's service tokens are bound to."""

READ_ONLY_BIT = 30


class Category(IntEnum):
    """What a token may be used for: positions in the bit mask `s`."""

    CONTENT = 1
    ANALYTICS = 2
    PRICES = 3
    MARKETPLACE = 4
    STATISTICS = 5


class Token(msgspec.Struct, frozen=True):
    """The documented claims, and one of the sandbox's own: how many products the seller's shop has when it is first met."""

    sid: UUID
    s: int
    exp: int
    acc: Literal[1, 2, 3, 4]
    id: str = ""
    t: bool = False
    for_: str = msgspec.field(default="", name="for")
    sandbox_products: Annotated[int, msgspec.Meta(ge=0, le=MAX_PRODUCTS)] | None = None

    @property
    def token_type(self) -> TokenType:
        return _TYPES[self.acc]

    def allows(self, category: Category) -> bool:
        return bool(self.s >> category & 1)


class MalformedToken(Exception):
    """Not a token. The text is what Wildberries' gateway says of it."""


_TYPES: dict[int, TokenType] = {1: "base", 2: "test", 3: "personal", 4: "service"}
_HEADER = {"alg": "ES256", "kid": "20260101v1", "typ": "JWT"}

_decoder = msgspec.json.Decoder(Token)


def issue_token(
    seller_id: UUID | str,
    *,
    products: int | None = None,
    categories: Iterable[Category] = tuple(Category),
    token_type: TokenType = "personal",
    read_only: bool = True,
    expires_at: datetime | None = None,
    service: str = SANDBOX_SERVICE,
) -> str:
    """A token for the sandbox, good for 180 days if not told otherwise.

    `service` is whom a service token is bound to: the sandbox knows only its own. With `products`, the shop that the seller gets on first use has that many; no other call is needed.

    Raises:
        ValueError: the seller's id is not a UUID, there are too many products, or the instant has no time zone.
    """
    if products is not None and not 0 <= products <= MAX_PRODUCTS:
        raise ValueError(f"A shop of the sandbox has 0 to {MAX_PRODUCTS} products.")
    if expires_at is not None and expires_at.tzinfo is None:
        raise ValueError("expires_at needs a time zone.")
    payload: dict[str, object] = {
        "id": str(uuid.uuid4()),
        "sid": str(UUID(str(seller_id))),
        "s": sum(1 << category for category in set(categories)) | (read_only << READ_ONLY_BIT),
        "exp": int(expires_at.timestamp() if expires_at else time.time() + VALIDITY_S),
        "acc": next(acc for acc, name in _TYPES.items() if name == token_type),
        "t": token_type == "test",
    }
    if token_type in ("personal", "service"):
        payload["for"] = "self" if token_type == "personal" else service
    if products is not None:
        payload["sandbox_products"] = products
    return ".".join([_encode(msgspec.json.encode(_HEADER)), _encode(msgspec.json.encode(payload)), _encode(os.urandom(64))])


def read_token(text: str) -> Token:
    """The claims of a token.

    Raises:
        MalformedToken: it isn't one.
    """
    parts = text.split(".")
    if len(parts) != 3:
        raise MalformedToken("token contains an invalid number of segments")
    claims = b""
    for name, part in zip(("header", "claim", "signature"), parts, strict=True):
        try:
            decoded = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise MalformedToken(f"could not base64 decode {name}: illegal base64 data") from error
        if name == "claim":
            claims = decoded
    try:
        return _decoder.decode(claims)
    except msgspec.MsgspecError as error:
        raise MalformedToken("could not JSON decode claim") from error


def _encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
