"""Who belongs to a tenant. It always has an owner."""

import asyncio
import contextvars
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.database import system_scope
from tests.auth.application import PASSWORD, Seller

pytestmark = pytest.mark.anyio


@pytest.fixture
async def colleague(client: httpx.AsyncClient) -> Seller:
    """Somebody who has registered."""
    return await Seller.register(client, "colleague@example.com")


async def join(owner: Seller, colleague: Seller, role: str) -> Seller:
    """Let the colleague in; gives the colleague as signed in there."""
    added = await owner.call("POST", "/tenants/me/users", {"email": colleague.email, "role": role})
    assert added.status_code == 201, added.text
    assert added.headers["location"] == f"/api/v1/tenants/me/users/{colleague.user_id}"
    switched = await colleague.call("POST", "/auth/switch-tenant", {"tenant_id": str(owner.tenant_id)})
    assert switched.status_code == 200, switched.text
    return Seller.of(colleague.client, colleague.email, switched.json())


async def members(seller: Seller) -> dict[str, str]:
    return {each["id"]: each["role"] for each in (await seller.get("/tenants/me/users")).json()["items"]}


async def test_a_member_reads_or_does_all_as_the_role_says(seller: Seller, colleague: Seller) -> None:
    viewer = await join(seller, colleague, "viewer")

    looks, acts = await viewer.get("/tenants/me"), await viewer.patch("/tenants/me", {"name": "Mine now"})

    assert (looks.status_code, acts.status_code) == (200, 403)
    assert await members(viewer) == {str(seller.user_id): "owner", str(colleague.user_id): "viewer"}


async def test_another_role_counts_at_once_and_only_there(seller: Seller, colleague: Seller) -> None:
    there = await join(seller, colleague, "owner")
    assert (await there.get("/tenants/me")).status_code == 200

    demoted = await seller.patch(f"/tenants/me/users/{colleague.user_id}", {"role": "viewer"})

    assert (demoted.status_code, demoted.json()["role"]) == (200, "viewer")
    assert (await there.patch("/tenants/me", {"name": "Mine"})).status_code == 401
    assert (await there.refresh()).json()["code"] == "refresh_token_invalid"
    assert (await colleague.get("/auth/me")).status_code == 200


async def test_the_same_role_again_ends_nothing(seller: Seller, colleague: Seller) -> None:
    there = await join(seller, colleague, "viewer")

    again = await seller.patch(f"/tenants/me/users/{colleague.user_id}", {"role": "viewer"})

    assert again.status_code == 200
    assert (await there.get("/tenants/me")).status_code == 200


async def test_who_is_removed_is_out_at_once_and_stays_at_home(seller: Seller, colleague: Seller) -> None:
    there = await join(seller, colleague, "owner")
    assert (await there.get("/tenants/me")).status_code == 200

    removed = await seller.call("DELETE", f"/tenants/me/users/{colleague.user_id}")

    assert removed.status_code == 204
    assert (await there.get("/tenants/me")).status_code == 401
    assert (await there.refresh()).json()["code"] == "refresh_token_invalid"
    assert (await colleague.call("POST", "/auth/switch-tenant", {"tenant_id": str(seller.tenant_id)})).status_code == 404
    assert (await colleague.get("/auth/me")).status_code == 200
    assert await members(seller) == {str(seller.user_id): "owner"}


async def test_the_last_owner_stays_one(seller: Seller, colleague: Seller) -> None:
    await join(seller, colleague, "viewer")

    removed = await seller.call("DELETE", f"/tenants/me/users/{seller.user_id}")
    demoted = await seller.patch(f"/tenants/me/users/{seller.user_id}", {"role": "viewer"})

    assert [(answer.status_code, answer.json()["code"]) for answer in (removed, demoted)] == [(409, "last_owner")] * 2
    assert (await seller.patch("/tenants/me", {"name": "Still mine"})).status_code == 200


@pytest.mark.parametrize("way", ["removed", "demoted"])
async def test_of_two_owners_who_go_at_once_one_stays(seller: Seller, colleague: Seller, way: str) -> None:
    there = await join(seller, colleague, "owner")
    outside = contextvars.copy_context()
    # Both requests are in the house, past their look at the caller, before one may change anything.
    async with system_scope() as connection:
        await connection.execute("SELECT FROM tenants WHERE id = $1 FOR UPDATE", seller.tenant_id)

        async def go(who: Seller) -> httpx.Response:
            path = f"/tenants/me/users/{who.user_id}"
            return await (who.call("DELETE", path) if way == "removed" else who.patch(path, {"role": "viewer"}))

        going = [asyncio.create_task(go(who), context=outside.copy()) for who in (seller, there)]
        async with asyncio.timeout(10):
            while await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") < 2:
                await asyncio.sleep(0.01)
    answers = await asyncio.gather(*going)

    assert sorted(answer.status_code for answer in answers) == [204 if way == "removed" else 200, 409]
    async with system_scope() as connection:
        owners = await connection.fetchval("SELECT count(*) FROM memberships WHERE tenant_id = $1 AND role = 'owner'", seller.tenant_id)
    assert owners == 1


async def test_an_owner_makes_a_user_who_signs_in_there(client: httpx.AsyncClient, seller: Seller) -> None:
    added = await seller.call("POST", "/tenants/me/users", {"email": "New@example.com", "password": PASSWORD, "role": "viewer"})

    login = await client.post("/auth/login", json={"email": "new@example.com", "password": PASSWORD})
    assert (added.status_code, added.json()["email"]) == (201, "new@example.com")
    assert login.json()["tenant"]["id"] == str(seller.tenant_id)
    assert login.json()["user"]["id"] == added.json()["id"]


async def test_an_owner_sets_nobody_elses_password(client: httpx.AsyncClient, seller: Seller, colleague: Seller) -> None:
    body = {"email": colleague.email, "password": "another password", "role": "viewer"}

    answer = await seller.call("POST", "/tenants/me/users", body)

    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")
    assert (await client.post("/auth/login", json={"email": colleague.email, "password": PASSWORD})).status_code == 200


async def test_who_comes_by_telegram_need_not_be_known_yet(seller: Seller) -> None:
    added = await seller.call("POST", "/tenants/me/users", {"telegram_user_id": 777, "role": "viewer"})

    again = await seller.call("POST", "/tenants/me/users", {"telegram_user_id": 777, "role": "owner"})
    assert (added.status_code, added.json()["email"], added.json()["telegram_user_id"]) == (201, None, 777)
    assert (again.status_code, again.json()["code"]) == (409, "already_member")
    assert (await members(seller))[added.json()["id"]] == "viewer"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "viewer"}, "email"),
        ({"role": "viewer", "email": "colleague@example.com", "telegram_user_id": 5}, "email"),
        ({"role": "viewer", "telegram_user_id": 5, "password": "12345678"}, "password"),
        ({"role": "viewer", "telegram_user_id": 0}, "telegram_user_id"),
        ({"role": "admin", "telegram_user_id": 5}, "role"),
        ({"telegram_user_id": 5}, "role"),
        ({"role": "viewer", "telegram_user_id": 5, "tenant_id": "x"}, "tenant_id"),
    ],
    ids=["nobody", "both", "password-alone", "zero", "role", "no-role", "unknown-field"],
)
async def test_what_is_wrong_with_a_new_member_is_named(seller: Seller, body: dict[str, Any], field: str) -> None:
    answer = await seller.call("POST", "/tenants/me/users", body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await members(seller) == {str(seller.user_id): "owner"}


async def test_an_address_that_nobody_has_needs_a_password(seller: Seller) -> None:
    answer = await seller.call("POST", "/tenants/me/users", {"email": "nobody@example.com", "role": "viewer"})

    assert (answer.status_code, answer.json()["code"]) == (404, "user_unknown")


async def test_nobody_is_a_member_twice(seller: Seller, colleague: Seller) -> None:
    body = {"email": colleague.email, "role": "viewer"}

    answers = await asyncio.gather(*(seller.call("POST", "/tenants/me/users", body) for _ in range(3)))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert {answer.json().get("code") for answer in answers} == {None, "already_member"}


async def test_anothers_member_is_as_absent_as_a_missing_one(seller: Seller, colleague: Seller) -> None:
    for user_id in (colleague.user_id, uuid4()):
        removed = await seller.call("DELETE", f"/tenants/me/users/{user_id}")
        changed = await seller.patch(f"/tenants/me/users/{user_id}", {"role": "viewer"})

        assert [(answer.status_code, answer.json()["code"]) for answer in (removed, changed)] == [(404, "not_found")] * 2


async def test_who_changed_whom_stands_in_the_audit_log(seller: Seller, colleague: Seller) -> None:
    await join(seller, colleague, "viewer")
    await seller.patch(f"/tenants/me/users/{colleague.user_id}", {"role": "owner"})
    await seller.call("DELETE", f"/tenants/me/users/{colleague.user_id}")

    async with system_scope() as connection:
        entries = await connection.fetch(
            "SELECT actor, action FROM audit_log WHERE tenant_id = $1 AND action LIKE 'member.%' ORDER BY id", seller.tenant_id
        )
    assert [tuple(entry) for entry in entries] == [
        (f"user:{seller.user_id}", action) for action in ("member.added", "member.role_changed", "member.removed")
    ]


async def test_a_tenant_has_no_more_members_than_it_may(seller: Seller, colleague: Seller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.auth.members.MAX_MEMBERS", 2)
    await join(seller, colleague, "viewer")

    third = await seller.call("POST", "/tenants/me/users", {"telegram_user_id": 7, "role": "viewer"})
    again = await seller.call("POST", "/tenants/me/users", {"email": colleague.email, "role": "viewer"})

    assert (third.status_code, third.json()["code"]) == (409, "too_many_members")
    assert again.json()["code"] == "already_member"
    assert len(await members(seller)) == 2


async def test_nobody_is_added_to_more_tenants_than_a_user_may_have(
    seller: Seller, colleague: Seller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.auth.members.MAX_TENANTS", 1)

    added = await seller.call("POST", "/tenants/me/users", {"email": colleague.email, "role": "viewer"})

    assert (added.status_code, added.json()["code"]) == (409, "too_many_tenants")
    assert await members(seller) == {str(seller.user_id): "owner"}
