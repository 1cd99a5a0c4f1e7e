"""Request bodies: right in all respects, or refused with a problem that names what is wrong."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from litestar import Litestar, post
from litestar.enums import RequestEncodingType
from litestar.params import BodyKwarg, JSONBody
from msgspec import UNSET, Meta, UnsetType

from app.api.bodies import MAX_AUTH_BODY_BYTES, MAX_BODY_BYTES, MAX_DEPTH, MalformedBody, decode_body
from app.api.structs import Email, In, Instant, Password, SecretText, ShortText
from app.errors import InvalidInput
from tests.api.application import ClientFor, make_app

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


class Size(In, frozen=True):
    name: Annotated[str, Meta(max_length=5)]
    count: Annotated[int, Meta(ge=0, le=1000)] = 0


class ShopIn(In, frozen=True):
    email: Email
    password: Password
    company_name: ShortText
    active: bool = False
    sizes: Annotated[tuple[Size, ...], Meta(max_length=3)] = ()
    opened_at: Instant | None = None
    google_credentials: dict[str, Any] | None = None
    note: Annotated[str, Meta(max_length=10)] | UnsetType | None = UNSET


GOOD: dict[str, Any] = {"email": "Anna@Example.com", "password": "correct horse", "company_name": "ООО «Ромашка» 🌼"}


@post("/shops")
async def create_shop(data: JSONBody[ShopIn]) -> dict[str, Any]:
    return {"email": data.email, "company_name": data.company_name, "note": "unset" if data.note is UNSET else data.note}


def faults(body: object) -> dict[str, str]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(InvalidInput) as refused:
        decode_body(raw, ShopIn)
    return {error.field: error.message for error in refused.value.errors}


async def test_a_good_body_reaches_the_handler(client_for: ClientFor) -> None:
    async with client_for(create_shop) as client:
        answer = await client.post("/shops", json=GOOD)

    assert answer.status_code == 201
    assert answer.json() == {"email": "anna@example.com", "company_name": "ООО «Ромашка» 🌼", "note": "unset"}


async def test_null_is_a_value_and_not_an_omission(client_for: ClientFor) -> None:
    async with client_for(create_shop) as client:
        answer = await client.post("/shops", json=GOOD | {"note": None})

    assert answer.json()["note"] is None


def test_secrets_are_masked_from_the_decoding_on() -> None:
    shop = decode_body(json.dumps(GOOD).encode(), ShopIn)

    assert "correct horse" not in repr(shop)
    assert shop.password.reveal() == "correct horse"


def test_an_unknown_field_is_named() -> None:
    assert faults(GOOD | {"compny_name": "x"}) == {"compny_name": "Unknown field"}


def test_an_unknown_field_inside_a_list_is_named_with_its_path() -> None:
    assert faults(GOOD | {"sizes": [{"name": "XL"}, {"name": "XS", "colour": "red"}]}) == {"sizes[1].colour": "Unknown field"}


def test_all_faults_are_told_at_once() -> None:
    told = faults({"email": 3, "active": 0, "sizes": [{"name": "too long"}], "surprise": 1})

    assert set(told) == {"email", "password", "company_name", "active", "sizes[0].name", "surprise"}
    assert told["password"] == told["company_name"] == "Required"


def test_types_are_told_in_the_words_of_json() -> None:
    assert faults(GOOD | {"active": "yes"}) == {"active": "Expected boolean, got string"}


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_only_true_and_false_are_flags(value: object) -> None:
    assert set(faults(GOOD | {"active": value})) == {"active"}


@pytest.mark.parametrize("count", [-1, 1001, 2**63, 10**300, 1.5, "7", True])
def test_a_number_outside_of_its_bounds_or_of_another_type_is_refused(count: object) -> None:
    assert set(faults(GOOD | {"sizes": [{"name": "XL", "count": count}]})) == {"sizes[0].count"}


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_blank_or_long_name_is_refused(name: str) -> None:
    assert set(faults(GOOD | {"company_name": name})) == {"company_name"}


@pytest.mark.parametrize(
    "email", ["", "anna", "anna@", "@example.com", "a b@example.com", "anna@example", "a@@b.c", f"{'a' * 250}@b.cd", "a@b..c"]
)
def test_what_can_be_no_email_address_is_refused(email: str) -> None:
    assert set(faults(GOOD | {"email": email})) == {"email"}


@pytest.mark.parametrize("password", ["1234567", "x" * 129, 12345678])
def test_a_password_has_8_to_128_characters(password: object) -> None:
    told = faults(GOOD | {"password": password})

    assert set(told) == {"password"}
    assert str(password) not in str(told)


def test_a_password_counts_characters_and_not_bytes() -> None:
    shop = decode_body(json.dumps(GOOD | {"password": "пароль🔑🔑"}).encode(), ShopIn)

    assert shop.password.reveal() == "пароль🔑🔑"


def test_a_secret_text_may_be_as_long_as_a_token_and_no_longer() -> None:
    assert decode_body(b'"' + b"x" * 8192 + b'"', SecretText).reveal() == "x" * 8192
    with pytest.raises(InvalidInput):
        decode_body(b'"' + b"x" * 8193 + b'"', SecretText)
    with pytest.raises(InvalidInput):
        decode_body(b'""', SecretText)


def test_a_time_without_an_offset_is_refused() -> None:
    assert set(faults(GOOD | {"opened_at": "2026-11-22T10:00:00"})) == {"opened_at"}


def test_a_time_with_an_offset_is_a_moment() -> None:
    shop = decode_body(json.dumps(GOOD | {"opened_at": "2026-11-22T13:00:00+03:00"}).encode(), ShopIn)

    assert shop.opened_at == datetime(2026, 11, 22, 13, tzinfo=timezone(timedelta(hours=3))) == datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.mark.parametrize("bad", ["\0", "\ud800", "\ud83d!", "\udc00\ud800"])
def test_nul_and_lone_surrogates_are_refused_wherever_they_stand(bad: str) -> None:
    assert set(faults(GOOD | {"company_name": f"x{bad}"})) == {"company_name"}
    assert set(faults(GOOD | {"password": f"12345678{bad}"})) == {"password"}
    assert set(faults(GOOD | {"sizes": [{"name": bad}]})) == {"sizes[0].name"}
    assert set(faults(GOOD | {"google_credentials": {"a": {"b": [1, bad]}}})) == {"google_credentials.a.b[1]"}
    assert set(faults(GOOD | {"google_credentials": {bad: 1}})) == {"google_credentials"}


def test_an_escaped_emoji_is_welcome() -> None:
    shop = decode_body(json.dumps(GOOD, ensure_ascii=True).encode(), ShopIn)

    assert shop.company_name == GOOD["company_name"]


def test_the_text_of_an_escape_is_no_escape() -> None:
    shop = decode_body(json.dumps(GOOD | {"company_name": r"\u0000 \ud800"}).encode(), ShopIn)

    assert shop.company_name == r"\u0000 \ud800"


@pytest.mark.parametrize(
    "raw",
    [b'{"email": "a@b.cd", "email": "a@b.cd"}', b'{"email": "a@b.cd", "\\u0065mail": "x@y.zz"}', b'{"sizes": [{"email": 1, "email": 2}]}'],
)
def test_a_field_given_twice_is_named_however_it_is_spelt(raw: bytes) -> None:
    assert faults(raw) == {"email": "Given more than once"}


def test_one_name_given_twice_among_a_hundred_thousand_is_found_without_comparing_each_with_each() -> None:
    names = [*range(100_000), 77]

    told = faults(b"{" + b",".join(b'"%d":1' % name for name in names) + b"}")

    assert told == {"77": "Given more than once"}


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"nothing",
        b"{}{}",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 01}',
        b'{"a": "\x00"}',
        b'{"a": "line\nbreak"}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        '{"a": 1}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedBody):
        decode_body(raw, ShopIn)


def test_a_body_may_be_as_deep_as_allowed_and_no_deeper() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH

    assert decode_body(deepest, list[Any])
    with pytest.raises(MalformedBody):
        decode_body(b"[" + deepest + b"]", list[Any])


def test_many_shallow_brackets_are_not_depth() -> None:
    assert len(decode_body(b"[" + b",".join([b"{}"] * 1000) + b"]", list[Any])) == 1000


def test_a_made_up_name_is_not_repeated_in_full() -> None:
    told = faults(GOOD | {"x" * 5000: 1})

    assert [len(field) for field in told] == [101]


def test_a_thousand_faults_are_told_by_the_first_fifty() -> None:
    told = faults(GOOD | {f"field_{number}": 1 for number in range(1000)})

    assert len(told) == 50


@pytest.mark.parametrize("raw", [b"[]", b"null", b"3", b'"x"', b"true"])
def test_another_kind_of_value_is_a_fault_of_the_whole_body(raw: bytes) -> None:
    assert set(faults(raw)) == {""}


async def test_an_empty_body_is_refused(client_for: ClientFor) -> None:
    async with client_for(create_shop) as client:
        answer = await client.post("/shops")

    assert answer.status_code == 422
    assert answer.json()["code"] == "validation_failed"


async def test_an_optional_body_may_be_left_out(client_for: ClientFor) -> None:
    @post("/sync")
    async def start(data: JSONBody[Size | None] = None) -> dict[str, bool]:
        return {"given": data is not None}

    async with client_for(start) as client:
        without = await client.post("/sync")
        with_one = await client.post("/sync", json={"name": "XL"})

    assert (without.json(), with_one.json()) == ({"given": False}, {"given": True})


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"'])
async def test_json_in_utf_8_is_accepted_by_any_of_its_names(client_for: ClientFor, content_type: str) -> None:
    async with client_for(create_shop) as client:
        answer = await client.post("/shops", content=json.dumps(GOOD), headers={"content-type": content_type})

    assert answer.status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=windows-1251"},
        {"content-type": ""},
        {},
        JSON | {"content-encoding": "gzip"},
    ],
)
async def test_another_type_charset_or_encoding_is_415(client_for: ClientFor, headers: dict[str, str]) -> None:
    async with client_for(create_shop) as client:
        answer = await client.post("/shops", content=json.dumps(GOOD).encode(), headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, MAX_BODY_BYTES * 3])
async def test_a_body_over_1_mb_is_413(client_for: ClientFor, size: int) -> None:
    async with client_for(create_shop) as client:
        announced = await client.post("/shops", content=b" " * size, headers=JSON)
        streamed = await client.post("/shops", content=_chunks(size), headers=JSON)

    assert (announced.status_code, announced.json()["code"]) == (413, "body_too_large")
    assert (streamed.status_code, streamed.json()["code"]) == (413, "body_too_large")


async def test_a_route_may_take_less(client_for: ClientFor) -> None:
    @post("/login", request_max_body_size=MAX_AUTH_BODY_BYTES)
    async def login(data: JSONBody[Size]) -> dict[str, str]:
        return {"name": data.name}

    padding = b" " * (MAX_AUTH_BODY_BYTES - len(b'{"name":"XL"}'))
    async with client_for(login) as client:
        fits = await client.post("/login", content=b'{"name":"XL"}' + padding, headers=JSON)
        over = await client.post("/login", content=b'{"name":"XL"}' + padding + b" ", headers=JSON)

    assert (fits.status_code, over.status_code) == (201, 413)


async def test_a_caller_that_hangs_up_in_the_middle_is_no_failure_of_ours() -> None:
    app = make_app([create_shop])
    sent = await _call_and_hang_up(app)

    assert sent[0]["status"] == 400
    assert msgspec.json.decode(sent[1]["body"])["code"] == "incomplete_body"


async def test_a_form_is_left_to_its_own_decoder(client_for: ClientFor) -> None:
    @post("/connect")
    async def connect(data: Annotated[dict[str, str], BodyKwarg(media_type=RequestEncodingType.URL_ENCODED)]) -> dict[str, str]:
        return data

    async with client_for(connect) as client:
        answer = await client.post("/connect", data={"key": "value"})

    assert answer.json() == {"key": "value"}


async def _chunks(size: int) -> Any:
    for _ in range(0, size, 65536):
        yield b" " * 65536


async def _call_and_hang_up(app: Litestar) -> list[dict[str, Any]]:
    messages = [{"type": "http.request", "body": b'{"email"', "more_body": True}, {"type": "http.disconnect"}]
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    request = httpx.Request("POST", "http://test/shops", headers=JSON)
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/shops",
        "raw_path": b"/shops",
        "query_string": b"",
        "scheme": "http",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": ("test", 80),
        "client": ("test", 1),
    }
    await app(scope, receive, send)  # type: ignore[arg-type]  # a hand-made scope
    return sent
