"""Lists by keyset: a page ends with a cursor, which is the sort key of its last row, and the next one begins behind it.

A cursor is opaque: eight bytes that check the whole, then the key as MessagePack, in base64url without padding. The check covers the
query too, so that a cursor is refused by any query but its own. It is no signature: whoever forges one only chooses where in his own
rows to begin.
"""

import base64
import hashlib
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from app.errors import FieldError, InvalidInput

Item = TypeVar("Item")

DEFAULT_LIMIT = 100
Limit = Annotated[int, Meta(ge=1, le=500, description="How many items at most.", examples=[100])]
"""As a parameter: `limit: FromQuery[Limit] = DEFAULT_LIMIT`."""

MAX_CURSOR_LENGTH = 2048
Cursor = Annotated[str, Meta(min_length=1, max_length=MAX_CURSOR_LENGTH, description="`next_cursor` of the page before.")]
"""As a parameter: `cursor: FromQuery[Cursor | None] = None`."""

_CHECK_LENGTH = 8
_MAX_INT = 2**63 - 1  # PostgreSQL's bigint


class PageOut(msgspec.Struct, Generic[Item], frozen=True):
    """One page of a list. `next_cursor` is null on the last one."""

    items: list[Item]
    next_cursor: str | None


def encode_cursor(query: tuple[object, ...], key: tuple[str | int | UUID | datetime | None, ...]) -> str:
    """The cursor of a page that ended at `key`.

    `query` is all that decides which rows there are and in which order: the list's name, its filters, its sort.
    """
    values = msgspec.msgpack.encode(key)
    return _to_text(_check(query, values) + values)


def decode_cursor(cursor: str, query: tuple[object, ...], types: tuple[Any, ...]) -> tuple[Any, ...]:
    """The key that the cursor was made of, as values of these types: `str`, `int`, `UUID`, `datetime`, each also `| None`.

    Raises:
        InvalidInput: the cursor belongs to another query, or is none of ours; it names `cursor`.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        check, values = raw[:_CHECK_LENGTH], raw[_CHECK_LENGTH:]
        # base64 has several spellings of the same bytes; only ours is a cursor.
        if len(cursor) > MAX_CURSOR_LENGTH or _to_text(raw) != cursor or check != _check(query, values):
            raise ValueError
        key = _decoder(types).decode(values)
        if not all(_storable(value) for value in key):
            raise ValueError
    except (ValueError, msgspec.MsgspecError):
        message = "Not a cursor of this list with these filters; leave it out to begin anew."
        raise InvalidInput("The cursor does not belong to this query.", (FieldError("cursor", message),)) from None
    return key


def _to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _check(query: tuple[object, ...], values: bytes) -> bytes:
    return hashlib.blake2b(msgspec.msgpack.encode((query, values)), digest_size=_CHECK_LENGTH).digest()


@lru_cache(256)
def _decoder(types: tuple[Any, ...]) -> msgspec.msgpack.Decoder[tuple[Any, ...]]:
    return msgspec.msgpack.Decoder(tuple[types])


def _storable(value: object) -> bool:
    """PostgreSQL takes it. Only a forged cursor has such values."""
    match value:
        case str():
            return "\0" not in value
        case int():
            return -_MAX_INT <= value <= _MAX_INT
        case datetime():
            # Ours are in UTC. A time near the end of the years has no place there.
            return value.utcoffset() == timedelta()
        case _:
            return True
