"""Refresh tokens that replace each other: used in turn, twice, at once, too late, or by a thief."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest

from app.audit.tables import AuditEntry
from app.auth.tables import LoginSession
from app.auth.tokens import RefreshToken
from app.database import system_scope
from app.ids import new_id
from app.settings import get_settings
from tests.auth.application import Seller

pytestmark = pytest.mark.anyio

ChangeSecrets = Callable[[str], None]


async def let_pass(interval: timedelta) -> None:
    """So much time goes by, as far as login sessions know."""
    async with system_scope() as connection:
        await connection.execute("UPDATE login_sessions SET rotated_at = rotated_at - $1::interval, expires_at = expires_at - $1", interval)


def code_of(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.json().get('code')}"


async def test_a_refresh_gives_a_new_pair_that_works(seller: Seller) -> None:
    answer = await seller.refresh()

    pair = answer.json()
    assert answer.status_code == 200
    assert pair.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert pair["token_type"] == "bearer"
    assert pair["expires_in"] == 900
    assert pair["access_token"] != seller.access_token
    assert pair["refresh_token"] != seller.refresh_token
    renewed = Seller(seller.client, seller.email, pair["access_token"], pair["refresh_token"], seller.tenant_id, seller.user_id)
    assert renewed.session_id == seller.session_id
    assert (await renewed.get("/auth/me")).status_code == 200
    assert (await renewed.refresh()).status_code == 200


async def test_a_session_that_is_used_never_ends(seller: Seller) -> None:
    token = seller.refresh_token

    for _ in range(3):
        await let_pass(timedelta(days=29))
        answer = await seller.refresh(token)
        assert answer.status_code == 200
        token = answer.json()["refresh_token"]

    async with system_scope():
        session = await LoginSession.select().first()
    assert timedelta(days=29) < session["expires_at"] - datetime.now(UTC) <= timedelta(days=30)


async def test_a_session_that_nobody_uses_for_30_days_has_expired(seller: Seller) -> None:
    await let_pass(timedelta(days=30))

    assert code_of(await seller.refresh()) == "401 refresh_token_expired"
    assert code_of(await seller.refresh()) == "401 refresh_token_expired"


async def test_a_retry_within_ten_seconds_gets_what_the_lost_answer_held(seller: Seller) -> None:
    lost = (await seller.refresh()).json()
    await let_pass(timedelta(seconds=8))

    retried = await seller.refresh()

    assert retried.status_code == 200
    assert retried.json()["refresh_token"] == lost["refresh_token"]
    assert (await seller.refresh(retried.json()["refresh_token"])).status_code == 200


async def test_retries_do_not_lengthen_the_time_for_retries(seller: Seller) -> None:
    await seller.refresh()
    await let_pass(timedelta(seconds=6))
    await seller.refresh()
    await let_pass(timedelta(seconds=6))

    assert code_of(await seller.refresh()) == "401 refresh_token_reused"


async def test_a_replaced_token_used_later_ends_the_whole_session_at_once(seller: Seller) -> None:
    pair = (await seller.refresh()).json()
    assert (await seller.get("/auth/me")).status_code == 200
    await let_pass(timedelta(seconds=11))

    answer = await seller.refresh()

    assert code_of(answer) == "401 refresh_token_reused"
    assert (await seller.get("/auth/me")).status_code == 401
    assert code_of(await seller.refresh(pair["refresh_token"])) == "401 refresh_token_invalid"
    async with system_scope():
        entries = await AuditEntry.select().where(AuditEntry.action == "session.reuse_detected")
    assert [entry["tenant_id"] for entry in entries] == [seller.tenant_id]


async def test_a_token_two_generations_old_is_a_replaced_one_even_within_ten_seconds(seller: Seller) -> None:
    second = (await seller.refresh()).json()["refresh_token"]
    third = (await seller.refresh(second)).json()["refresh_token"]

    answer = await seller.refresh()

    assert code_of(answer) == "401 refresh_token_reused"
    assert code_of(await seller.refresh(third)) == "401 refresh_token_invalid"


async def test_knowing_a_sessions_id_ends_nothing(seller: Seller) -> None:
    made_up = RefreshToken(seller.session_id, bytes(32), bytes(18)).text()

    answer = await seller.refresh(made_up)

    assert code_of(answer) == "401 refresh_token_invalid"
    assert (await seller.get("/auth/me")).status_code == 200
    assert (await seller.refresh()).status_code == 200


async def test_a_token_of_a_session_that_does_not_exist_is_invalid(seller: Seller) -> None:
    sealed = RefreshToken.first(new_id(), get_settings().jwt_secrets).text()

    for text in (sealed, seller.access_token, "x"):
        assert code_of(await seller.refresh(text)) == "401 refresh_token_invalid"


async def test_two_refreshes_at_once_get_one_and_the_same_successor(seller: Seller) -> None:
    answers = await asyncio.gather(*(seller.refresh() for _ in range(5)))

    assert [answer.status_code for answer in answers] == [200] * 5
    (successor,) = {answer.json()["refresh_token"] for answer in answers}
    assert (await seller.refresh(successor)).status_code == 200


async def test_a_replaced_token_used_twice_at_once_is_refused_twice_and_noted_once(seller: Seller) -> None:
    await seller.refresh()
    await let_pass(timedelta(seconds=11))

    answers = await asyncio.gather(*(seller.refresh() for _ in range(4)))

    assert sorted(code_of(answer) for answer in answers) == ["401 refresh_token_invalid"] * 3 + ["401 refresh_token_reused"]
    async with system_scope():
        assert await AuditEntry.count().where(AuditEntry.action == "session.reuse_detected") == 1


async def test_after_signing_out_there_is_nothing_to_refresh(seller: Seller) -> None:
    await seller.logout()

    assert code_of(await seller.refresh()) == "401 refresh_token_invalid"


async def test_a_refresh_sees_the_role_that_the_user_has_now(seller: Seller) -> None:
    async with system_scope() as connection:
        await connection.execute("UPDATE memberships SET role = 'viewer'")

    answer = await seller.refresh()

    assert jwt.decode(answer.json()["access_token"], options={"verify_signature": False})["role"] == "viewer"


async def test_a_user_who_was_removed_from_the_tenant_can_not_refresh(seller: Seller) -> None:
    async with system_scope() as connection:
        await connection.execute("DELETE FROM memberships")

    assert code_of(await seller.refresh()) == "401 refresh_token_invalid"


async def test_an_erased_tenant_takes_its_sessions_along(seller: Seller) -> None:
    async with system_scope() as connection:
        await connection.execute("DELETE FROM tenants")

    assert code_of(await seller.refresh()) == "401 refresh_token_invalid"
    assert (await seller.get("/auth/me")).status_code == 401


@pytest.mark.parametrize("secrets", ["n" * 40 + ",{}", "n" * 40])
async def test_a_session_outlives_a_change_of_the_signing_secret(seller: Seller, more_jwt_secrets: ChangeSecrets, secrets: str) -> None:
    more_jwt_secrets(secrets)

    answer = await seller.refresh()

    assert answer.status_code == 200
    assert (await seller.refresh(answer.json()["refresh_token"])).status_code == 200


async def test_theft_shows_after_a_change_of_the_signing_secret_too(seller: Seller, more_jwt_secrets: ChangeSecrets) -> None:
    more_jwt_secrets("n" * 40 + ",{}")
    second = (await seller.refresh()).json()["refresh_token"]
    await seller.refresh(second)

    assert code_of(await seller.refresh()) == "401 refresh_token_reused"
