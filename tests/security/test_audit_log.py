"""design: security, "Audit": what an owner reads of what was done."""

import pytest

from app.audit.service import record
from app.database import system_scope
from tests.application import Shop

pytestmark = pytest.mark.anyio


async def test_the_newest_deeds_come_first_with_who_what_when_and_from_where(shop: Shop) -> None:
    await shop.expect(200, "PATCH", "/tenants/me", json={"name": "Vasilek"})

    [changed, signed_in, registered] = (await shop.expect(200, "GET", "/tenants/me/audit-log"))["items"]

    assert [each["action"] for each in (registered, signed_in, changed)] == ["user.registered", "user.signed_in", "tenant.updated"]
    assert changed["actor"]["kind"] == "user"
    assert changed["facts"] == {"name": "Vasilek"}
    assert changed["on_behalf_of"] is None
    assert changed["request_id"]
    assert changed["ip_address"]


async def test_pages_follow_each_other_and_skip_nothing_that_was_there(shop: Shop) -> None:
    for number in range(5):
        await shop.expect(200, "PATCH", "/tenants/me", json={"name": f"Name {number}"})

    seen: list[str] = []
    cursor = None
    while True:
        page = await shop.expect(
            200, "GET", "/tenants/me/audit-log", params={"limit": 2, "action": "tenant.updated"} | ({"cursor": cursor} if cursor else {})
        )
        seen += [entry["facts"]["name"] for entry in page["items"]]
        await shop.expect(200, "PATCH", "/tenants/me", json={"name": "Later"})
        if (cursor := page["next_cursor"]) is None:
            break

    assert seen == [f"Name {number}" for number in (4, 3, 2, 1, 0)]


async def test_it_is_narrowed_down_by_action_and_time(shop: Shop) -> None:
    everything = (await shop.expect(200, "GET", "/tenants/me/audit-log"))["items"]
    newest = everything[0]

    by_action = (await shop.expect(200, "GET", "/tenants/me/audit-log", params={"action": "user.registered"}))["items"]
    since = (await shop.expect(200, "GET", "/tenants/me/audit-log", params={"since": newest["occurred_at"]}))["items"]
    nothing = (await shop.expect(200, "GET", "/tenants/me/audit-log", params={"action": "never.happened"}))["items"]

    assert [each["action"] for each in by_action] == ["user.registered"]
    assert newest in since
    assert nothing == []
    assert (await shop.call("GET", "/tenants/me/audit-log", params={"action": "no action"})).status_code == 422


async def test_deeds_of_operators_and_of_the_service_itself_are_shown_and_what_concerns_no_tenant_is_not(
    shop: Shop, other_shop: Shop
) -> None:
    async with system_scope() as connection:
        await record(connection, shop.tenant_id, "operator", "sync.paused")
        await record(connection, shop.tenant_id, "system", "credentials.invalid", {"provider": "ozon"})
        await record(connection, None, "operator", "keys.rotated")

    mine = (await shop.expect(200, "GET", "/tenants/me/audit-log"))["items"]
    theirs = (await other_shop.expect(200, "GET", "/tenants/me/audit-log"))["items"]

    assert [each["actor"] for each in mine[:2]] == [{"kind": "system", "id": None}, {"kind": "operator", "id": None}]
    assert {each["action"] for each in theirs} == {"user.registered", "user.signed_in"}
