"""What the scheduler does about keys."""

import pytest

from app.credentials.jobs import CheckKeys
from app.jobs import broker
from app.redis import get_redis
from tests.application import Shop, client, redis, sandbox, sandbox_url, settings, shop
from tests.credentials.keys import change_key, heard
from workers.scheduler import look_at_keys

__all__ = ["client", "redis", "sandbox", "sandbox_url", "settings", "shop"]

pytestmark = pytest.mark.anyio


async def test_a_look_at_the_keys_warns_of_those_that_end(shop: Shop):
    await shop.give_key()
    await change_key(shop, "expires_at = now() + interval '6 days'")

    await look_at_keys()
    await look_at_keys()

    assert [name for name, _ in await heard(shop)] == ["credentials.expiring"]


@pytest.mark.parametrize(("provider", "rings"), [("ozon", True), ("wildberries", False)])
async def test_it_rings_for_a_key_whose_daily_check_is_due_where_the_marketplace_wants_one(shop: Shop, provider: str, rings: bool):
    await shop.give_key()
    await change_key(shop, f"provider = '{provider}', verified_at = now() - interval '26 hours'")
    before = await get_redis().xlen(broker.stream)

    await look_at_keys()

    messages = await get_redis().xrange(broker.stream)
    assert any(CheckKeys.name.encode() in fields[b"message"] for _, fields in messages[before:]) is rings
