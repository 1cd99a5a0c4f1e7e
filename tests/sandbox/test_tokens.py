"""Tokens look and read as Wildberries' do."""

import base64
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import pytest

from app.sandbox.tokens import Category, MalformedToken, TokenType, issue_token, read_token

SELLER = UUID("7f6c2a10-5f0f-4a67-9b0e-3a2f6d1c9e55")


def payload(token: str) -> dict[str, object]:
    part = token.split(".")[1]
    return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_a_token_carries_the_documented_claims_and_nothing_else() -> None:
    claims = payload(issue_token(SELLER, expires_at=datetime(2027, 5, 20, tzinfo=UTC)))

    assert claims.pop("id") != payload(issue_token(SELLER))["id"]
    assert claims == {"sid": str(SELLER), "s": 1073741886, "exp": 1810771200, "acc": 3, "for": "self", "t": False}


@pytest.mark.parametrize(
    ("token_type", "acc", "purpose", "test"),
    [
        ("base", 1, None, False),
        ("test", 2, None, True),
        ("personal", 3, "self", False),
        ("service", 4, "asid:00000000-0000-4000-8000-000000000001", False),
    ],
)
def test_each_type_has_its_own_claims(token_type: TokenType, acc: int, purpose: str | None, test: bool) -> None:
    token = issue_token(SELLER, token_type=token_type)

    claims = payload(token)
    assert (claims["acc"], claims.get("for"), claims["t"]) == (acc, purpose, test)
    assert read_token(token).token_type == token_type


def test_categories_and_the_right_to_write_are_bits() -> None:
    token = read_token(issue_token(SELLER, categories=[Category.CONTENT, Category.CONTENT, Category.STATISTICS], read_only=False))

    assert token.s == 2 + 32
    assert [category for category in Category if token.allows(category)] == [Category.CONTENT, Category.STATISTICS]


def test_a_token_lives_180_days_if_nobody_says_otherwise() -> None:
    assert read_token(issue_token(SELLER)).exp == pytest.approx(time.time() + 180 * 86400, abs=5)


def test_the_size_of_the_shop_travels_in_a_claim_of_its_own() -> None:
    assert payload(issue_token(SELLER, products=5000))["sandbox_products"] == 5000
    assert read_token(issue_token(SELLER)).sandbox_products is None


def test_the_header_says_es256_and_the_signature_is_as_long_as_one() -> None:
    header, _, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in issue_token(SELLER).split("."))

    assert msgspec.json.decode(header)["alg"] == "ES256"
    assert len(signature) == 64


def test_a_token_that_can_not_be_is_not_issued() -> None:
    with pytest.raises(ValueError, match="UUID"):
        issue_token("a shop")
    with pytest.raises(ValueError, match="200000"):
        issue_token(SELLER, products=200_001)
    with pytest.raises(ValueError, match="time zone"):
        issue_token(SELLER, expires_at=datetime(2027, 1, 1))  # noqa: DTZ001, the fault that is tested


def test_what_is_no_token_says_why() -> None:
    good = issue_token(uuid4())
    header, claims, signature = good.split(".")

    for text, why in (
        ("nonsense", "number of segments"),
        (f"{header}.{claims}.{signature}!", "decode signature"),
        (f"{header}.!{claims}.{signature}", "decode claim"),
        (f"{header}.{header}.{signature}", "JSON decode claim"),
        ("ключ", "number of segments"),
        ("ключ.ключ.ключ", "decode header"),
    ):
        with pytest.raises(MalformedToken, match=why):
            read_token(text)
