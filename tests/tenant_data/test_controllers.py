"""An erasure takes the owner's word, and its proof; from then on nothing of the tenant can be used."""

import asyncio
import contextvars
from uuid import UUID

import httpx
import pytest

from app.auth.service import USER, InvalidCredentials, sign_in
from app.auth.sessions import Device
from app.database import system_scope
from app.redis import get_redis
from app.tenant_data.erasure import MARK, begin_erasure, erase
from app.webhooks.sender import get_sender
from tests.application import Shop, everything_in_redis
from tests.auth.application import PASSWORD, Bot
from tests.webhooks.bots import bot_of, deliver_due

pytestmark = pytest.mark.anyio

PROOFS = {
    "nothing": ({}, "validation_failed"),
    "a wrong password": ({"password": "wrong"}, "current_password_wrong"),
    "the name alone": ({"name": "Romashka"}, "validation_failed"),
    "another name": ({"password": PASSWORD, "name": "romashka"}, "validation_failed"),
    "an unknown field": ({"password": PASSWORD, "force": True}, "validation_failed"),
}


async def is_being_erased(tenant_id: UUID) -> bool:
    async with system_scope() as connection:
        return await connection.fetchval("SELECT erasing_at IS NOT NULL FROM tenants WHERE id = $1", tenant_id)


async def log_in(client: httpx.AsyncClient, email: str) -> httpx.Response:
    return await client.post("/auth/login", json={"email": email, "password": PASSWORD})


async def test_without_its_proof_nothing_happens(shop: Shop):
    answers = {proof: await shop.call("DELETE", "/tenants/me", json=body) for proof, (body, _) in PROOFS.items()}

    assert {proof: (answer.status_code, answer.json()["code"]) for proof, answer in answers.items()} == {
        proof: (422, code) for proof, (_, code) in PROOFS.items()
    }
    assert not await is_being_erased(shop.tenant_id)


async def test_wrong_passwords_are_counted_and_stand_in_the_log(shop: Shop):
    answers = [(await shop.call("DELETE", "/tenants/me", json={"password": "wrong"})).status_code for _ in range(6)]

    assert answers == [422] * 5 + [429]
    log = await shop.expect(200, "GET", "/tenants/me/audit-log", params={"action": "tenant.erasure_refused"})
    assert len(log["items"]) == 5


async def test_a_viewer_erases_nothing(shop: Shop, client: httpx.AsyncClient):
    await shop.expect(201, "POST", "/tenants/me/users", json={"email": "viewer@example.com", "password": PASSWORD, "role": "viewer"})
    viewer = (await log_in(client, "viewer@example.com")).json()["access_token"]

    answer = await client.request("DELETE", "/tenants/me", json={"password": PASSWORD}, headers={"Authorization": f"Bearer {viewer}"})

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert not await is_being_erased(shop.tenant_id)


async def test_from_the_answer_on_no_token_works_and_nobody_signs_in(client: httpx.AsyncClient, shop: Shop):
    signed_in = (await log_in(client, "tg12345@example.com")).json()
    link = (await shop.expect(201, "POST", "/tenants/me/credentials/links", json={"provider": "wildberries"}))["url"]

    erased = await shop.call("DELETE", "/tenants/me", json={"password": PASSWORD, "name": "Romashka"})

    assert (erased.status_code, erased.content) == (204, b"")
    bearer = {"Authorization": f"Bearer {signed_in['access_token']}"}
    answers = [
        await shop.call("GET", "/tenants/me"),
        await shop.call("DELETE", "/tenants/me", json={"password": PASSWORD}),
        await client.get("/tenants/me", headers=bearer),
        await client.post("/auth/refresh", json={"refresh_token": signed_in["refresh_token"]}),
        await log_in(client, "tg12345@example.com"),
    ]
    assert [answer.status_code for answer in answers] == [401] * 5
    assert answers[-1].json()["code"] == InvalidCredentials.code
    assert (await client.get(f"http://test/connect/{link.rpartition('/')[2]}")).status_code in (404, 410)


async def test_nothing_of_it_is_cached_any_more(shop: Shop):
    await shop.expect(200, "GET", "/products")
    assert str(shop.tenant_id).encode() in await everything_in_redis()

    await shop.call("DELETE", "/tenants/me", json={"password": PASSWORD})

    assert str(shop.tenant_id).encode() not in await everything_in_redis()


async def test_a_sign_in_that_is_under_way_is_waited_for_and_ended(shop: Shop):
    async with system_scope() as connection:
        user = await connection.fetchrow(f"SELECT {USER} FROM users")
        signed_in = await sign_in(connection, user, shop.tenant_id, Device(None, None))
        beginning = asyncio.create_task(begin_erasure(shop.tenant_id, "operator"), context=contextvars.Context())
        async with asyncio.timeout(10):
            while not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                await asyncio.sleep(0.005)
    await beginning

    answer = await shop.client.get("/tenants/me", headers={"Authorization": f"Bearer {signed_in.access_token}"})

    assert answer.status_code == 401


async def test_redis_knows_that_a_session_has_ended_before_its_row_goes(shop: Shop):
    await shop.expect(200, "GET", "/tenants/me")
    [session_id] = [row[0] for row in await shop.rows("SELECT id FROM login_sessions WHERE tenant_id = $1")]
    assert await get_redis().get(f"session:{session_id}") == b"live"

    await begin_erasure(shop.tenant_id, "operator")
    async for _ in erase(shop.tenant_id):
        pass

    assert await get_redis().get(f"session:{session_id}") == b"revoked"


async def test_a_sign_in_that_comes_right_behind_the_mark_is_refused(client: httpx.AsyncClient, shop: Shop):
    async with system_scope() as connection:
        await connection.execute(MARK, shop.tenant_id)

    answer = await log_in(client, "tg12345@example.com")

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_what_a_process_left_that_was_killed_right_behind_the_mark_is_closed_first(shop: Shop):
    await shop.expect(200, "GET", "/tenants/me")
    async with system_scope() as connection:
        await connection.execute(MARK, shop.tenant_id)

    steps = erase(shop.tenant_id)
    closed = await anext(steps)
    answer = await shop.call("GET", "/tenants/me")
    await steps.aclose()

    assert (closed.table, closed.rows) == ("memberships", 2)
    assert answer.status_code == 401


async def test_a_member_of_another_tenant_signs_in_there(client: httpx.AsyncClient, shop: Shop):
    # The erased one was the user's first.
    second = (await shop.expect(201, "POST", "/tenants", json={"company_name": "Vasilek", "marketplace_type": "ozon"}))["id"]

    await shop.call("DELETE", "/tenants/me", json={"password": PASSWORD})

    assert (await log_in(client, "tg12345@example.com")).json()["tenant"]["id"] == second


async def test_a_seller_without_a_password_says_the_name_and_begins_anew(client: httpx.AsyncClient, redis: None):
    bot = await Bot.make(client)
    seller = await bot.bring()

    refused = [await seller.call("DELETE", "/tenants/me", body) for body in ({}, {"name": "romashka"}, {"password": PASSWORD})]
    erased = await seller.call("DELETE", "/tenants/me", {"name": "Romashka"})
    anew = await bot.bring(status=201)

    assert [(answer.status_code, answer.json()["errors"][0]["field"]) for answer in refused] == [(422, "name")] * 3
    assert erased.status_code == 204
    assert anew.tenant_id != seller.tenant_id


async def test_a_bot_has_no_business_with_a_sellers_password(client: httpx.AsyncClient, redis: None):
    bot = await Bot.make(client)
    seller = await bot.bring()
    async with system_scope() as connection:
        await connection.execute("UPDATE users SET email = 'tg12345@example.com', password_hash = 'x' WHERE id = $1", seller.user_id)

    answer = await seller.call("DELETE", "/tenants/me", {"name": "Romashka", "password": PASSWORD})

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert not await is_being_erased(seller.tenant_id)


async def test_no_webhook_is_delivered_any_more(shop: Shop, sender: None):
    async with bot_of(shop.tenant_id) as bot:
        await shop.expect(200, "POST", f"/webhooks/{bot.endpoint_id}/test")
        async with system_scope() as connection:
            # One that waits for its next attempt, and an event that nobody has looked at yet.
            await connection.execute("UPDATE webhook_deliveries SET status = 'pending', next_attempt_at = now()")
            await connection.execute("UPDATE events SET dispatched_at = NULL")

        await begin_erasure(shop.tenant_id, "operator")
        answers = await deliver_due(get_sender())

        assert (answers, len(bot.receiver.requests)) == ([None], 1)


async def test_other_tenants_go_on_and_the_seller_may_come_back(client: httpx.AsyncClient, shop: Shop, other_shop: Shop):
    await shop.call("DELETE", "/tenants/me", json={"password": PASSWORD})

    back = await Shop.register(client, "tg12345@example.com")

    assert back.tenant_id != shop.tenant_id
    assert (await other_shop.call("GET", "/tenants/me")).status_code == 200
