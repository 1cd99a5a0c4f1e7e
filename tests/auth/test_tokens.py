"""Tokens that are ours, and all the others."""

import base64
import json
import time
from typing import Any
from uuid import UUID

import jwt
import pytest

from app.api.roles import Caller, Role
from app.auth.tokens import AUDIENCE, CLAIMS, ISSUER, RefreshToken, issue_access_token, read_access_token
from app.errors import Unauthenticated
from app.ids import new_id
from app.secret import Secret

NEW, OLD, FOREIGN = (Secret(letter * 64) for letter in "nof")
CALLER = Caller(new_id(), new_id(), new_id(), Role.VIEWER)


def _claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {
        "sub": str(CALLER.user_id),
        "tid": str(CALLER.tenant_id),
        "sid": str(CALLER.session_id),
        "role": "viewer",
        "jti": str(new_id()),
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 900,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def _sign(claims: dict[str, Any], secret: Secret = NEW, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, secret.reveal(), algorithm)


def test_an_access_token_says_whom_it_speaks_for_and_lives_15_minutes() -> None:
    token = issue_access_token(CALLER, [NEW])

    verified = read_access_token(token, [NEW])
    claims = jwt.decode(token, options={"verify_signature": False})
    assert verified.caller == CALLER
    assert claims.keys() == set(CLAIMS)
    assert claims["exp"] - claims["iat"] == 900
    assert claims["iss"] == "stock-tracker"
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


def test_two_access_tokens_of_one_second_differ() -> None:
    assert issue_access_token(CALLER, [NEW]) != issue_access_token(CALLER, [NEW])


def test_the_newest_secret_signs_and_all_of_them_verify() -> None:
    token = issue_access_token(CALLER, [NEW, OLD])

    assert read_access_token(token, [NEW]).caller == CALLER
    assert read_access_token(_sign(_claims(), OLD), [NEW, OLD]).caller == CALLER
    with pytest.raises(Unauthenticated):
        read_access_token(token, [OLD])


def test_clocks_may_differ_by_half_a_minute() -> None:
    now = int(time.time())

    assert read_access_token(_sign(_claims(exp=now - 25)), [NEW]).caller == CALLER
    assert read_access_token(_sign(_claims(iat=now + 25)), [NEW]).caller == CALLER


def test_a_token_that_expired_is_told_apart_from_a_wrong_one() -> None:
    with pytest.raises(Unauthenticated, match="expired"):
        read_access_token(_sign(_claims(exp=int(time.time()) - 31)), [NEW])


def _altered(token: str) -> str:
    head, body, seal = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["role"] = "owner"
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{head}.{forged}.{seal}"


def _without_signature(algorithm: str) -> str:
    head = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()).rstrip(b"=").decode()
    return f"{head}.{_sign(_claims()).split('.')[1]}."


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(_sign(_claims(), FOREIGN), id="signed with another secret"),
        pytest.param(_sign(_claims(), NEW, "HS512"), id="signed by another algorithm"),
        pytest.param(_sign(_claims(), Secret(""), "none"), id="unsigned"),
        pytest.param(_without_signature("None"), id="unsigned, spelt otherwise"),
        pytest.param(_without_signature("HS256"), id="signature cut off"),
        pytest.param(_altered(_sign(_claims())), id="claims altered"),
        pytest.param(_sign(_claims(aud="another-api")), id="for another audience"),
        pytest.param(_sign(_claims(aud=[AUDIENCE, "another-api"])), id="for another audience too"),
        pytest.param(_sign(_claims(iss="somebody")), id="of another issuer"),
        pytest.param(_sign(_claims(sub="1")), id="the user is no id"),
        pytest.param(_sign(_claims(tid="*")), id="the tenant is no id"),
        pytest.param(_sign(_claims(role="admin")), id="the role is unknown"),
        pytest.param(_sign(_claims(exp="soon")), id="the end is no time"),
        *(pytest.param(_sign(_claims(**{name: ...})), id=f"without {name}") for name in CLAIMS),
        *(pytest.param(text, id=text) for text in ("", ".", "..", "a.b.c", "ключ", "null", "eyJhbGciOiJIUzI1NiJ9..")),
    ],
)
def test_no_other_token_is_believed(token: str) -> None:
    with pytest.raises(Unauthenticated, match="not valid"):
        read_access_token(token, [NEW, OLD])


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_token_of_the_future_is_not_believed(claim: str) -> None:
    # Made now: parameters are made when the tests are collected, minutes before.
    token = _sign(_claims(**{claim: int(time.time()) + 60}))

    with pytest.raises(Unauthenticated, match="not valid"):
        read_access_token(token, [NEW, OLD])


def test_a_refresh_token_comes_back_as_it_went() -> None:
    token = RefreshToken.first(CALLER.session_id, [NEW])

    parsed = RefreshToken.parse(token.text())

    assert parsed == token
    assert parsed is not None
    assert parsed.session_id == CALLER.session_id
    assert parsed.matches(token.hash())
    assert parsed.is_ours([NEW])
    assert len(token.text()) == 91


def test_no_two_sessions_begin_with_the_same_secret() -> None:
    one, other = RefreshToken.first(CALLER.session_id, [NEW]), RefreshToken.first(CALLER.session_id, [NEW])

    assert len(one.secret) == 32
    assert one.secret != other.secret
    assert not one.matches(other.hash())
    assert not one.matches(None)


def test_a_token_has_one_successor_which_needs_our_secret() -> None:
    token = RefreshToken.first(CALLER.session_id, [NEW])

    successor = token.successor([NEW, OLD])

    assert successor == token.successor([NEW]) != token
    assert successor.session_id == token.session_id
    assert successor.secret != token.secret
    assert successor.is_ours([NEW])
    assert token.successor([FOREIGN]).secret != successor.secret
    assert successor.successor([NEW]).secret not in {token.secret, successor.secret}


def test_the_seal_of_an_older_secret_counts_as_long_as_that_is_listed() -> None:
    token = RefreshToken.first(CALLER.session_id, [OLD])

    assert token.is_ours([NEW, OLD])
    assert not token.is_ours([NEW])


def test_a_token_that_somebody_made_up_is_not_ours() -> None:
    token = RefreshToken.first(CALLER.session_id, [NEW])

    other_secret = RefreshToken(token.session_id, bytes(32), token.seal)
    other_session = RefreshToken(new_id(), token.secret, token.seal)
    no_seal = RefreshToken(token.session_id, token.secret, b"")

    assert not any(made_up.is_ours([NEW]) for made_up in (other_secret, other_session, no_seal))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rt_",
        "x" * 91,
        "rt_" + "A" * 87,
        "rt_" + "A" * 89,
        "rt_" + "A" * 86 + "==",
        "rt_" + "!" * 88,
        "RT_" + "A" * 88,
        "rt_" + "ё" * 88,
        "rt_" + "+" * 88,
    ],
)
def test_what_has_not_the_form_of_a_refresh_token_is_none(text: str) -> None:
    assert RefreshToken.parse(text) is None


def test_a_refresh_token_does_not_show_its_secret() -> None:
    token = RefreshToken(UUID(int=0), b"secret" * 5 + b"!!", b"seal")

    assert "secret" not in f"{token} {token!r}"
