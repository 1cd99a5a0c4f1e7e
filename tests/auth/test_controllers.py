"""Signing up, in and out, as a bot does it."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from app.audit.tables import AuditEntry
from app.auth import passwords
from app.auth.service import FAILURE_STEP_S
from app.auth.tables import LoginSession, User
from app.database import system_scope
from app.redis import get_redis
from app.tenants.tables import Tenant
from tests.auth.application import ADDRESS, PASSWORD, Seller

pytestmark = pytest.mark.anyio

REGISTRATION = {"email": "tg12345@example.com", "password": PASSWORD, "company_name": "Romashka", "marketplace_type": "wildberries"}


async def test_registering_answers_with_tokens_the_tenant_and_the_user(client: httpx.AsyncClient) -> None:
    answer = await client.post("/auth/register", json=REGISTRATION)

    body = answer.json()
    assert answer.status_code == 201
    assert body.keys() == {"access_token", "refresh_token", "token_type", "expires_in", "tenant", "user"}
    assert body["token_type"] == "bearer"
    assert body["expires_in"] == 900
    assert body["user"].keys() == {"id", "email", "telegram_user_id", "created_at"}
    assert body["user"]["email"] == "tg12345@example.com"
    assert body["tenant"]["name"] == "Romashka"
    assert body["tenant"]["marketplace_type"] == "wildberries"


async def test_both_tokens_of_a_registration_are_usable_at_once(client: httpx.AsyncClient) -> None:
    seller = await Seller.register(client)

    me = await seller.get("/auth/me")
    refreshed = await seller.refresh()

    assert me.status_code == 200
    assert me.json()["user"] == {
        "id": str(seller.user_id),
        "email": seller.email,
        "telegram_user_id": None,
        "created_at": me.json()["user"]["created_at"],
    }
    assert me.json()["tenant"]["id"] == str(seller.tenant_id)
    assert me.json()["role"] == "owner"
    assert refreshed.status_code == 200


async def test_a_seller_of_ozon_registers_likewise(client: httpx.AsyncClient) -> None:
    answer = await client.post("/auth/register", json={**REGISTRATION, "marketplace_type": "ozon"})

    assert answer.status_code == 201
    assert answer.json()["tenant"]["marketplace_type"] == "ozon"


async def test_an_email_address_is_the_same_in_any_case(client: httpx.AsyncClient, seller: Seller) -> None:
    again = await client.post("/auth/register", json={**REGISTRATION, "email": "TG12345@Example.COM"})
    login = await client.post("/auth/login", json={"email": "Tg12345@EXAMPLE.com", "password": PASSWORD})

    assert again.status_code == 409
    assert again.json()["code"] == "email_taken"
    assert login.status_code == 200


async def test_of_two_registrations_at_once_one_is_made_whole_and_the_other_leaves_nothing(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/auth/register", json=REGISTRATION) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert {answer.json().get("code") for answer in answers} == {None, "email_taken"}
    async with system_scope():
        assert await Tenant.count() == await User.count() == await LoginSession.count() == 1


@pytest.mark.parametrize("password", ["пароль☃️", "12345678", "ё" * 128, "a\tb\nc d ", "🔑" * 8])
async def test_any_unicode_makes_a_password(client: httpx.AsyncClient, password: str) -> None:
    await client.post("/auth/register", json={**REGISTRATION, "password": password})

    right = await client.post("/auth/login", json={"email": REGISTRATION["email"], "password": password})
    wrong = await client.post("/auth/login", json={"email": REGISTRATION["email"], "password": password[:-1]})

    assert right.status_code == 200
    assert wrong.status_code == 401


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a b@example.com"}, "email"),
        ({"email": f"{'a' * 64}@{'b' * 186}.com"}, "email"),
        ({"email": 5}, "email"),
        ({"email": None}, "email"),
        ({"password": "1234567"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": "12345678\0"}, "password"),
        ({"password": ["12345678"]}, "password"),
        ({"company_name": ""}, "company_name"),
        ({"company_name": "  "}, "company_name"),
        ({"company_name": "x" * 201}, "company_name"),
        ({"marketplace_type": "amazon"}, "marketplace_type"),
        ({"role": "owner"}, "role"),
        ({"tenant_id": "019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d5e"}, "tenant_id"),
    ],
)
async def test_a_wrong_field_of_a_registration_is_named(client: httpx.AsyncClient, change: dict[str, Any], field: str) -> None:
    answer = await client.post("/auth/register", json={**REGISTRATION, **change})

    assert answer.status_code == 422
    assert answer.json()["code"] == "validation_failed"
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert "12345678" not in answer.text


@pytest.mark.parametrize("missing", list(REGISTRATION))
async def test_a_missing_field_of_a_registration_is_named(client: httpx.AsyncClient, missing: str) -> None:
    answer = await client.post("/auth/register", json={name: value for name, value in REGISTRATION.items() if name != missing})

    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": missing, "message": "Required"}]


async def test_a_body_for_a_sign_in_has_64_kilobytes_at_most(client: httpx.AsyncClient) -> None:
    answer = await client.post("/auth/login", json={"email": "a@example.com", "password": "x" * 65_536})

    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"


async def test_signing_in_begins_another_session(client: httpx.AsyncClient, seller: Seller) -> None:
    answer = await client.post(
        "/auth/login", json={"email": seller.email, "password": PASSWORD}, headers={"User-Agent": "bot/1 " + "x" * 300}
    )

    again = Seller.of(client, seller.email, answer.json())
    assert answer.status_code == 200
    assert again.tenant_id == seller.tenant_id
    assert again.session_id != seller.session_id
    assert (await seller.get("/auth/me")).status_code == (await again.get("/auth/me")).status_code == 200
    async with system_scope():
        session = await LoginSession.select().where(LoginSession.id == again.session_id).first()
    assert session["ip_address"] == ADDRESS
    assert session["user_agent"] == ("bot/1 " + "x" * 300)[:200]


async def test_a_wrong_password_and_an_unknown_address_look_the_same(client: httpx.AsyncClient, seller: Seller) -> None:
    headers = {"X-Request-ID": "same"}

    known = await client.post("/auth/login", json={"email": seller.email, "password": "not the password"}, headers=headers)
    unknown = await client.post("/auth/login", json={"email": "nobody@example.com", "password": "not the password"}, headers=headers)

    assert known.status_code == unknown.status_code == 401
    assert known.json()["code"] == "invalid_credentials"
    assert known.content == unknown.content
    assert known.headers == unknown.headers
    assert known.headers["www-authenticate"].startswith("Bearer")


async def test_a_refused_sign_in_is_answered_at_a_step_of_time_that_hides_what_it_took(client: httpx.AsyncClient, seller: Seller) -> None:
    durations_s: list[float] = []
    for email in (seller.email, "nobody@example.com"):
        begun_at = time.monotonic()
        await client.post("/auth/login", json={"email": email, "password": "not the password"})
        durations_s.append(time.monotonic() - begun_at)

    assert min(durations_s) >= FAILURE_STEP_S


@pytest.mark.parametrize("password", ["x", "wrong", "x" * 128])
async def test_a_password_that_could_not_be_chosen_today_is_just_wrong(client: httpx.AsyncClient, seller: Seller, password: str) -> None:
    answer = await client.post("/auth/login", json={"email": seller.email, "password": password})

    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_credentials"


async def test_signing_in_renews_a_hash_with_old_parameters(
    client: httpx.AsyncClient, seller: Seller, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = passwords.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    async with system_scope() as connection:
        await connection.execute("UPDATE users SET password_hash = $1", old)

    first = await client.post("/auth/login", json={"email": seller.email, "password": PASSWORD})
    second = await client.post("/auth/login", json={"email": seller.email, "password": PASSWORD})

    async with system_scope() as connection:
        stored = await connection.fetchval("SELECT password_hash FROM users")
    assert first.status_code == second.status_code == 200
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_user_whom_no_tenant_knows_any_more_is_turned_away(client: httpx.AsyncClient, seller: Seller) -> None:
    async with system_scope() as connection:
        await connection.execute("DELETE FROM tenants")

    login = await client.post("/auth/login", json={"email": seller.email, "password": PASSWORD})
    me = await seller.get("/auth/me")

    assert login.status_code == 403
    assert me.status_code == 401


async def test_signing_out_ends_the_access_token_at_once(seller: Seller) -> None:
    assert (await seller.get("/auth/me")).status_code == 200

    answer = await seller.logout()

    me = await seller.get("/auth/me")
    assert answer.status_code == 204
    assert answer.content == b""
    assert me.status_code == 401
    assert me.json()["code"] == "not_authenticated"


async def test_signing_out_ends_only_its_own_session(client: httpx.AsyncClient, seller: Seller) -> None:
    answer = await client.post("/auth/login", json={"email": seller.email, "password": PASSWORD})
    elsewhere = Seller.of(client, seller.email, answer.json())

    await seller.logout()

    assert (await elsewhere.get("/auth/me")).status_code == 200
    assert (await elsewhere.refresh()).status_code == 200


async def test_signing_out_again_changes_nothing(seller: Seller) -> None:
    first, second = await seller.logout(), await seller.logout()

    assert first.status_code == second.status_code == 204
    async with system_scope():
        assert await AuditEntry.count().where(AuditEntry.action == "session.closed") == 1


async def test_a_token_that_was_replaced_signs_out_too(seller: Seller) -> None:
    refreshed = (await seller.refresh()).json()

    answer = await seller.logout()

    assert answer.status_code == 204
    assert (await seller.refresh(refreshed["refresh_token"])).json()["code"] == "refresh_token_invalid"


async def test_what_was_never_a_refresh_token_signs_nobody_out(client: httpx.AsyncClient, seller: Seller) -> None:
    made_up = seller.refresh_token[:40] + "AAAA" + seller.refresh_token[44:]
    for wrong in (seller.access_token, "rt_", "x", made_up):
        answer = await client.post("/auth/logout", json={"refresh_token": wrong})
        assert answer.status_code == 401
        assert answer.json()["code"] == "refresh_token_invalid"

    assert (await seller.get("/auth/me")).status_code == 200


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
@pytest.mark.parametrize("body", [{}, {"refresh_token": ""}, {"refresh_token": None}, {"refresh_token": 1}, {"refresh_token": "x" * 513}])
async def test_a_refresh_token_of_another_kind_is_named(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    answer = await client.post(path, json=body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["refresh_token"]


async def test_a_token_speaks_for_its_own_tenant_only(seller: Seller, rival: Seller) -> None:
    mine, theirs = await seller.get("/auth/me"), await rival.get("/auth/me")

    assert mine.json()["tenant"]["id"] == str(seller.tenant_id)
    assert theirs.json()["tenant"]["id"] == str(rival.tenant_id)
    assert mine.json()["user"]["email"] != theirs.json()["user"]["email"]


async def test_no_answer_with_tokens_is_stored_by_a_cache(client: httpx.AsyncClient, seller: Seller) -> None:
    answers = [
        await client.post("/auth/register", json=REGISTRATION),
        await client.post("/auth/login", json={"email": seller.email, "password": PASSWORD}),
        await client.post("/auth/login", json={"email": seller.email, "password": "wrong"}),
        await seller.refresh(),
        await seller.get("/auth/me"),
        await seller.logout(),
    ]

    assert [answer.headers["cache-control"] for answer in answers] == ["no-store"] * len(answers)


async def test_the_log_tells_who_came_from_where(client: httpx.AsyncClient, seller: Seller) -> None:
    await client.post("/auth/login", json={"email": seller.email, "password": "wrong"}, headers={"X-Request-ID": "req-1"})
    await seller.logout()

    async with system_scope():
        entries = await AuditEntry.select().order_by(AuditEntry.id)
    assert [entry["action"] for entry in entries] == ["user.registered", "user.signed_in", "user.sign_in_failed", "session.closed"]
    assert {entry["actor"] for entry in entries} == {f"user:{seller.user_id}"}
    assert {entry["tenant_id"] for entry in entries} == {seller.tenant_id}
    assert {entry["ip_address"] for entry in entries} == {ADDRESS}
    assert entries[2]["request_id"] == "req-1"


async def test_neither_a_password_nor_a_token_is_stored_anywhere(client: httpx.AsyncClient, seller: Seller) -> None:
    refreshed = (await seller.refresh()).json()
    await client.post("/auth/login", json={"email": seller.email, "password": "a wrong password"})
    await seller.get("/auth/me")

    stored: list[str] = []
    async with system_scope() as connection:
        for table in ("users", "memberships", "login_sessions", "tenants", "audit_log"):
            stored += [row[0] for row in await connection.fetch(f"SELECT row_to_json({table})::text FROM {table}")]
    async for key in get_redis().scan_iter():
        stored += [repr(key), repr(await get_redis().get(key))]
    everything = "\n".join(stored)
    assert str(seller.session_id) in everything
    for secret in (PASSWORD, "a wrong password", seller.access_token, seller.refresh_token, refreshed["refresh_token"]):
        assert secret not in everything
        assert secret[-40:] not in everything
