"""Asking for a run: one account has one at a time, and who waits comes first."""

import asyncio
import contextvars
from datetime import timedelta

import pytest

from app.database import system_scope, tenant_scope
from app.errors import CredentialsMissing, NotFound
from app.ids import new_id
from app.jobs import broker
from app.marketplaces.contract import Marketplace
from app.runs.checkpoints import Progressed, forget_checkpoints
from app.runs.lease import Lease, claim
from app.runs.service import cancel_active, get_run, request_run
from app.runs.sweep import requeue_expired, ring_for_waiting
from app.runs.tables import PRIORITY, RunStatus, Stage, Trigger
from tests.factories import claimed, create_run, create_tenant, create_tenant_with_key, expire_lease

pytestmark = pytest.mark.anyio


async def value(column: str, run_id) -> object:
    async with system_scope() as connection:
        return await connection.fetchval(f"SELECT {column} FROM sync_runs WHERE id = $1", run_id)


async def test_of_many_requests_at_once_one_makes_the_run_and_all_get_it(clean_database):
    tenant = await create_tenant_with_key()

    answers = await asyncio.gather(*(request_run(tenant, None, Trigger.MANUAL) for _ in range(8)))

    assert len({run.id for run, _ in answers}) == 1
    assert [created for _, created in answers].count(True) == 1


async def test_a_run_that_waits_for_the_schedule_moves_up_when_somebody_asks_and_not_down_again(clean_database):
    tenant = await create_tenant_with_key()
    run_id = await create_run(tenant, Trigger.SCHEDULE)
    assert await value("priority", run_id) == PRIORITY[Trigger.SCHEDULE]

    await request_run(tenant, None, Trigger.MANUAL)
    await request_run(tenant, None, Trigger.SCHEDULE)

    assert await value("priority", run_id) == PRIORITY[Trigger.MANUAL]


async def test_who_waits_for_a_run_comes_before_the_schedule(clean_database):
    scheduled, manual = await create_tenant_with_key(), await create_tenant_with_key()
    await create_run(scheduled, Trigger.SCHEDULE)
    wanted = await create_run(manual, Trigger.MANUAL)

    lease = await claim("test")

    assert lease is not None
    assert lease.run_id == wanted


async def test_without_a_key_or_a_tenant_there_is_no_run(clean_database):
    tenant = await create_tenant()

    with pytest.raises(CredentialsMissing):
        await request_run(tenant, None, Trigger.API)
    with pytest.raises(CredentialsMissing):
        await request_run(tenant, Marketplace.OZON, Trigger.API)
    with pytest.raises(NotFound):
        await request_run(new_id(), None, Trigger.API)


async def test_cancelling_ends_a_waiting_and_a_running_run_at_once(clean_database):
    waiting, running = await create_tenant_with_key(), await create_tenant_with_key()
    waits, runs = await create_run(waiting), await create_run(running)
    assert await claim("test", runs) is not None

    for tenant in (waiting, running):
        async with tenant_scope(tenant) as connection:
            await cancel_active(connection, tenant, Marketplace.WILDBERRIES)

    for tenant, run_id in ((waiting, waits), (running, runs)):
        run = await get_run(tenant, run_id)
        assert run.status is RunStatus.CANCELLED
        assert run.finished_at is not None
        assert (await request_run(tenant, None, Trigger.MANUAL))[1]


async def test_a_run_is_accepted_while_redis_is_away(clean_database, redis_url):
    tenant = await create_tenant_with_key()
    await broker.shutdown()
    broker.connect_to("redis://127.0.0.1:1/0")

    run, created = await request_run(tenant, None, Trigger.MANUAL)

    await broker.shutdown()
    broker.connect_to(redis_url)
    assert created
    assert (await get_run(tenant, run.id)).status is RunStatus.QUEUED


async def test_a_run_that_a_leaping_clock_put_off_is_due_when_it_is_asked_for_again(clean_database):
    tenant = await create_tenant_with_key()
    run_id = await create_run(tenant, Trigger.SCHEDULE)
    async with system_scope() as connection:
        await connection.execute("UPDATE sync_runs SET not_before = now() + interval '1 day', rung_at = now() + interval '1 day'")

    before = await claim("test")
    run, created = await request_run(tenant, None, Trigger.MANUAL)

    assert before is None
    assert (run.id, created) == (run_id, False)
    assert await ring_for_waiting() == 1
    assert await claim("test") is not None


async def test_a_wait_that_the_marketplace_asked_for_stays_when_somebody_asks_again(clean_database):
    tenant = await create_tenant_with_key()
    await create_run(tenant, Trigger.SCHEDULE)
    lease = await claim("test")
    assert lease is not None
    await lease.put_back(timedelta(hours=1))

    await request_run(tenant, None, Trigger.API)

    assert await claim("test") is None


async def begin(lease: Lease) -> None:
    """Its first page is stored, and the second one is on its way."""
    products = lease.stages[0]
    products.status = "running"
    async with lease.writing(products) as connection:
        products.created += 100
        await lease.save(connection, Stage.PRODUCTS, Progressed(cursor=b"1", run_id=lease.run_id))


async def test_who_begins_an_account_anew_and_who_writes_a_page_of_it_do_not_wait_for_each_other(clean_database):
    tenant = await create_tenant_with_key()
    lease = await claimed(tenant)
    await begin(lease)

    async def begin_anew() -> None:
        async with tenant_scope(tenant) as connection:
            await cancel_active(connection, tenant, Marketplace.WILDBERRIES)
            await forget_checkpoints(connection, tenant, Marketplace.WILDBERRIES)

    async with lease.writing(lease.stages[0]) as connection:
        await lease.save(connection, Stage.PRODUCTS, Progressed(cursor=b"2", run_id=lease.run_id))
        beginning = asyncio.create_task(begin_anew(), context=contextvars.Context())
        async with asyncio.timeout(10):
            while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
    await beginning

    assert (await get_run(tenant, lease.run_id)).status is RunStatus.CANCELLED
    async with tenant_scope(tenant) as connection:
        assert await connection.fetchval("SELECT count(*) FROM checkpoints") == 0


async def test_no_stage_is_under_way_of_a_run_that_was_called_off(clean_database):
    tenant = await create_tenant_with_key()
    lease = await claimed(tenant)
    await begin(lease)
    before = await get_run(tenant, lease.run_id)

    async with tenant_scope(tenant) as connection:
        await cancel_active(connection, tenant, Marketplace.WILDBERRIES)

    run = await get_run(tenant, lease.run_id)
    assert (before.stages[0].status, before.progress.stage) == ("running", Stage.PRODUCTS)
    assert (run.stages[0].status, run.stages[0].created, run.progress.stage) == ("pending", 100, None)


async def test_no_stage_is_under_way_of_a_run_that_killed_its_workers(clean_database):
    tenant = await create_tenant_with_key()
    lease = await claimed(tenant)
    await begin(lease)
    await expire_lease(lease.run_id)
    await requeue_expired()
    waiting = await get_run(tenant, lease.run_id)
    again = await claim("test", lease.run_id)
    assert again

    async with tenant_scope(tenant) as connection:
        await again.finish(connection, RunStatus.FAILED)

    dead = await get_run(tenant, lease.run_id)
    assert [(run.status, run.stages[0].status, run.stages[0].created) for run in (waiting, dead)] == [
        (RunStatus.QUEUED, "pending", 100), (RunStatus.FAILED, "pending", 100)]  # fmt: skip


async def test_what_a_killed_worker_had_counted_stays_when_somebody_asks_again_while_the_run_waits(clean_database):
    tenant = await create_tenant_with_key()
    lease = await claimed(tenant)
    await begin(lease)
    await expire_lease(lease.run_id)
    await requeue_expired()
    async with system_scope() as connection:
        await connection.execute("UPDATE sync_runs SET not_before = now() + interval '40 s'")

    run, created = await request_run(tenant, None, Trigger.MANUAL)

    assert (run.id, created, run.stages[0].created) == (lease.run_id, False, 100)
    assert await claim("test", lease.run_id)
