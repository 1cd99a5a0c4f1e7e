import base64
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from app.secret import Secret
from app.webhooks.signing import new_secret, sign

BODY = '{"type": "sync.completed", "data": {"message": "Готово"}}'.encode()


def now() -> datetime:
    return datetime.now(UTC)


def test_a_public_library_verifies_a_message() -> None:
    secret = new_secret()

    headers = sign("msg_1", now(), BODY, [secret])

    event = Webhook(secret.reveal()).verify(BODY, headers)
    assert event["data"]["message"] == "Готово"


@pytest.mark.parametrize("change", ["body", "timestamp", "id", "secret"])
def test_a_public_library_refuses_a_message_of_which_one_thing_was_changed(change: str) -> None:
    secret = new_secret()
    headers = sign("msg_1", now(), BODY, [secret])
    body = BODY + b" " if change == "body" else BODY
    if change == "timestamp":
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) + 1)
    if change == "id":
        headers["webhook-id"] = "msg_2"
    verifier = Webhook((new_secret() if change == "secret" else secret).reveal())

    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        verifier.verify(body, headers)


def test_the_time_is_the_attempts_own_so_an_old_message_can_not_be_played_again() -> None:
    secret = new_secret()

    headers = sign("msg_1", now() - timedelta(minutes=6), BODY, [secret])

    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(secret.reveal()).verify(BODY, headers)


def test_an_instant_of_another_zone_is_the_same_instant() -> None:
    secret, sent_at = new_secret(), now()
    moscow = datetime.fromisoformat("2026-11-22T12:00:00+03:00").tzinfo

    assert sign("msg_1", sent_at.astimezone(moscow), BODY, [secret]) == sign("msg_1", sent_at, BODY, [secret])


def test_while_a_secret_is_rotated_the_old_and_the_new_one_verify() -> None:
    new, old = new_secret(), new_secret()

    headers = sign("msg_1", now(), BODY, [new, old])

    assert Webhook(new.reveal()).verify(BODY, headers)
    assert Webhook(old.reveal()).verify(BODY, headers)
    signatures = headers["webhook-signature"].split(" ")
    assert len(signatures) == 2
    assert all(signature.startswith("v1,") and signature.count(",") == 1 for signature in signatures)


def test_a_secret_is_32_random_bytes_in_standard_base64() -> None:
    secrets = [new_secret().reveal() for _ in range(200)]

    keys = {base64.b64decode(secret.removeprefix("whsec_"), validate=True) for secret in secrets}

    assert all(secret.startswith("whsec_") for secret in secrets)
    assert {len(key) for key in keys} == {32}
    assert len(keys) == 200


def test_a_secret_in_the_url_safe_alphabet_is_refused_rather_than_misread() -> None:
    url_safe = Secret("whsec_" + base64.urlsafe_b64encode(b"\xfb\xff" * 16).decode())

    with pytest.raises(ValueError, match="base64"):
        sign("msg_1", now(), BODY, [url_safe])


def test_nothing_is_sent_unsigned() -> None:
    with pytest.raises(ValueError, match="needs a secret"):
        sign("msg_1", now(), BODY, [])
