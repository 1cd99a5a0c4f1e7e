import json
from datetime import timedelta

import httpx
import pytest

from app.marketplaces.errors import (
    CredentialsRejected,
    MarketplaceDown,
    MarketplaceError,
    MethodGone,
    RateLimited,
    ScopeMissing,
    UnexpectedResponse,
)
from app.marketplaces.exchange import Answer
from app.marketplaces.wildberries.methods import CARDS_LIST, SELLER_WAREHOUSES, WB_WAREHOUSES
from app.marketplaces.wildberries.refusals import BLOCKED_FOR, USUAL_WAIT, ClosedToKey, NothingThere, refusal

HTML = b"<html><body><h1>Forbidden</h1></body></html>"


def answer(status: int, body: object = b"", **headers: str) -> Answer:
    return Answer(status, httpx.Headers(headers), body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"title": "unauthorized", "detail": "token problem; token is malformed: could not base64 decode"}, CredentialsRejected),
        (401, {"status": 401, "title": "Unauthorized", "detail": "token expired", "origin": "ag-contentanalytics"}, CredentialsRejected),
        (401, {"title": "unauthorized", "detail": "access token has been withdrawn"}, CredentialsRejected),
        (401, HTML, CredentialsRejected),
        (401, b"", CredentialsRejected),
        (401, {"title": "unauthorized", "detail": "token scope not allowed"}, ScopeMissing),
        (402, {"title": "payment required", "detail": "the balance is exhausted"}, MarketplaceError),
        (403, {"title": "forbidden", "detail": "base token is not allowed"}, ClosedToKey),
        (
            403,
            {"title": "Forbidden", "detail": "token does not satisfy additional requirements", "origin": "ag-contentanalytics"},
            ClosedToKey,
        ),
        (403, {"data": None, "error": True, "errorText": "Access denied"}, ClosedToKey),
        (403, HTML, UnexpectedResponse),
        (404, {"title": "path not found", "detail": "Please consult the documentation"}, MethodGone),
        (404, {"code": "PLUG-404-20260720"}, MethodGone),
        (404, {"detail": "This method is temporarily disabled"}, MethodGone),
        (404, HTML, UnexpectedResponse),
        (404, {"title": "Not Found", "detail": "task not found", "origin": "api-statistics"}, NothingThere),
        (405, b"", MethodGone),
        (410, b"", MethodGone),
        (406, b"", RateLimited),
        (408, b"", MarketplaceDown),
        (400, b"Request body can not be decoded", UnexpectedResponse),
        (400, {"errors": "dateFrom: Value not validated"}, UnexpectedResponse),
        (400, {"errors": ["dateFrom: field required"]}, UnexpectedResponse),
        (409, b"", UnexpectedResponse),
        (413, HTML, UnexpectedResponse),
        (422, b"", UnexpectedResponse),
        (301, b"", UnexpectedResponse),
        (201, b"", UnexpectedResponse),
        (429, {"title": "too many requests", "detail": "limited by 11111111-2222-4333-8444-555555555555"}, RateLimited),
        (500, b"", MarketplaceDown),
        (502, HTML, MarketplaceDown),
        (503, {"title": "unavailable"}, MarketplaceDown),
        (599, b"\xff\xfe", MarketplaceDown),
    ],
)
def test_each_refusal_is_the_error_that_says_what_to_do(status: int, body: object, expected: object) -> None:
    error = refusal(answer(status, body), CARDS_LIST)

    assert type(error) is expected


def test_the_sellers_box_to_tick_is_named() -> None:
    error = refusal(answer(401, {"detail": "token scope not allowed"}), WB_WAREHOUSES)

    assert isinstance(error, ScopeMissing)
    assert error.scope == "Analytics"
    assert error.detail == "The key lacks the category “Analytics”. Make a new one in which this box is ticked."
    assert error.detail_ru == "У ключа нет категории «Аналитика». Создайте новый ключ, в котором она отмечена."


def test_a_report_that_is_closed_to_the_type_of_token_says_to_which_it_is_open() -> None:
    error = refusal(answer(403, {"code": "base token is not allowed for this path"}), SELLER_WAREHOUSES)

    assert isinstance(error, ScopeMissing)
    assert error.scope == "Analytics"
    assert error.detail == "Wildberries gives the stock of the seller's warehouses to Personal and Service tokens only."
    assert error.detail_ru == "Отчёт об остатках на складах продавца доступен только персональному и сервисному токенам."


def test_an_expired_key_is_told_from_a_wrong_one() -> None:
    expired = refusal(answer(401, {"detail": "token expired"}), CARDS_LIST)
    wrong = refusal(answer(401, {"detail": "token problem; token is malformed"}), CARDS_LIST)

    assert expired.detail == "Wildberries says that the key has expired."
    assert wrong.detail == "Wildberries does not accept the key."


@pytest.mark.parametrize("header", ["X-Ratelimit-Retry", "x-ratelimit-retry", "X-RateLimit-Retry"])
def test_the_wait_is_read_however_the_header_is_spelt(header: str) -> None:
    error = refusal(answer(429, **{header: "18236"}), WB_WAREHOUSES)

    assert isinstance(error, RateLimited)
    assert error.retry_after == timedelta(seconds=18236)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0.25", timedelta(seconds=1)),
        ("0", timedelta(seconds=1)),
        ("20", timedelta(seconds=20)),
        ("999999999999", timedelta(days=1)),
        ("-5", USUAL_WAIT),
        ("soon", USUAL_WAIT),
        ("nan", USUAL_WAIT),
        ("inf", USUAL_WAIT),
        ("", USUAL_WAIT),
        ("9" * 400, USUAL_WAIT),
    ],
)
def test_a_nonsensical_wait_is_bounded(value: str, expected: object) -> None:
    error = refusal(answer(429, **{"X-Ratelimit-Retry": value}), WB_WAREHOUSES)

    assert isinstance(error, RateLimited)
    assert error.retry_after == expected


def test_a_429_without_a_wait_and_a_block_have_a_wait_all_the_same() -> None:
    unsaid = refusal(answer(429), CARDS_LIST)
    blocked = refusal(answer(406), CARDS_LIST)

    assert isinstance(unsaid, RateLimited)
    assert unsaid.retry_after == USUAL_WAIT
    assert isinstance(blocked, RateLimited)
    assert blocked.retry_after == BLOCKED_FOR


def test_what_the_marketplace_says_stays_out_of_our_sentence() -> None:
    error = refusal(answer(400, {"detail": "<b>pay here</b>"}), CARDS_LIST)

    assert error.detail == "Wildberries answered /content/v2/get/cards/list with status 400."
    assert "pay here" in error.excerpt
