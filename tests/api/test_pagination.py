"""Cursors: they come back as they went, and nothing else passes for one."""

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from app.api.pagination import PageOut, decode_cursor, encode_cursor
from app.errors import InvalidInput
from app.ids import new_id

QUERY = ("products", "wildberries", None, "title")
KEY = ("Шарф красный", 7, new_id(), datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC), None)
TYPES = (str, int, UUID, datetime, str | None)


def test_a_cursor_gives_back_the_key_it_was_made_of() -> None:
    cursor = encode_cursor(QUERY, KEY)

    key = decode_cursor(cursor, QUERY, TYPES)

    assert key == KEY


def test_a_cursor_needs_no_escaping_in_an_address() -> None:
    cursor = encode_cursor(QUERY, KEY)

    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize("other", [("products", "ozon", None, "title"), ("orders", "wildberries", None, "title"), ("products",), ()])
def test_a_cursor_of_another_query_is_refused(other: tuple[object, ...]) -> None:
    cursor = encode_cursor(QUERY, KEY)

    with pytest.raises(InvalidInput) as refused:
        decode_cursor(cursor, other, TYPES)

    assert [error.field for error in refused.value.errors] == ["cursor"]


def test_a_cursor_with_any_one_character_changed_is_refused() -> None:
    cursor = encode_cursor(QUERY, KEY)

    for position, character in enumerate(cursor):
        mangled = cursor[:position] + ("A" if character != "A" else "B") + cursor[position + 1 :]
        with pytest.raises(InvalidInput):
            decode_cursor(mangled, QUERY, TYPES)


@pytest.mark.parametrize("cursor", ["", "x", "====", "не курсор", "AAAAAAAAAAA", "\0", "A" * 5000, encode_cursor(QUERY, KEY) + "=", "a b"])
def test_what_is_no_cursor_is_refused_by_name(cursor: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_cursor(cursor, QUERY, TYPES)

    assert [error.field for error in refused.value.errors] == ["cursor"]


@pytest.mark.parametrize(
    ("key", "types"),
    [
        (("7",), (int,)),
        ((7,), (str,)),
        ((1, 2), (int,)),
        (("no-uuid",), (UUID,)),
        (("a\0b",), (str,)),
        ((2**63,), (int,)),
        (("2026-11-22T10:00:00",), (datetime,)),
        # In UTC these are outside the years 1 to 9999, which are all that Python's driver knows.
        (("0001-01-01T00:00:00+14:00",), (datetime,)),
        (("9999-12-31T23:59:59-14:00",), (datetime,)),
    ],
)
def test_a_forged_key_that_the_database_would_choke_on_is_refused(key: tuple[Any, ...], types: tuple[Any, ...]) -> None:
    forged = encode_cursor(QUERY, key)

    with pytest.raises(InvalidInput):
        decode_cursor(forged, QUERY, types)


def test_a_stripped_check_is_refused() -> None:
    raw = base64.urlsafe_b64decode(encode_cursor(("q",), (1,)) + "==")
    unchecked = base64.urlsafe_b64encode(b"\0" * 8 + raw[8:]).rstrip(b"=").decode()

    with pytest.raises(InvalidInput):
        decode_cursor(unchecked, ("q",), (int,))


def test_the_last_page_says_that_it_is_the_last() -> None:
    page = PageOut([1, 2], None)

    assert msgspec.json.encode(page) == b'{"items":[1,2],"next_cursor":null}'
