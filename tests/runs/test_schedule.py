import asyncio
from datetime import timedelta

import pytest

from app.database import system_scope, tenant_scope
from app.ids import new_id
from app.marketplaces.contract import Marketplace
from app.runs.schedule import pause_schedule, plan_next_sync, queue_due_tenants
from app.runs.service import SEALED_KEY
from app.runs.sweep import ring_for_waiting
from app.runs.tables import Trigger
from tests.factories import create_run, create_tenant, create_tenant_with_key

pytestmark = pytest.mark.anyio


async def make_due(*tenants, ago: str = "1 second") -> None:
    async with system_scope() as connection:
        await connection.execute(f"UPDATE tenants SET next_sync_at = now() - interval '{ago}' WHERE id = ANY($1::uuid[])", list(tenants))


async def runs() -> list:
    async with system_scope() as connection:
        return await connection.fetch('SELECT tenant_id, "trigger", marketplace, scopes, status FROM sync_runs')


async def test_a_due_tenant_gets_one_run_and_its_next_turn(clean_database):
    due, not_due = await create_tenant_with_key(), await create_tenant_with_key()
    await make_due(due)

    count = await queue_due_tenants()

    assert count == 1
    [run] = await runs()
    assert (run["tenant_id"], run["trigger"], run["scopes"]) == (due, Trigger.SCHEDULE, ["products", "prices", "stocks", "orders"])
    async with tenant_scope(due) as connection:
        wait = await connection.fetchval("SELECT next_sync_at - now() FROM tenants")
    assert timedelta() < wait <= timedelta(minutes=30)
    assert not_due != due


async def test_many_schedulers_at_once_queue_each_tenant_once(clean_database):
    tenants = [await create_tenant_with_key() for _ in range(20)]
    await make_due(*tenants)

    await asyncio.gather(*(queue_due_tenants() for _ in range(6)))

    assert sorted(run["tenant_id"] for run in await runs()) == sorted(tenants)


async def test_after_downtime_there_is_one_catch_up_not_one_per_missed_turn(clean_database):
    tenant = await create_tenant_with_key()
    await make_due(tenant, ago="3 days")

    first, second = await queue_due_tenants(), await queue_due_tenants()

    assert (first, second) == (1, 0)


async def test_a_tenant_without_a_key_is_not_synced(clean_database):
    await make_due(await create_tenant())

    await queue_due_tenants()

    assert await runs() == []


async def test_a_tenant_that_switched_its_sync_off_is_not_synced(clean_database):
    tenant = await create_tenant_with_key()
    await make_due(tenant)
    async with tenant_scope(tenant) as connection:
        await connection.execute("UPDATE tenants SET sync_enabled = false")

    assert await queue_due_tenants() == 0


async def test_a_turn_joins_the_run_that_is_queued(clean_database):
    tenant = await create_tenant_with_key()
    await create_run(tenant, Trigger.MANUAL)
    await make_due(tenant)

    await queue_due_tenants()

    assert [run["trigger"] for run in await runs()] == [Trigger.MANUAL]


async def test_turns_are_spread_over_the_interval(clean_database):
    tenants = [await create_tenant_with_key() for _ in range(40)]

    for tenant in tenants:
        async with tenant_scope(tenant) as connection:
            await plan_next_sync(connection, tenant)

    async with system_scope() as connection:
        moments = {row[0] for row in await connection.fetch("SELECT next_sync_at FROM tenants")}
    assert len(moments) > 30


async def test_a_run_that_nobody_was_woken_for_is_rung_for_again(clean_database):
    await create_run(await create_tenant())
    async with system_scope() as connection:
        await connection.execute("UPDATE sync_runs SET rung_at = now() - interval '1 minute'")

    first, second = await ring_for_waiting(), await ring_for_waiting()

    assert (first, second) == (1, 0)


async def give_key(tenant, marketplace: Marketplace, status: str) -> None:
    """A key in the tenant's row, and what is known of it."""
    async with tenant_scope(tenant) as connection:
        await connection.execute(f"UPDATE tenants SET {SEALED_KEY[marketplace]} = 'sealed'")
        await connection.execute(
            "INSERT INTO credentials (id, tenant_id, provider, status, masked, scopes, missing_scopes, shared, updated_at) "
            "VALUES ($1, $2, $3, $4, '***', '{}', '{}', false, now())",
            new_id(), tenant, marketplace, status,
        )  # fmt: skip


@pytest.mark.parametrize("status", ["valid", "expiring", "unverified"])
async def test_a_key_that_may_work_is_synced(clean_database, status):
    tenant = await create_tenant()
    await give_key(tenant, Marketplace.WILDBERRIES, status)
    await make_due(tenant)

    await queue_due_tenants()

    assert [run["marketplace"] for run in await runs()] == ["wildberries"]


async def test_a_rejected_key_is_left_alone_and_does_not_stop_the_other_account(clean_database):
    tenant = await create_tenant()
    await give_key(tenant, Marketplace.WILDBERRIES, "valid")
    await give_key(tenant, Marketplace.OZON, "invalid")
    await make_due(tenant)

    async with tenant_scope(tenant) as connection:
        await pause_schedule(connection, tenant)
        still_due = await connection.fetchval("SELECT next_sync_at < now() FROM tenants")
    await queue_due_tenants()

    assert still_due
    assert [run["marketplace"] for run in await runs()] == ["wildberries"]


async def test_the_schedule_pauses_with_the_last_usable_key_and_goes_on_with_the_next(clean_database):
    tenant = await create_tenant()
    await give_key(tenant, Marketplace.WILDBERRIES, "invalid")
    await give_key(tenant, Marketplace.OZON, "invalid")
    await make_due(tenant)

    async with tenant_scope(tenant) as connection:
        await pause_schedule(connection, tenant)
        paused = await connection.fetchval("SELECT next_sync_at IS NULL FROM tenants")
        await connection.execute("UPDATE credentials SET status = 'valid' WHERE provider = 'ozon'")
        await plan_next_sync(connection, tenant)
        planned = await connection.fetchval("SELECT next_sync_at > now() FROM tenants")

    assert (paused, planned) == (True, True)


async def test_another_key_takes_no_turn_away(clean_database):
    tenant = await create_tenant_with_key()
    await make_due(tenant)

    async with tenant_scope(tenant) as connection:
        await plan_next_sync(connection, tenant)

    assert await queue_due_tenants() == 1
