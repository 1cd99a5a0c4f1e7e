"""A day of work leaves nothing in Redis that was not there after the day before.

The work is real: turns of the schedule, doorbells through a worker's receiver, runs against the sandbox, asked-for runs with their outcomes, budgets,
circuits, pages out of the cache, sign-ins. Only the hours are not waited for: between two turns every key ages by half an hour.
"""

import asyncio
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from app.database import system_scope
from app.jobs import RESULT_S, broker
from app.marketplaces.circuit import MOST_FAILING
from app.marketplaces.errors import CircuitOpen, MarketplaceDown
from app.marketplaces.exchange import Budget, Call
from app.marketplaces.limits import SharedLimits
from app.redis import get_redis
from app.runs.schedule import queue_due_tenants
from app.runs.sweep import ring_for_waiting
from app.settings import Settings
from tests.application import Shop, all_runs_ended, client, listening_worker, redis, sandbox, sandbox_url, settings
from tests.auth.application import PASSWORD
from workers import credentials, sync, webhooks
from workers.sync import sync_tenant_products

__all__ = ["client", "credentials", "redis", "sandbox", "sandbox_url", "settings", "webhooks"]

pytestmark = pytest.mark.anyio

SHOPS = 2
TURNS_A_DAY = 48
HALF_AN_HOUR_MS = 1_800_000

# All keys that may be there for ever: the stream is emptied by who reads it, and capped where nobody does.
WITHOUT_END = {b"jobs"}

AGE = """
    local cursor, left = '0', 0
    repeat
      local page = redis.call('SCAN', cursor, 'COUNT', 1000)
      cursor = page[1]
      for _, name in ipairs(page[2]) do
        local ttl = redis.call('PTTL', name)
        if ttl > 0 then redis.call('PEXPIRE', name, ttl - ARGV[1]) end
      end
    until cursor == '0'
    return redis.call('DBSIZE')
"""


class Kept:
    """What is in Redis."""

    def __init__(self, ttls: dict[bytes, int], waiting: int, used_bytes: int) -> None:
        self.ttls, self.waiting, self.used_bytes = ttls, waiting, used_bytes

    @classmethod
    async def now(cls, redis: Redis) -> "Kept":
        ttls = {name: await redis.ttl(name) for name in await redis.keys("*")}
        return cls(ttls, await redis.xlen(broker.stream), (await redis.info("memory"))["used_memory"])

    def without_end(self) -> set[bytes]:
        return {name for name, ttl in self.ttls.items() if ttl < 0}


@pytest.fixture
async def shops(client) -> list[Shop]:
    """Sellers with small shops, in a Redis that holds nothing else."""
    await get_redis().flushdb()
    shops = [await Shop.register(client, f"seller{n}@example.com") for n in range(SHOPS)]
    for shop in shops:
        await shop.give_key(shop.key(products=3))
    return shops


async def count(statement: str) -> int:
    async with system_scope() as connection:
        return await connection.fetchval(statement)


async def turn(shops: list[Shop], limits: SharedLimits) -> None:
    """Half an hour in the life of all shops."""
    async with system_scope() as connection:
        await connection.execute("UPDATE tenants SET next_sync_at = now() WHERE next_sync_at IS NOT NULL")
        await connection.execute(
            "UPDATE sync_runs SET queued_at = queued_at - interval '30 min' WHERE queued_at > now() - interval '30 min'"
        )
    assert await queue_due_tenants() == len(shops)
    await ring_for_waiting()
    await all_runs_ended()
    for shop in shops:
        await shop.expect(200, "GET", "/products")
        account = f"wildberries:{shop.seller_id}:personal"
        for group in ("cards", "prices", "report"):
            await limits.take(Call(method="GET", url="https://well.test/", account=account, group=group, budget=Budget(1, 10)))
    for account in range(MOST_FAILING):
        with suppress(CircuitOpen):
            call = Call(method="GET", url="https://down.test/", account=str(account), group="cards", budget=Budget(1, 10))
            await limits.learn(call, await limits.take(call), None, None, MarketplaceDown("away"), 0.0)
    await get_redis().eval(AGE, 0, HALF_AN_HOUR_MS)


async def day(shops: list[Shop], limits: SharedLimits) -> None:
    tasks = [await sync_tenant_products.kiq(str(shop.tenant_id)) for shop in shops]
    outcomes = [await task.wait_result(timeout=30, check_interval=0.01) for task in tasks]
    assert {outcome.return_value["status"] for outcome in outcomes} == {"succeeded"}
    results = await get_redis().keys("jobs:result:*")
    assert {0 < await get_redis().ttl(name) <= RESULT_S for name in results} == {True}
    for shop in shops:
        signed_in = await shop.client.post("/auth/login", json={"email": f"seller{shops.index(shop)}@example.com", "password": PASSWORD})
        assert signed_in.status_code == 200
        await shop.client.post("/auth/logout", json={"refresh_token": signed_in.json()["refresh_token"]})
    for _ in range(TURNS_A_DAY):
        await turn(shops, limits)


async def test_the_second_day_leaves_no_more_than_the_first(shops: list[Shop], settings: Settings, redis_url: str):
    limits = SharedLimits(redis_url)
    async with listening_worker():
        await day(shops, limits)
        first = await Kept.now(get_redis())
        await day(shops, limits)
        second = await Kept.now(get_redis())
        [group] = await get_redis().xinfo_groups(broker.stream)
    await limits.aclose()

    runs = await count("SELECT count(*) FROM sync_runs WHERE status = 'succeeded'")
    assert runs >= 2 * SHOPS * TURNS_A_DAY
    assert first.waiting == second.waiting == 0
    assert first.without_end() == second.without_end() == WITHOUT_END
    assert len(second.ttls) <= len(first.ttls)
    assert second.used_bytes <= first.used_bytes * 1.02 + 50_000
    assert (group["consumers"], group["pending"]) == (1, 0)


async def test_doorbells_that_nobody_hears_stay_below_the_cap(settings: Settings, redis: None, monkeypatch: pytest.MonkeyPatch):
    await get_redis().flushdb()
    monkeypatch.setattr("app.jobs.MAX_WAITING", 200)
    await broker.startup()

    for _ in range(100):
        await asyncio.gather(*(sync_tenant_products.kiq("nobody") for _ in range(10)))

    # Redis trims by whole nodes of 100 entries.
    assert await get_redis().xlen(broker.stream) <= 300
    assert not sync.runner._running
