"""Which bots may act for a tenant, as its owner says."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from app.api.roles import Role
from app.auth.service_keys import revoke_service_key
from app.database import system_scope
from tests.auth.application import Bot, Seller

pytestmark = pytest.mark.anyio

SERVICES = "/tenants/me/services"


async def test_the_bot_that_brought_the_tenant_is_in_its_list(bot: Bot):
    seller = await bot.bring()

    answer = await seller.get(SERVICES)

    [link] = answer.json()
    assert answer.status_code == 200
    assert link.keys() == {"service_key_id", "name", "linked_at", "linked_by", "last_used_at"}
    assert (link["service_key_id"], link["name"], link["linked_by"]) == (str(bot.id), "shop-bot", f"service:{bot.id}")
    assert link["last_used_at"] is not None


async def test_an_owner_links_a_bot_once_however_often_it_is_said(bot: Bot, seller: Seller):
    first = await seller.post(SERVICES, {"service_key_id": str(bot.id)})
    second = await seller.post(SERVICES, {"service_key_id": str(bot.id)})

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert (await seller.get(SERVICES)).json() == [first.json()]
    assert (first.json()["linked_by"], first.json()["last_used_at"]) == (f"user:{seller.user_id}", None)


async def test_a_link_said_many_times_at_once_is_one(bot: Bot, seller: Seller):
    answers = await asyncio.gather(*(seller.post(SERVICES, {"service_key_id": str(bot.id)}) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [201]


async def test_a_key_that_is_unknown_or_revoked_can_not_be_linked(bot: Bot, seller: Seller):
    await revoke_service_key("shop-bot")

    answers = [await seller.post(SERVICES, {"service_key_id": key}) for key in (str(uuid4()), str(bot.id))]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not_found")] * 2
    assert answers[0].json()["detail"] == answers[1].json()["detail"]


@pytest.mark.parametrize(
    "body", [{}, {"service_key_id": "x"}, {"service_key_id": None}, {"service_key_id": str(uuid4()), "role": "owner"}], ids=len
)
async def test_a_wrong_body_is_refused(seller: Seller, body: object):
    assert (await seller.post(SERVICES, body)).status_code == 422


async def test_a_link_that_is_removed_is_gone_and_can_be_made_again(bot: Bot, seller: Seller):
    await seller.post(SERVICES, {"service_key_id": str(bot.id)})

    removed = [await seller.delete(f"{SERVICES}/{bot.id}") for _ in range(2)]
    again = await seller.post(SERVICES, {"service_key_id": str(bot.id)})

    assert [answer.status_code for answer in removed] == [204, 404]
    assert again.status_code == 201


async def test_an_owner_may_unlink_the_very_bot_that_speaks(bot: Bot):
    seller = await bot.bring()

    answer = await seller.delete(f"{SERVICES}/{bot.id}")

    assert answer.status_code == 204
    assert (await seller.get("/auth/me")).status_code == 401
    assert (await bot.ask(12345, tenant_id=str(seller.tenant_id))).status_code == 404


async def test_unlinking_ends_no_session_of_another_tenant_or_bot(client: httpx.AsyncClient, bot: Bot, rival: Seller):
    one, two = await bot.bring(1), await bot.bring(2)
    other = await Bot.make(client, "other-bot")
    await one.post(SERVICES, {"service_key_id": str(other.id)})
    through_other = Seller.of(client, "", (await other.ask(1)).json())

    await one.delete(f"{SERVICES}/{bot.id}")

    assert through_other.tenant_id == one.tenant_id
    assert [(await each.get("/auth/me")).status_code for each in (one, two, through_other, rival)] == [401, 200, 200, 200]


async def test_a_rival_sees_and_removes_no_link(bot: Bot, rival: Seller):
    seller = await bot.bring()

    seen, removed = await rival.get(SERVICES), await rival.delete(f"{SERVICES}/{bot.id}")

    assert (seen.json(), removed.status_code) == ([], 404)
    assert len((await seller.get(SERVICES)).json()) == 1


async def test_a_viewer_looks_and_changes_nothing(bot: Bot):
    await bot.bring()
    async with system_scope() as connection:
        await connection.execute("UPDATE memberships SET role = $1", Role.VIEWER)
    viewer = await bot.bring(status=200)

    statuses = [
        (await viewer.get(SERVICES)).status_code,
        (await viewer.post(SERVICES, {"service_key_id": str(bot.id)})).status_code,
        (await viewer.delete(f"{SERVICES}/{bot.id}")).status_code,
    ]

    assert statuses == [200, 403, 403]


async def test_both_are_logged_in_the_tenant(bot: Bot, seller: Seller):
    await seller.post(SERVICES, {"service_key_id": str(bot.id)})
    await seller.post(SERVICES, {"service_key_id": str(bot.id)})
    await seller.delete(f"{SERVICES}/{bot.id}")

    async with system_scope() as connection:
        rows = await connection.fetch("SELECT action, actor, tenant_id FROM audit_log WHERE action LIKE 'service.%' ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("service.linked", f"user:{seller.user_id}", seller.tenant_id),
        ("service.unlinked", f"user:{seller.user_id}", seller.tenant_id),
    ]
