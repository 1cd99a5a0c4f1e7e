"""From a header to a caller, or to a refusal."""

import asyncio
import time
from uuid import uuid4

import httpx
import jwt
import pytest

from app.api.roles import Caller, Role
from app.auth import authentication
from app.auth.authentication import MAX_HEADER_BYTES, Authentication
from app.auth.tokens import AUDIENCE, ISSUER, issue_access_token
from app.settings import get_settings
from tests.auth.application import Seller

pytestmark = pytest.mark.anyio


async def test_the_caller_is_the_one_of_the_token(seller: Seller) -> None:
    answer = await seller.get("/viewers")

    assert answer.json() == {"user_id": str(seller.user_id), "tenant_id": str(seller.tenant_id), "role": "owner"}


async def test_without_a_token_the_answer_says_how_to_send_one(client: httpx.AsyncClient) -> None:
    answer = await client.get("/viewers")

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_authenticated"
    # RFC 6750, section 3.1: no error code where no token came.
    assert answer.headers["www-authenticate"] == 'Bearer realm="stock-tracker"'


async def test_with_a_wrong_token_the_answer_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.get("/viewers", headers={"Authorization": "Bearer x.y.z"})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="stock-tracker", error="invalid_token"'


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer  {}"])
async def test_the_word_bearer_counts_in_any_case(seller: Seller, form: str) -> None:
    answer = await seller.client.get("/viewers", headers={"Authorization": form.format(seller.access_token)})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "form",
    ["{}", "Basic {}", "Token {}", "Bearer", "Bearer ", "Bearer{}", "Bearer {}x", "Bearer {}, Bearer {}", "Bearer {} {}", "Bearer ключ"],
)
async def test_any_other_header_is_refused(seller: Seller, form: str) -> None:
    header = form.replace("{}", seller.access_token).encode()

    answer = await seller.client.get("/viewers", headers={"Authorization": header})

    assert answer.status_code == 401
    assert answer.json()["code"] == "not_authenticated"


async def test_two_headers_are_no_choice(seller: Seller) -> None:
    header = ("Authorization", f"Bearer {seller.access_token}")

    answer = await seller.client.get("/viewers", headers=[header, header])

    assert answer.status_code == 401


async def test_a_token_in_the_address_is_none(seller: Seller) -> None:
    answer = await seller.client.get(f"/viewers?access_token={seller.access_token}")

    assert answer.status_code == 401


async def test_a_huge_header_is_not_even_looked_into(seller: Seller) -> None:
    answer = await seller.client.get("/viewers", headers={"Authorization": f"Bearer {'x' * MAX_HEADER_BYTES}"})

    assert answer.status_code == 401


async def test_who_knows_the_secret_of_another_installation_is_nobody_here(seller: Seller) -> None:
    now = int(time.time())
    claims = {
        "sub": str(seller.user_id),
        "tid": str(seller.tenant_id),
        "sid": str(seller.session_id),
        "role": "owner",
        "jti": "1",
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 900,
    }
    forged = jwt.encode(claims, "f" * 40, "HS256")

    answer = await seller.client.get("/viewers", headers={"Authorization": f"Bearer {forged}"})

    assert answer.status_code == 401


async def test_a_token_without_a_session_behind_it_is_refused(seller: Seller) -> None:
    token = issue_access_token(Caller(seller.user_id, seller.tenant_id, uuid4(), Role.OWNER), get_settings().jwt_secrets)

    answer = await seller.client.get("/viewers", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 401


async def test_a_token_that_is_remembered_expires_all_the_same(seller: Seller) -> None:
    claims = jwt.decode(seller.access_token, options={"verify_signature": False})
    # With 30 s of leeway it is good for one or two seconds more.
    claims["exp"] = int(time.time()) - 28
    token = jwt.encode(claims, get_settings().jwt_secrets[0].reveal(), "HS256")
    header = {"Authorization": f"Bearer {token}"}

    before = await seller.client.get("/viewers", headers=header)
    await asyncio.sleep(claims["exp"] + 30 - time.time())
    after = await seller.client.get("/viewers", headers=header)

    assert before.status_code == 200
    assert after.status_code == 401
    assert "expired" in after.json()["detail"]


async def test_what_is_remembered_has_a_bound(seller: Seller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "MAX_REMEMBERED", 3)
    middleware = Authentication()
    caller = Caller(seller.user_id, seller.tenant_id, seller.session_id, Role.OWNER)
    headers = [f"Bearer {issue_access_token(caller, get_settings().jwt_secrets)}".encode() for _ in range(5)]

    callers = [middleware._verify(header).caller for header in headers]

    assert callers == [caller] * 5
    assert list(middleware._remembered) == headers[-3:]


async def test_a_public_door_is_open_whatever_the_header_says(seller: Seller) -> None:
    for header in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {seller.access_token}"}):
        assert (await seller.client.get("/open", headers=header)).status_code == 200
