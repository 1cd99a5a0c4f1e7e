"""A user's own sessions, password and tenants."""

import asyncio
import contextvars
from uuid import UUID, uuid4

import httpx
import pytest

from app.auth import sessions
from app.auth.members import TAKE_TELEGRAM_USER
from app.database import system_scope
from app.ids import new_id
from tests.auth.application import ADDRESS, PASSWORD, Bot, Seller, held_sign_ins, waiting_for_locks

pytestmark = pytest.mark.anyio

NEXT_PASSWORD = "another horse battery staple"


async def sign_in(seller: Seller, password: str = PASSWORD, user_agent: str = "phone") -> Seller:
    answer = await seller.client.post("/auth/login", json={"email": seller.email, "password": password}, headers={"User-Agent": user_agent})
    assert answer.status_code == 200, answer.text
    return Seller.of(seller.client, seller.email, answer.json())


async def statuses(*callers: Seller) -> list[int]:
    return [(await caller.get("/auth/me")).status_code for caller in callers]


async def test_the_list_says_whence_and_which_is_mine(seller: Seller, rival: Seller) -> None:
    phone = await sign_in(seller)

    answer = await phone.get("/auth/sessions")

    listed = answer.json()["items"]
    assert answer.headers["cache-control"] == "no-store"
    assert [each["id"] for each in listed] == [str(phone.session_id), str(seller.session_id)]
    assert [each["is_current"] for each in listed] == [True, False]
    assert listed[0].items() >= {"ip_address": ADDRESS, "user_agent": "phone", "service": None, "service_key_id": None}.items()
    assert listed[0]["tenant_id"] == str(seller.tenant_id)


async def test_the_list_has_pages(seller: Seller) -> None:
    phone = await sign_in(seller)

    first = (await phone.get("/auth/sessions?limit=1")).json()
    second = (await phone.get(f"/auth/sessions?limit=1&cursor={first['next_cursor']}")).json()

    assert [page["items"][0]["id"] for page in (first, second)] == [str(phone.session_id), str(seller.session_id)]
    assert second["next_cursor"] is None


async def test_a_session_that_is_ended_is_over_at_once(seller: Seller) -> None:
    phone = await sign_in(seller)
    assert await statuses(seller, phone) == [200, 200]

    ended = await seller.call("DELETE", f"/auth/sessions/{phone.session_id}")
    again = await seller.call("DELETE", f"/auth/sessions/{phone.session_id}")

    assert (ended.status_code, again.status_code) == (204, 404)
    assert await statuses(seller, phone) == [200, 401]
    assert (await phone.refresh()).json()["code"] == "refresh_token_invalid"
    assert len((await seller.get("/auth/sessions")).json()["items"]) == 1


async def test_anothers_session_is_as_absent_as_a_missing_one(seller: Seller, rival: Seller) -> None:
    answers = [await seller.call("DELETE", f"/auth/sessions/{each}") for each in (rival.session_id, uuid4())]

    assert [(answer.status_code, answer.json()["detail"]) for answer in answers] == [(404, "There is no such session.")] * 2
    assert await statuses(rival) == [200]


async def test_signing_out_everywhere_ends_all_sessions_of_the_user_and_nobody_elses(seller: Seller, rival: Seller) -> None:
    phone = await sign_in(seller)
    assert await statuses(seller, phone, rival) == [200, 200, 200]

    answer = await phone.call("POST", "/auth/logout-all")

    assert answer.status_code == 204
    assert await statuses(seller, phone, rival) == [401, 401, 200]


async def test_another_password_ends_the_other_sessions(seller: Seller) -> None:
    phone = await sign_in(seller)
    assert await statuses(seller, phone) == [200, 200]

    answer = await phone.call("POST", "/auth/password", {"current_password": PASSWORD, "new_password": NEXT_PASSWORD})

    assert answer.status_code == 204
    assert await statuses(seller, phone) == [401, 200]
    assert (await seller.client.post("/auth/login", json={"email": seller.email, "password": PASSWORD})).status_code == 401
    assert await statuses(await sign_in(seller, NEXT_PASSWORD)) == [200]


async def test_a_wrong_present_password_changes_nothing_and_is_counted(seller: Seller) -> None:
    body = {"current_password": "not the password", "new_password": NEXT_PASSWORD}

    answers = [await seller.call("POST", "/auth/password", body) for _ in range(6)]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers[:5]} == {(422, "current_password_wrong")}
    assert [error["field"] for error in answers[0].json()["errors"]] == ["current_password"]
    assert answers[5].status_code == 429
    assert await statuses(seller) == [200]


async def test_of_two_changes_at_once_one_counts(seller: Seller) -> None:
    phone = await sign_in(seller)

    answers = await asyncio.gather(
        *(
            who.call("POST", "/auth/password", {"current_password": PASSWORD, "new_password": f"{NEXT_PASSWORD} {number}"})
            for number, who in enumerate((seller, phone))
        )
    )

    # Who comes second finds another password, or its session ended.
    first, second = sorted(answer.status_code for answer in answers)
    assert first == 204
    assert second in (401, 422)
    assert sorted(await statuses(seller, phone)) == [200, 401]


async def test_who_came_by_telegram_gets_no_password_this_way(seller: Seller) -> None:
    async with system_scope() as connection:
        await connection.execute("UPDATE users SET email = NULL, password_hash = NULL, telegram_user_id = 5 WHERE id = $1", seller.user_id)

    answer = await seller.call("POST", "/auth/password", {"current_password": PASSWORD, "new_password": NEXT_PASSWORD})

    assert (answer.status_code, answer.json()["code"]) == (409, "password_not_set")
    assert (await seller.get("/auth/me")).json()["user"]["email"] is None
    assert (await seller.get("/tenants/me/users")).json()["items"][0]["email"] is None


async def test_another_tenant_is_made_listed_and_gone_into_while_the_first_session_lives(seller: Seller, rival: Seller) -> None:
    made = await seller.call("POST", "/tenants", {"company_name": "Second", "marketplace_type": "ozon"})

    switched = await seller.call("POST", "/auth/switch-tenant", {"tenant_id": made.json()["id"]})
    there = Seller.of(seller.client, seller.email, switched.json())
    listed = (await there.get("/tenants")).json()["items"]
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/tenants/me")
    assert switched.headers["cache-control"] == "no-store"
    assert (await there.get("/tenants/me")).json()["name"] == "Second"
    assert (await seller.get("/tenants/me")).json()["name"] == "Romashka"
    assert [(each["id"], each["role"], each["is_current"]) for each in listed] == [
        (str(seller.tenant_id), "owner", False),
        (made.json()["id"], "owner", True),
    ]


async def test_where_one_is_no_member_is_as_absent_as_a_missing_tenant(seller: Seller, rival: Seller) -> None:
    answers = [await seller.call("POST", "/auth/switch-tenant", {"tenant_id": str(each)}) for each in (rival.tenant_id, uuid4())]

    assert [(answer.status_code, answer.json()["detail"]) for answer in answers] == [(404, "There is no such tenant of yours.")] * 2


async def test_a_user_has_so_many_tenants_at_most(seller: Seller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.auth.tenancies.MAX_TENANTS", 2)
    body = {"company_name": "Second", "marketplace_type": "ozon"}

    answers = await asyncio.gather(*(seller.call("POST", "/tenants", body) for _ in range(3)))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]


async def test_nobody_is_kept_from_a_tenant_of_his_own_by_who_adds_him_to_others(
    seller: Seller, rival: Seller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.auth.tenancies.MAX_TENANTS", 2)
    added = await rival.call("POST", "/tenants/me/users", {"email": seller.email, "role": "owner"})

    made = await seller.call("POST", "/tenants", {"company_name": "Second", "marketplace_type": "ozon"})

    assert (added.status_code, made.status_code) == (201, 201)


async def test_a_bot_reaches_what_it_acts_for_and_nothing_else_of_its_seller(client: httpx.AsyncClient, seller: Seller) -> None:
    bot = await Bot.make(client)
    async with system_scope() as connection:
        user_id: UUID = await connection.fetchval(TAKE_TELEGRAM_USER, new_id(), 123456789)
        await connection.execute(
            "INSERT INTO memberships (id, tenant_id, user_id, role, created_at) VALUES ($1, $2, $3, 'owner', now())",
            new_id(), seller.tenant_id, user_id,
        )  # fmt: skip
    through = await bot.bring(123456789)
    made = await through.call("POST", "/tenants", {"company_name": "Second", "marketplace_type": "ozon"})

    listed = [each["id"] for each in (await through.get("/tenants")).json()["items"]]
    inside = await through.call("POST", "/auth/switch-tenant", {"tenant_id": made.json()["id"]})
    outside = await through.call("POST", "/auth/switch-tenant", {"tenant_id": str(seller.tenant_id)})
    password = await through.call("POST", "/auth/password", {"current_password": PASSWORD, "new_password": NEXT_PASSWORD})
    shown = (await through.get("/auth/sessions")).json()["items"]

    assert listed == [str(through.tenant_id), made.json()["id"]]
    assert (inside.status_code, outside.status_code, password.status_code) == (200, 404, 403)
    assert {(each["tenant_id"], each["service_key_id"]) for each in shown} == {(str(through.tenant_id), str(bot.id))}


async def test_one_session_too_many_ends_the_one_that_was_used_least(seller: Seller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_LIVE", 2)
    phone = await sign_in(seller)
    await seller.refresh()

    tablet = await sign_in(seller)

    left = {each["id"] for each in (await tablet.get("/auth/sessions")).json()["items"]}
    assert left == {str(seller.session_id), str(tablet.session_id)}
    assert (await phone.refresh()).json()["code"] == "refresh_token_invalid"


async def test_a_sign_in_waits_for_the_removal_of_its_member(seller: Seller) -> None:
    outside = contextvars.copy_context()
    async with system_scope() as connection:
        await connection.execute("DELETE FROM memberships WHERE user_id = $1", seller.user_id)
        signing_in = asyncio.create_task(
            seller.client.post("/auth/login", json={"email": seller.email, "password": PASSWORD}), context=outside
        )
        async with asyncio.timeout(10):
            while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
    answer = await signing_in

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_who_signs_out_everywhere_while_another_tenant_is_gone_into_is_out_there_too(seller: Seller, clean_database: str) -> None:
    made = (await seller.call("POST", "/tenants", {"company_name": "Second", "marketplace_type": "ozon"})).json()

    async with held_sign_ins(clean_database) as go_on:
        switching = asyncio.create_task(seller.call("POST", "/auth/switch-tenant", {"tenant_id": made["id"]}))
        await waiting_for_locks(1)
        signed_out = await seller.call("POST", "/auth/logout-all")
        await go_on()
        switched = await switching

    assert (signed_out.status_code, switched.status_code) == (204, 401)
    async with system_scope() as connection:
        assert (
            await connection.fetchval("SELECT count(*) FROM login_sessions WHERE user_id = $1 AND revoked_at IS NULL", seller.user_id) == 0
        )
