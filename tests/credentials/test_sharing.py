"""One shop in two tenants is told to both, and neither learns who the other is."""

import asyncio
from typing import Any

import httpx
import pytest

from app.credentials.sharing import review_outdated_sharing
from app.sandbox.tokens import issue_token
from tests.application import Shop
from tests.credentials.keys import change_key, heard, told

pytestmark = pytest.mark.anyio

AUDIT = "SELECT action, actor, request_id, ip_address, facts FROM audit_log WHERE tenant_id = $1 AND action LIKE '%shared' ORDER BY id"


async def shared(*shops: Shop) -> list[Any]:
    return [(await told(shop))["shared"] for shop in shops]


async def test_a_shop_that_is_added_twice_is_told_to_both_sellers(shop: Shop, other_shop: Shop):
    await shop.give_key()

    answer = await other_shop.give_key(issue_token(shop.seller_id))

    listed = answer.json()["credentials"]
    assert next(item for item in listed if item["provider"] == "wildberries")["shared"] is True
    assert await shared(shop, other_shop) == [True, True]
    for each, stranger in ((shop, other_shop), (other_shop, shop)):
        [(name, data)] = await heard(each)
        assert (name, data["provider"], data["tenant_id"]) == ("credentials.shared", "wildberries", str(each.tenant_id))
        assert str(stranger.tenant_id) not in repr(data)


async def test_the_log_of_the_other_tenant_shows_nothing_of_who_came(shop: Shop, other_shop: Shop):
    await shop.give_key()

    await other_shop.give_key(issue_token(shop.seller_id))

    for each in (shop, other_shop):
        assert await each.rows(AUDIT) == [("credentials.shared", "system", None, None, '{"provider": "wildberries"}')]


async def test_two_shops_share_nothing(shop: Shop, other_shop: Shop):
    await shop.give_key()
    await other_shop.give_key()

    assert await shared(shop, other_shop) == [False, False]
    assert await heard(shop) == []


async def test_another_key_of_the_same_shop_tells_it_no_second_time(shop: Shop, other_shop: Shop):
    await shop.give_key()
    await other_shop.give_key(issue_token(shop.seller_id))

    await other_shop.give_key(issue_token(shop.seller_id))
    await other_shop.call("POST", "/tenants/me/credentials/wildberries/verify")

    assert [len(await heard(each)) for each in (shop, other_shop)] == [1, 1]


@pytest.mark.parametrize("how", ["taken back", "of another shop"])
async def test_it_ends_with_the_other_key(shop: Shop, other_shop: Shop, how: str):
    await shop.give_key()
    await other_shop.give_key(issue_token(shop.seller_id))

    if how == "taken back":
        await other_shop.expect(204, "DELETE", "/tenants/me/credentials/wildberries")
    else:
        await other_shop.give_key()

    assert (await told(shop))["shared"] is False
    assert not (await told(other_shop))["shared"]
    assert [row[0] for row in await shop.rows(AUDIT)] == ["credentials.shared", "credentials.no_longer_shared"]
    assert len(await heard(shop)) == 1


async def test_a_claim_that_no_marketplace_confirmed_alarms_nobody_and_tells_nothing(shop: Shop, other_shop: Shop):
    await shop.give_key()

    await other_shop.give_key(issue_token(shop.seller_id), verify=False)
    await review_outdated_sharing()

    assert await shared(shop, other_shop) == [False, False]
    assert await heard(shop) + await heard(other_shop) == []


async def test_what_a_sync_or_a_crash_left_unnoticed_is_found_by_the_next_look(shop: Shop, other_shop: Shop, sandbox: httpx.AsyncClient):
    await shop.give_key()
    await other_shop.give_key(issue_token(shop.seller_id), verify=False)
    await change_key(other_shop, "status = 'valid'")

    looks = [await review_outdated_sharing() for _ in range(2)]

    assert looks == [1, 0]
    assert await shared(shop, other_shop) == [True, True]


async def test_a_rejected_key_shares_nothing(shop: Shop, other_shop: Shop):
    await shop.give_key()
    await other_shop.give_key(issue_token(shop.seller_id))
    await change_key(other_shop, "status = 'invalid'")

    await review_outdated_sharing()

    assert await shared(shop, other_shop) == [False, False]


async def test_many_looks_and_changes_at_once_tell_it_once(shop: Shop, other_shop: Shop):
    await shop.give_key()
    await other_shop.give_key(issue_token(shop.seller_id), verify=False)
    await change_key(other_shop, "status = 'valid'")

    await asyncio.gather(*(review_outdated_sharing() for _ in range(6)), shop.give_key(), other_shop.give_key(issue_token(shop.seller_id)))

    assert [len(await heard(each)) for each in (shop, other_shop)] == [1, 1]
