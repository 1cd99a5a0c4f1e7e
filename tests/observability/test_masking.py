"""What looks like a secret, or stands where one stands, is not written."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from app.observability.masking import mask_secrets, mask_text
from app.secret import Secret

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl_-x"


@pytest.mark.parametrize(
    "secret",
    [
        JWT,
        "eyJhbGciOiJFUzI1NiIsImtpZCI6IjIwMjUwOTA0djEi",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
        "stk_01jd3k_9mQ2xVq7",
        "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END PRIVATE KEY-----",
    ],
)
@pytest.mark.parametrize("sentence", ["{}", "Wildberries said: {} is expired", '{{"detail": "{}"}}', "({})"])
def test_secrets_are_known_by_their_looks(secret: str, sentence: str) -> None:
    masked = mask_text(sentence.format(secret))

    assert masked == sentence.format("***")


def test_a_private_key_that_was_cut_off_is_masked_to_the_end() -> None:
    assert mask_text("key: -----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0") == "key: ***"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://app:s3cret@db:5432/stock", "postgresql://***@db:5432/stock"),
        ("redis://:s3cret@cache:6379/0", "redis://***@cache:6379/0"),
        ("Authorization: Bearer s3cret-s3cret", "Authorization: Bearer ***"),
        ("{'password': 's3cret', 'user': 'anna'}", "{'password': '***', 'user': 'anna'}"),
        ('"api_key":"s3cret"}', '"api_key":"***"}'),
        ("GET /v1?api-key=s3cret&page=2", "GET /v1?api-key=***&page=2"),
        ("refresh_token=s3cret, next", "refresh_token=***, next"),
    ],
)
def test_secrets_are_known_by_what_they_are_assigned_to(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    "text", ["run_finished", "https://api.ozon.ru/v3/products?page=2", "2026-11-22T10:00:00Z", "a token is missing", "12:30:59"]
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "new_password",
        "Authorization",
        "api_key",
        "apiKey",
        "wildberries_api_key",
        "refresh_token",
        "client_secret",
        "credentials",
    ],
)
def test_what_stands_under_a_secrets_name_is_masked(name: str) -> None:
    event = mask_secrets(None, "info", {"event": "x", name: "plain", "nested": {"list": [{name: "plain"}]}})

    assert event == {"event": "x", name: "***", "nested": {"list": [{name: "***"}]}}


def test_everything_below_a_secrets_name_is_masked() -> None:
    event = mask_secrets(None, "info", {"credentials": {"wildberries": ["plain", {"key": "plain"}]}})

    assert event == {"credentials": {"wildberries": ["***", {"key": "***"}]}}


def test_secrets_mask_themselves_wherever_they_are() -> None:
    event = mask_secrets(None, "info", {"key": Secret("plain"), "keys": [Secret("plain")]})

    assert event == {"key": "***", "keys": ["***"]}


def test_counts_flags_ids_and_times_stay_as_they_are() -> None:
    plain = {"count": 3, "ok": True, "id": UUID(int=1), "at": datetime(2026, 11, 22, tzinfo=UTC), "none": None, "tokens_used": 7}

    assert mask_secrets(None, "info", dict(plain)) == plain


def test_an_object_is_written_as_its_masked_repr() -> None:
    event = mask_secrets(None, "info", {"error": ValueError(f"bad token {JWT}")})

    assert event == {"error": "ValueError('bad token ***')"}
