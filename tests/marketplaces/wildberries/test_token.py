import base64
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from app.marketplaces.wildberries.token import Category, TokenType, read_token
from app.secret import Secret
from tests.marketplaces.keys import SELLER_ID, make_key


def test_a_service_key_tells_all_of_itself() -> None:
    token = read_token(make_key(exp=1810857600))

    assert token is not None
    assert token.seller_id == SELLER_ID
    assert token.type is TokenType.SERVICE
    assert token.categories == set(Category)
    assert token.expires_at == datetime(2027, 5, 21, tzinfo=UTC)
    assert token.read_only is True


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"acc": 1, "for": None}, TokenType.BASE),
        ({"acc": 2, "for": None, "t": True}, TokenType.TEST),
        ({"acc": 3, "for": "self"}, TokenType.PERSONAL),
        ({"acc": None, "for": None, "t": True}, TokenType.TEST),
        ({"acc": None, "for": "self"}, TokenType.PERSONAL),
        ({"acc": None, "for": "asid:1", "t": None}, TokenType.SERVICE),
        ({"acc": None, "for": None, "t": False}, None),
        ({"acc": 99, "for": None}, None),
    ],
)
def test_the_type_is_told_by_acc_or_else_by_what_the_key_is_for(claims: dict[str, object], expected: TokenType | None) -> None:
    token = read_token(make_key(**claims))

    assert token is not None
    assert token.type is expected


@pytest.mark.parametrize(
    ("bit", "category"),
    [(1, Category.CONTENT), (2, Category.ANALYTICS), (3, Category.PRICES), (4, Category.MARKETPLACE), (5, Category.STATISTICS)],
)
def test_each_category_has_its_bit(bit: int, category: Category) -> None:
    token = read_token(make_key(s=1 << bit))

    assert token is not None
    assert token.categories == {category}
    assert token.read_only is False


def test_a_key_without_claims_is_readable_and_says_nothing() -> None:
    token = read_token(make_key(sid=None, s=None, exp=None, acc=None, t=None, **{"for": None}))

    assert token is not None
    assert msgspec.structs.astuple(token) == (None,) * 6
    assert not token.is_expired(datetime.now(UTC))


def test_a_key_is_expired_from_its_last_second_on() -> None:
    token = read_token(make_key(exp=int(time.time())))

    assert token is not None
    assert token.expires_at is not None
    assert token.is_expired(token.expires_at)
    assert not token.is_expired(token.expires_at - timedelta(seconds=1))


def payload(raw: bytes) -> str:
    return f"e30.{base64.urlsafe_b64encode(raw).decode()}.sig"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "not a token",
        "a.b",
        "a.b.c.d",
        "a.%%%.c",
        "a.é.c",
        payload(b"[]"),
        payload(b"{"),
        payload(b'{"s": "62"}'),
        payload(b'{"sid": "\xff"}'),
        payload(b'{"exp": "soon"}'),
        payload(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ],
)
def test_a_key_that_cannot_be_read_is_none(key: str) -> None:
    assert read_token(Secret(key)) is None


@pytest.mark.parametrize("exp", [10**30, -(10**30), 1e300])
def test_an_instant_beyond_the_calendar_is_unknown(exp: float) -> None:
    token = read_token(make_key(exp=exp))

    assert token is not None
    assert token.expires_at is None


@pytest.mark.parametrize("sid", ["x" * 1000, "7f6c\0", "'; --", ""])
def test_a_seller_id_that_cannot_be_one_is_not_taken_over(sid: str) -> None:
    token = read_token(make_key(sid=sid))

    assert token is not None
    assert token.seller_id is None
