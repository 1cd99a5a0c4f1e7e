"""Keys and OAuth tokens as Ozon gives them to sellers: made here, and read as its gateway reads them.

Real ones are opaque; these carry what they are good for, so that they work without any other call.
"""

import base64
import os
import time
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from app.sandbox.ozon.roles import READ_ONLY, ROLES
from app.sandbox.shop import MAX_PRODUCTS

VALIDITY_S = 90 * 24 * 3600
"""How long a new key lives since 2026-09-02, in seconds."""

TOKEN_VALIDITY_S = 1800
"""How long an OAuth token lives, in seconds."""

MAX_CLIENT_ID = 2**63 - 1


class Key(msgspec.Struct, frozen=True):
    """`closed` are methods that it doesn't open though a role of it would. `products` is how many the seller's shop has when it is first met."""

    client_id: Annotated[int, Meta(ge=1, le=MAX_CLIENT_ID)]
    kind: Literal["key", "token"]
    roles: tuple[str, ...]
    closed: tuple[str, ...]
    expires_at_s: float
    nonce: str
    products: Annotated[int, Meta(ge=0, le=MAX_PRODUCTS)] | None = None

    @property
    def seller_id(self) -> UUID:
        return seller_of(self.client_id)

    def methods_of(self, role: str) -> list[str]:
        """Paths, or beginnings of paths."""
        return [path for path in ROLES.get(role, ()) if path not in self.closed]

    def opens(self, path: str) -> bool:
        opened = (beginning for role in self.roles for beginning in self.methods_of(role))
        return path not in self.closed and any(path == beginning or path.startswith(f"{beginning}/") for beginning in opened)


_decoder = msgspec.json.Decoder(Key)


def seller_of(client_id: int) -> UUID:
    """By which the sandbox knows the seller everywhere else."""
    return UUID(int=client_id)


def issue_ozon_key(
    client_id: int | str,
    *,
    products: int | None = None,
    roles: Iterable[str] = (READ_ONLY,),
    closed: Iterable[str] = (),
    expires_at: datetime | None = None,
) -> str:
    """An `Api-Key` that goes with this `Client-Id`, good for 90 days if not told otherwise.

    `roles` are names of `ROLES`; `closed` takes single methods away from them. With `products`, the shop that the seller gets on first use has that
    many, each in all its sizes; no other call is needed.

    Raises:
        ValueError: no such role, not a positive client id, too many products, or an instant without time zone.
    """
    return _issue("key", client_id, products, tuple(roles), tuple(closed), expires_at, VALIDITY_S)


def issue_ozon_token(
    client_id: int | str,
    *,
    products: int | None = None,
    roles: Iterable[str] = (READ_ONLY,),
    closed: Iterable[str] = (),
    expires_at: datetime | None = None,
) -> str:
    """The same as an OAuth token for `Authorization: Bearer`, good for half an hour if not told otherwise."""
    return _issue("token", client_id, products, tuple(roles), tuple(closed), expires_at, TOKEN_VALIDITY_S)


def _issue(
    kind: Literal["key", "token"],
    client_id: int | str,
    products: int | None,
    roles: tuple[str, ...],
    closed: tuple[str, ...],
    expires_at: datetime | None,
    validity_s: float,
) -> str:
    if unknown := set(roles) - ROLES.keys():
        raise ValueError(f"There is no role {', '.join(sorted(unknown))}.")
    if not 1 <= int(client_id) <= MAX_CLIENT_ID:
        raise ValueError("A client id is a positive integer.")
    if products is not None and not 0 <= products <= MAX_PRODUCTS:
        raise ValueError(f"A shop of the sandbox has 0 to {MAX_PRODUCTS} products.")
    if expires_at is not None and expires_at.tzinfo is None:
        raise ValueError("expires_at needs a time zone.")
    expires_at_s = expires_at.timestamp() if expires_at else time.time() + validity_s
    key = Key(int(client_id), kind, roles, closed, expires_at_s, os.urandom(8).hex(), products)
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


@lru_cache(maxsize=20_000)
def read_key(text: str) -> Key | None:
    """None: nobody was given that."""
    try:
        return _decoder.decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except ValueError:
        return None
