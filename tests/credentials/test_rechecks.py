"""Stored keys of Ozon are shown to it once a day, each by one worker, and those of Wildberries never."""

import asyncio

import httpx
import pytest

from app.credentials import rechecks
from app.credentials.rechecks import recheck_keys, ring_for_rechecks
from app.redis import get_redis
from tests.application import Shop
from tests.credentials.keys import change_key, heard, told
from tests.credentials.ozon import ALL, DOWN, WRONG_KEY, give_ozon, ozon, roles
from tests.marketplaces.scripted_server import ScriptedServer

__all__ = ["ozon"]

pytestmark = pytest.mark.anyio

YESTERDAY = "verified_at = now() - interval '25 hours 1 minute'"


async def let_the_pause_pass() -> None:
    """As an hour after an attempt."""
    for name in await get_redis().keys("credentials:asked:*"):
        await get_redis().delete(name)


async def test_a_key_is_due_a_day_after_it_was_last_asked_about(shop: Shop, ozon: ScriptedServer):
    await give_ozon(shop)
    at_once = await ring_for_rechecks()

    await change_key(shop, "verified_at = now() - interval '22 hours 59 minutes'", "ozon")
    too_soon = await ring_for_rechecks()
    await change_key(shop, YESTERDAY, "ozon")
    a_day_later = await ring_for_rechecks()

    assert (at_once, too_soon, a_day_later) == (False, False, True)


async def test_many_workers_at_once_ask_about_a_key_once(shop: Shop, ozon: ScriptedServer):
    await give_ozon(shop)
    await change_key(shop, YESTERDAY, "ozon")

    asked = await asyncio.gather(*(recheck_keys() for _ in range(6)))

    assert sum(asked) == 1
    assert len(ozon.requests) == 2
    assert await ring_for_rechecks() is False


async def test_what_changed_since_yesterday_is_known_from_then_on(shop: Shop, ozon: ScriptedServer):
    await give_ozon(shop)
    await change_key(shop, YESTERDAY, "ozon")
    ozon.replies = (roles("/v3/product", "/v1/roles"),)

    await recheck_keys()

    known = await told(shop, "ozon")
    assert known["status"] == "valid"
    assert "orders" in known["missing_scopes"]


async def test_a_key_that_was_revoked_meanwhile_is_invalid_told_once_and_not_shown_again(shop: Shop, ozon: ScriptedServer):
    await give_ozon(shop)
    await change_key(shop, YESTERDAY, "ozon")
    ozon.replies = (WRONG_KEY,)

    for _ in range(3):
        await recheck_keys()
        await let_the_pause_pass()

    assert len(ozon.requests) == 2
    assert [(name, data["provider"]) for name, data in await heard(shop)] == [("credentials.invalid", "ozon")]
    assert (await told(shop, "ozon"))["status"] == "invalid"


async def test_a_key_that_nobody_could_check_is_checked_as_soon_as_ozon_answers_and_begins_its_sync(shop: Shop, ozon: ScriptedServer):
    ozon.replies = (DOWN,)
    await give_ozon(shop)
    ozon.replies = (roles(*ALL),)

    await recheck_keys()

    known = await told(shop, "ozon")
    assert known["status"] == "valid"
    assert known["expires_at"] is not None
    assert await shop.rows("SELECT marketplace, status FROM sync_runs WHERE tenant_id = $1") == [("ozon", "queued")]


async def test_an_ozon_that_does_not_answer_changes_nothing_and_is_left_alone_for_an_hour(shop: Shop, ozon: ScriptedServer):
    await give_ozon(shop)
    await change_key(shop, YESTERDAY, "ozon")
    before = await told(shop, "ozon")
    ozon.replies = (DOWN,)

    asked = [await recheck_keys() for _ in range(4)]

    assert asked == [1, 0, 0, 0]
    assert await told(shop, "ozon") == before


async def test_with_one_key_that_finds_no_answer_the_others_of_the_batch_wait(shop: Shop, other_shop: Shop, ozon: ScriptedServer):
    await give_ozon(shop)
    await give_ozon(other_shop, client_id="7654321")
    for each in (shop, other_shop):
        await change_key(each, YESTERDAY, "ozon")
    ozon.replies = (DOWN,)

    assert await recheck_keys() == 1


async def test_more_keys_than_a_batch_ring_for_the_next_worker(
    shop: Shop, other_shop: Shop, ozon: ScriptedServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rechecks, "BATCH", 1)
    await give_ozon(shop)
    await give_ozon(other_shop, client_id="7654321")
    for each in (shop, other_shop):
        await change_key(each, YESTERDAY, "ozon")

    asked = [await recheck_keys() for _ in range(3)]

    assert asked == [1, 1, 0]


async def test_a_key_of_wildberries_is_never_asked_about_by_a_clock(shop: Shop, sandbox: httpx.AsyncClient):
    await shop.give_key()
    await change_key(shop, "verified_at = now() - interval '30 days'")

    rang, asked = await ring_for_rechecks(), await recheck_keys()

    assert (rang, asked) == (False, 0)
    requests = (await sandbox.get("/requests", params={"seller_id": str(shop.seller_id)})).json()
    assert requests["GET /ping"] == {"200": 1}


async def test_a_key_that_does_not_open_is_passed_over(shop: Shop, other_shop: Shop, ozon: ScriptedServer):
    await give_ozon(shop)
    await give_ozon(other_shop, client_id="7654321")
    for each in (shop, other_shop):
        await change_key(each, YESTERDAY, "ozon")
    await shop.rows("UPDATE tenants SET ozon_credentials_encrypted = 'v1.00000000.x' WHERE id = $1 RETURNING id")

    asked = await recheck_keys()

    assert asked == 2
    assert (await told(other_shop, "ozon"))["verified_at"] > (await told(shop, "ozon"))["verified_at"]
    assert [request.headers["client-id"] for request in ozon.requests[2:]] == ["7654321"]
