"""What the scheduler does each second and each minute, whatever is amiss."""

import asyncio
import os
import sys

import pytest
import structlog

from app.credentials.jobs import CheckKeys
from app.database import system_scope
from app.jobs import broker
from app.redis import get_redis
from app.runs.schedule import BATCH
from tests.application import Shop, client, redis, sandbox, sandbox_url, settings, shop
from tests.credentials.keys import change_key, heard
from tests.factories import create_run, create_tenant
from workers import scheduler
from workers.scheduler import look_at_keys, queue_all_due_tenants, tick

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


async def test_a_fault_in_one_part_stops_neither_the_others_nor_the_scheduler(clean_database: str):
    run_id = await create_run(await create_tenant())
    async with system_scope() as connection:
        await connection.execute("UPDATE sync_runs SET rung_at = now() - interval '1 hour'")
        await connection.execute("ALTER TABLE tenants RENAME COLUMN sync_interval_minutes TO gone")

    try:
        with structlog.testing.capture_logs() as said:
            await tick()
    finally:
        async with system_scope() as connection:
            await connection.execute("ALTER TABLE tenants RENAME COLUMN gone TO sync_interval_minutes")

    assert [(entry["event"], entry["part"]) for entry in said if entry["log_level"] == "error"] == [
        ("scheduler.part_failed", "queue_all_due_tenants")
    ]
    async with system_scope() as connection:
        assert await connection.fetchval("SELECT rung_at > now() - interval '1 min' FROM sync_runs WHERE id = $1", run_id)


async def test_workers_begin_with_the_first_batch_while_the_others_are_queued(clean_database: str, monkeypatch: pytest.MonkeyPatch):
    steps: list[str] = []
    batches = [BATCH, BATCH, 3]

    async def queue() -> int:
        steps.append("queue")
        return batches.pop(0)

    async def ring() -> int:
        steps.append("ring")
        return 0

    monkeypatch.setattr(scheduler, "queue_due_tenants", queue)
    monkeypatch.setattr(scheduler, "ring_for_waiting", ring)

    await queue_all_due_tenants()

    assert steps == ["queue", "ring", "queue", "queue"]


async def test_a_scheduler_exits_in_time_whatever_its_tick_waits_for(clean_database: str, redis_url: str):
    program = "from workers import scheduler, stopping; stopping.STOP_WITHIN_S = 1.0; scheduler.main()"
    environment = os.environ | {"DATABASE_URL": clean_database, "REDIS_URL": redis_url, "LOG_LEVEL": "error"}
    async with system_scope() as connection:
        await connection.execute("LOCK TABLE tenants")
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=environment)
        try:
            async with asyncio.timeout(20):
                while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'tenants'::regclass"):
                    await asyncio.sleep(0.05)

            process.terminate()

            async with asyncio.timeout(8):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
