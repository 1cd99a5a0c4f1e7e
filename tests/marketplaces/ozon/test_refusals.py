"""What Ozon's errors mean."""

import json
from datetime import timedelta

import httpx
import pytest

from app.marketplaces.errors import (
    EXCERPT_LENGTH,
    CredentialsRejected,
    MarketplaceDown,
    MarketplaceError,
    MethodGone,
    RateLimited,
    ScopeMissing,
    UnexpectedResponse,
)
from app.marketplaces.exchange import Answer
from app.marketplaces.ozon.methods import FBS_POSTINGS
from app.marketplaces.ozon.refusals import METHOD_CLOSED_FOR, USUAL_WAIT, MethodClosed, ShopBlocked, refusal

HTML = b"<html><body><h1>503 Service Unavailable</h1></body></html>"


def answer(status: int, body: object = b"", **headers: str) -> Answer:
    return Answer(status, httpx.Headers(headers), body if isinstance(body, bytes) else json.dumps(body).encode())


def message(text: str, code: int | str = 7) -> dict[str, object]:
    return {"code": code, "message": text, "details": []}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, message("Invalid Api-Key, please check the key and try again", 5), CredentialsRejected),
        (403, message("Api-key is deactivated, use another one or generate a new one"), CredentialsRejected),
        (403, message("Api-Key is restricted to specific IP addresses"), CredentialsRejected),
        (401, message("Client-Id and Api-Key headers are required", 16), CredentialsRejected),
        (401, b"", CredentialsRejected),
        (400, message("Client-Id header value should be positive integer", 3), CredentialsRejected),
        (403, message("Api-Key is missing a required role for a method"), ScopeMissing),
        (403, message("method is not available with existing subscription"), ScopeMissing),
        (403, message("Company is blocked, please contact support"), ShopBlocked),
        (403, message("Offer not signed"), ShopBlocked),
        (403, HTML, UnexpectedResponse),
        (404, message("Not Found", 5), MethodGone),
        (404, b"404 page not found", MethodGone),
        (405, b"", MethodGone),
        (410, b"", MethodGone),
        (400, message("obsolete method cannot be used", 9), MethodGone),
        (400, message("Request validation error: invalid Request.Limit: value must be inside range (0, 1000]", 3), UnexpectedResponse),
        (400, message("PERIOD_IS_TOO_LONG", "INVALID_ARGUMENT"), UnexpectedResponse),
        (409, message("conflict", 6), UnexpectedResponse),
        (301, b"", UnexpectedResponse),
        (408, b"", MarketplaceDown),
        (500, message("Internal error", 13), MarketplaceDown),
        (503, HTML, MarketplaceDown),
        (504, b"", MarketplaceDown),
        (429, message("You have reached request rate limit per second", 8), RateLimited),
        (429, message("You have reached operation items limits. Retry after 120 seconds.", "RESOURCE_EXHAUSTED"), RateLimited),
        (429, b"\xff\xfe", RateLimited),
        (503, message("Circle is open", 14), MethodClosed),
        (429, message("Circle is open", 8), MethodClosed),
        (400, b"Circle is open", MethodClosed),
    ],
)
def test_a_refusal_is_the_error_that_says_what_to_do(status: int, body: object, expected: type[MarketplaceError]) -> None:
    error = refusal(answer(status, body), FBS_POSTINGS)

    assert type(error) is expected
    assert error.detail
    assert error.detail_ru
    assert any("а" <= letter <= "я" for letter in error.detail_ru)


def test_a_missing_role_is_told_with_the_role_to_choose() -> None:
    error = refusal(answer(403, message("Api-Key is missing a required role for a method")), FBS_POSTINGS)

    assert isinstance(error, ScopeMissing)
    assert error.scope == "Admin read only"
    assert "/v4/posting/fbs/list" in error.detail
    assert "«Admin read only»" in error.detail_ru


@pytest.mark.parametrize(
    ("told", "wait"),
    [
        ({}, USUAL_WAIT),
        ({"Retry-After": "1"}, timedelta(seconds=1)),
        ({"Retry-After": "0"}, timedelta(seconds=1)),
        ({"Retry-After": "10299"}, timedelta(seconds=10299)),
        ({"Retry-After": "1e12"}, timedelta(days=1)),
        ({"Retry-After": "nan"}, USUAL_WAIT),
        ({"Retry-After": "-5"}, USUAL_WAIT),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, USUAL_WAIT),
    ],
)
def test_how_long_to_wait_is_what_ozon_says_as_far_as_it_makes_sense(told: dict[str, str], wait: timedelta) -> None:
    error = refusal(answer(429, b"", **told), FBS_POSTINGS)

    assert isinstance(error, RateLimited)
    assert error.retry_after == wait


def test_a_closed_method_is_left_alone_for_minutes_whatever_the_header_says() -> None:
    error = refusal(answer(429, message("Circle is open"), **{"Retry-After": "1"}), FBS_POSTINGS)

    assert isinstance(error, MethodClosed)
    assert error.retry_after == METHOD_CLOSED_FOR >= timedelta(minutes=1)


def test_the_log_gets_the_number_of_the_call_and_no_long_text() -> None:
    error = refusal(answer(500, b"x" * 5000, **{"x-o3-trace-id": "abc123" * 100}), FBS_POSTINGS)

    assert error.excerpt.startswith("[abc123")
    assert "] xxx" in error.excerpt
    assert len(error.excerpt) == EXCERPT_LENGTH
