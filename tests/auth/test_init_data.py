"""What Telegram says of whoever opened a Mini App."""

import base64
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.auth.init_data import PRODUCTION_KEY, TEST_KEY, InitDataExpired, InitDataInvalid, InitDataVerifier, Launch
from app.secret import Secret

BOT_ID = 7342037359
TOKEN = Secret(f"{BOT_ID}:{'k' * 35}")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TELEGRAM = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
BY_KEY = InitDataVerifier(BOT_ID, public_keys=[TELEGRAM.public_key().public_bytes_raw()])
BY_TOKEN = InitDataVerifier(BOT_ID, TOKEN)
USER = '{"id":123456789,"first_name":"Ромашка & Ко","language_code":"ru"}'

both = pytest.mark.parametrize("verifier", [BY_KEY, BY_TOKEN], ids=["by Telegram's key", "by the bot's token"])


def lines(fields: dict[str, str]) -> str:
    return "\n".join(f"{name}={fields[name]}" for name in sorted(fields))


def signed(fields: dict[str, str] | None = None, bot_id: int = BOT_ID, **changes: str) -> dict[str, str]:
    """The fields of a launch, with what Telegram adds for both ways of checking."""
    fields = {"query_id": "AAHdF6IQ", "user": USER, "auth_date": str(int(NOW.timestamp()) - 5), **(fields or {}), **changes}
    signature = TELEGRAM.sign(f"{bot_id}:WebAppData\n{lines(fields)}".encode())
    fields["signature"] = base64.urlsafe_b64encode(signature).decode().rstrip("=")
    secret = hmac.digest(b"WebAppData", TOKEN.reveal().encode(), "sha256")
    return {**fields, "hash": hmac.digest(secret, lines(fields).encode(), "sha256").hex()}


def at(moment: datetime) -> dict[str, str]:
    return signed(auth_date=str(int(moment.timestamp())))


@both
def test_the_user_of_a_signed_launch_is_known(verifier: InitDataVerifier):
    launch = verifier.verify(Secret(urlencode(signed())), NOW)

    assert launch.telegram_user_id == 123456789
    assert launch.expires_at == NOW - timedelta(seconds=5) + timedelta(hours=1)


@both
def test_the_same_launch_is_recognised_however_it_is_spelt(verifier: InitDataVerifier):
    fields = signed()
    spellings = [urlencode(fields), urlencode(fields, quote_via=quote), urlencode(dict(reversed(fields.items())))]

    launches: list[Launch] = [verifier.verify(Secret(spelling), NOW) for spelling in spellings]

    assert len(set(spellings)) == 3
    assert len({launch.fingerprint for launch in launches}) == 1
    assert verifier.verify(Secret(urlencode(signed(query_id="another"))), NOW).fingerprint != launches[0].fingerprint


def test_what_the_signature_does_not_cover_makes_no_other_launch():
    fields = signed()

    changed = {**fields, "hash": "0" * 64, "signature": fields["signature"] + "=="}

    assert BY_KEY.verify(Secret(urlencode(changed)), NOW) == BY_KEY.verify(Secret(urlencode(fields)), NOW)


@both
@pytest.mark.parametrize("name", ["query_id", "user", "auth_date", "more"])
def test_a_field_that_was_changed_or_added_is_noticed(verifier: InitDataVerifier, name: str):
    fields = signed()
    altered = fields.get(name, "").replace("5", "6").replace("A", "B") + "1"

    with pytest.raises(InitDataInvalid):
        verifier.verify(Secret(urlencode({**fields, name: altered})), NOW)


@both
def test_a_field_that_was_left_out_is_noticed(verifier: InitDataVerifier):
    for name in ("query_id", "user", "auth_date", "hash" if verifier is BY_TOKEN else "signature"):
        fields = signed()
        del fields[name]

        with pytest.raises(InitDataInvalid):
            verifier.verify(Secret(urlencode(fields)), NOW)


@both
@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "=", "user", "a=1&a=2", "user=%ff&auth_date=1", "a=1&&b=2", "&".join(f"f{n}=1" for n in range(40)), "a%3Db=1", "a=1%0Ab=2", "a=%00"],
    ids=["nothing", "no pair", "no name", "no value", "twice", "no UTF-8", "an empty pair", "many", "= in a name", "a line's end", "NUL"],
)  # fmt: skip
def test_what_is_no_launch_data_is_refused(verifier: InitDataVerifier, text: str):
    with pytest.raises(InitDataInvalid):
        verifier.verify(Secret(text), NOW)


@both
@pytest.mark.parametrize("name", ["user", "auth_date", "hash", "signature"])
def test_a_field_that_stands_there_twice_is_refused(verifier: InitDataVerifier, name: str):
    fields = signed()

    with pytest.raises(InitDataInvalid, match="twice"):
        verifier.verify(Secret(urlencode([*fields.items(), (name, fields[name])])), NOW)


@both
def test_two_fields_do_not_pass_for_one(verifier: InitDataVerifier):
    fields = signed()
    query_id = fields.pop("query_id")
    merged = {**fields, "auth_date": f"{fields['auth_date']}\nquery_id={query_id}"}

    with pytest.raises(InitDataInvalid, match="characters"):
        verifier.verify(Secret(urlencode(merged)), NOW)


@both
@pytest.mark.parametrize(
    ("changes"),
    [{"user": ""}, {"user": "[]"}, {"user": "{}"}, {"user": '{"id":"5"}'}, {"user": '{"id":-5}'}, {"user": f'{{"id":{2**53}}}'}]
    + [{"auth_date": value} for value in ("", "-1", "0", "1.5", "1e9", "٣", "9" * 13, " 1")],
    ids=str,
)
def test_signed_fields_that_make_no_sense_are_refused(verifier: InitDataVerifier, changes: dict[str, str]):
    with pytest.raises(InitDataInvalid):
        verifier.verify(Secret(urlencode(signed(**changes))), NOW)


@both
@pytest.mark.parametrize("age", [timedelta(hours=1), timedelta(0), timedelta(seconds=-30)])
def test_an_hour_is_not_too_old_and_a_clock_may_go_a_little_wrong(verifier: InitDataVerifier, age: timedelta):
    assert verifier.verify(Secret(urlencode(at(NOW - age))), NOW).telegram_user_id == 123456789


@both
@pytest.mark.parametrize(
    ("age", "refusal"),
    [(timedelta(hours=1, seconds=1), InitDataExpired), (timedelta(days=300), InitDataExpired), (timedelta(seconds=-31), InitDataInvalid)],
    ids=str,
)
def test_more_than_an_hour_is_too_old_and_the_future_is_not_yet(verifier: InitDataVerifier, age: timedelta, refusal: type[Exception]):
    with pytest.raises(refusal):
        verifier.verify(Secret(urlencode(at(NOW - age))), NOW)


def test_what_was_signed_for_another_bot_is_refused():
    with pytest.raises(InitDataInvalid):
        BY_KEY.verify(Secret(urlencode(signed(bot_id=BOT_ID + 1))), NOW)
    with pytest.raises(InitDataInvalid):
        InitDataVerifier(BOT_ID, Secret(f"{BOT_ID}:{'x' * 35}")).verify(Secret(urlencode(signed())), NOW)


def test_only_telegram_signs():
    fields = Secret(urlencode(signed()))

    for keys in ([PRODUCTION_KEY], [TEST_KEY], [PRODUCTION_KEY, TEST_KEY]):
        with pytest.raises(InitDataInvalid):
            InitDataVerifier(BOT_ID, public_keys=keys).verify(fields, NOW)


@pytest.mark.parametrize("value", ["", "A" * 86, "A" * 85, "A" * 85 + "B", "A" * 88, "é" * 86, "0" * 64, "g" * 64, "A" * 64])
def test_a_signature_or_a_hash_of_another_form_is_refused(value: str):
    for verifier, name in ((BY_KEY, "signature"), (BY_TOKEN, "hash")):
        with pytest.raises(InitDataInvalid):
            verifier.verify(Secret(urlencode({**signed(), name: value})), NOW)
