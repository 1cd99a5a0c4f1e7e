"""A worker process, rung for the daily check of stored keys."""

import asyncio
import os
import sys

import pytest

from app.credentials.rechecks import ring_for_rechecks
from app.settings import get_settings
from tests.application import Shop, client, redis, sandbox, sandbox_url, settings, shop
from tests.credentials.keys import change_key, told
from tests.credentials.ozon import give_ozon, ozon
from tests.marketplaces.scripted_server import ScriptedServer

__all__ = ["client", "ozon", "redis", "sandbox", "sandbox_url", "settings", "shop"]

pytestmark = pytest.mark.anyio


async def test_a_worker_that_is_rung_for_asks_about_the_keys_and_ends_in_good_order(shop: Shop, ozon: ScriptedServer):
    await give_ozon(shop)
    await change_key(shop, "verified_at = now() - interval '2 days'", "ozon")
    before = (await told(shop, "ozon"))["verified_at"]
    settings = get_settings()
    environment = os.environ | {"DATABASE_URL": settings.database_url.reveal(), "REDIS_URL": settings.redis_url.reveal()}

    assert await ring_for_rechecks()
    worker = await asyncio.create_subprocess_exec(sys.executable, "-m", "workers.main", env=environment)
    try:
        async with asyncio.timeout(20):
            while (await told(shop, "ozon"))["verified_at"] == before:
                await asyncio.sleep(0.05)
    finally:
        worker.terminate()
        ended = await asyncio.wait_for(worker.wait(), 20)

    assert ended == 0
    assert [request.path for request in ozon.requests].count("/v1/roles") == 2
