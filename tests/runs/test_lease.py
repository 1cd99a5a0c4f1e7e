import asyncio
import contextvars
from datetime import timedelta

import pytest

from app.database import system_scope, tenant_scope
from app.marketplaces.contract import Marketplace
from app.products.service import ProductService
from app.products.store import write_products
from app.runs.checkpoints import Progressed, save_checkpoint
from app.runs.lease import LeaseLost, claim
from app.runs.service import cancel_active, get_run, request_run
from app.runs.sweep import requeue_expired
from app.runs.tables import RunStatus, Stage, Trigger
from tests.factories import claimed, create_run, create_tenant, create_tenant_with_key, expire_lease, product
from tests.scripted_client import ScriptedClient

pytestmark = pytest.mark.anyio


async def test_the_most_urgent_run_is_claimed_first_whenever_it_came(clean_database):
    for _ in range(5):
        await create_run(await create_tenant(), Trigger.SCHEDULE)
    pressed = await create_run(await create_tenant(), Trigger.MANUAL)

    lease = await claim("worker")

    assert lease is not None
    assert lease.run_id == pressed


async def test_two_workers_at_once_never_claim_the_same_run(clean_database):
    runs = {await create_run(await create_tenant()) for _ in range(8)}

    leases = await asyncio.gather(*(claim(f"worker {n}") for n in range(12)))

    claimed_runs = [lease.run_id for lease in leases if lease]
    assert len(claimed_runs) == len(set(claimed_runs)) == len(runs)


async def test_a_run_that_is_put_back_is_not_due_before_its_time(clean_database):
    lease = await claimed(await create_tenant())

    await lease.put_back(timedelta(hours=1))

    assert await claim("worker") is None
    run = await get_run(lease.tenant_id, lease.run_id)
    assert run.status is RunStatus.QUEUED
    assert run.not_before is not None


async def test_a_worker_that_lost_its_lease_cannot_write(clean_database):
    tenant = await create_tenant()
    paused = await claimed(tenant, "paused")
    await expire_lease(paused.run_id)
    await requeue_expired()
    successor = await claim("successor", paused.run_id)

    with pytest.raises(LeaseLost):
        async with tenant_scope(tenant) as connection:
            await write_products(connection, tenant, Marketplace.WILDBERRIES, [product("1", "written too late")])
            await paused.hold(connection, paused.stages[0])

    assert successor is not None
    assert successor.attempt == paused.attempt + 1
    async with tenant_scope(tenant) as connection:
        assert await connection.fetchval("SELECT count(*) FROM products") == 0
    for attempt in (paused.renew(), paused.put_back(), _finish(paused)):
        with pytest.raises(LeaseLost):
            await attempt
    await successor.renew()


async def test_the_sweep_waits_for_a_write_that_is_under_way(clean_database):
    tenant = await create_tenant()
    lease = await claimed(tenant)
    await expire_lease(lease.run_id)

    async with tenant_scope(tenant) as connection:
        await lease.hold(connection, lease.stages[0])
        # Another process: it doesn't know of our transaction.
        swept = await asyncio.create_task(requeue_expired(), context=contextvars.Context())

    assert swept == 0
    await lease.renew()


async def test_counts_survive_the_worker_that_made_them(clean_database):
    lease = await claimed(await create_tenant())
    lease.stages[0].fetched, lease.stages[0].created = 500, 400
    async with tenant_scope(lease.tenant_id) as connection:
        await lease.hold(connection, lease.stages[0])
    await expire_lease(lease.run_id)
    await requeue_expired()

    successor = await claim("successor")

    assert successor is not None
    assert (successor.stages[0].fetched, successor.stages[0].created) == (500, 400)
    assert successor.crashes == 1


async def test_a_cancel_takes_effect_at_the_next_page(clean_database):
    lease = await claimed(await create_tenant())
    async with tenant_scope(lease.tenant_id) as connection:
        await cancel_active(connection, lease.tenant_id, Marketplace.WILDBERRIES)

    with pytest.raises(LeaseLost):
        async with lease.writing(lease.stages[0]) as connection:
            await write_products(connection, lease.tenant_id, Marketplace.WILDBERRIES, [product("1")])

    run = await get_run(lease.tenant_id, lease.run_id)
    assert (run.status, run.finished_at is not None) == (RunStatus.CANCELLED, True)
    async with tenant_scope(lease.tenant_id) as connection:
        assert await connection.fetchval("SELECT count(*) FROM products") == 0


async def test_a_run_that_is_asked_for_after_a_cancel_is_a_new_one(clean_database):
    lease = await claimed(await create_tenant())
    async with tenant_scope(lease.tenant_id) as connection:
        await cancel_active(connection, lease.tenant_id, Marketplace.WILDBERRIES)

    assert await create_run(lease.tenant_id) != lease.run_id


async def test_counts_of_a_write_that_was_not_committed_do_not_count(clean_database):
    lease = await claimed(await create_tenant())
    stage = lease.stages[0]

    with pytest.raises(ConnectionError):
        async with lease.writing(stage):
            stage.fetched += 100
            raise ConnectionError("before the commit")
    async with lease.writing(stage):
        stage.fetched += 7

    assert (await get_run(lease.tenant_id, lease.run_id)).stages[0].fetched == stage.fetched == 7


async def test_what_wrote_nothing_leaves_the_runs_row_alone(clean_database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.runs.lease.TELL_EVERY_S", 60.0)
    lease = await claimed(await create_tenant())
    stage = lease.stages[0]
    version = "SELECT xmin::text || revision || stages FROM sync_runs"
    async with system_scope() as connection:
        before = await connection.fetchval(version)

    async with lease.writing(stage) as connection:
        stage.fetched += 50
        await write_products(connection, lease.tenant_id, Marketplace.WILDBERRIES, [])
        await lease.save(connection, Stage.PRODUCTS, Progressed(run_id=lease.run_id))
    async with system_scope() as connection:
        saved = await connection.fetchval(version)
    async with lease.writing(stage) as connection:
        stage.fetched += 50
        await lease.save(connection, Stage.PRODUCTS, Progressed(run_id=lease.run_id))
    async with system_scope() as connection:
        after = await connection.fetchval(version)

    assert before != saved
    assert saved == after
    assert lease.stages[0].fetched == 100


async def test_what_wrote_nothing_is_no_way_around_the_fence(clean_database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.runs.lease.TELL_EVERY_S", 60.0)
    tenant = await create_tenant()
    paused = await claimed(tenant, "paused")
    await expire_lease(paused.run_id)
    await requeue_expired()
    assert await claim("successor", paused.run_id)

    async with paused.writing(paused.stages[0]):
        pass  # nothing to write: nothing to fence off
    for write in ("SELECT FROM tenants FOR UPDATE", "UPDATE tenants SET name = 'late'", "DELETE FROM tenants"):
        with pytest.raises(LeaseLost):
            async with paused.writing(paused.stages[0]) as connection:
                await connection.execute(write)

    async with tenant_scope(tenant) as connection:
        assert await connection.fetchval("SELECT name FROM tenants") == "Romashka"


async def test_the_log_of_a_stage_is_written_once_with_whatever_comes_next(clean_database):
    lease = await claimed(await create_tenant())
    products, prices, *_ = lease.stages
    products.status = prices.status = "succeeded"

    lease.end(products)
    with pytest.raises(ConnectionError):
        async with lease.writing(prices):
            raise ConnectionError("before the commit")
    async with lease.writing(prices):
        pass
    lease.end(prices)
    async with tenant_scope(lease.tenant_id) as connection:
        await lease.finish(connection, RunStatus.SUCCEEDED)
        logged = [tuple(row) for row in await connection.fetch("SELECT operation, status FROM sync_logs ORDER BY id")]

    assert logged == [("products", "succeeded"), ("prices", "succeeded")]


async def test_what_is_asked_for_while_a_run_waits_is_added_to_it(clean_database):
    tenant = await create_tenant_with_key()
    await request_run(tenant, Marketplace.WILDBERRIES, Trigger.SCHEDULE, scopes=[Stage.STOCKS])

    await request_run(tenant, Marketplace.WILDBERRIES, Trigger.MANUAL, scopes=[Stage.PRODUCTS], full=True)

    lease = await claim("worker")
    assert lease is not None
    assert (lease.full, [stage.name for stage in lease.stages]) == (True, [Stage.PRODUCTS, Stage.STOCKS])


async def test_a_run_that_waits_is_cancelled_at_once(clean_database):
    tenant = await create_tenant_with_key()
    run = await create_run(tenant)

    async with tenant_scope(tenant) as connection:
        await cancel_active(connection, tenant, Marketplace.WILDBERRIES)

    assert (await get_run(tenant, run)).status is RunStatus.CANCELLED
    assert await claim("worker") is None


async def test_the_claim_uses_the_index_of_what_is_queued(clean_database):
    async with system_scope() as connection:
        await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
        plan = await connection.fetch(
            "EXPLAIN SELECT id FROM sync_runs WHERE status = 'queued' AND not_before <= now() ORDER BY priority, not_before LIMIT 1"
        )

    assert "sync_runs_queued" in "\n".join(row[0] for row in plan)


async def _finish(lease):
    async with tenant_scope(lease.tenant_id) as connection:
        await lease.finish(connection, RunStatus.SUCCEEDED)


async def test_a_successor_of_a_finished_run_is_not_disturbed_by_a_worker_that_wakes_up_late(clean_database):
    tenant = await create_tenant_with_key()
    run = await create_run(tenant, full=True)
    paused = await claim("paused", run)
    assert paused is not None
    await expire_lease(run)
    await requeue_expired()
    successor = await claim("successor", run)
    assert successor is not None
    reached = Progressed(cursor=b"far", full_pass_at=successor.claimed_at)
    async with tenant_scope(tenant) as connection:
        await save_checkpoint(connection, tenant, Marketplace.WILDBERRIES, Stage.PRODUCTS, reached)
        await successor.finish(connection, RunStatus.SUCCEEDED)

    with pytest.raises(LeaseLost):
        await ProductService(tenant, ScriptedClient()).sync(paused, paused.stages[0], Marketplace.WILDBERRIES)

    async with tenant_scope(tenant) as connection:
        [after] = await connection.fetch("SELECT cursor, full_pass_run FROM checkpoints")
    assert tuple(after) == (b"far", None)
