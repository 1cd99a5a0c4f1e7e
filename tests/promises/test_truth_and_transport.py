"""PostgreSQL holds the truth, and Redis carries messages: the first section of the sync engine's design."""

import asyncio
import contextvars
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from app.credentials.store import update_wildberries_credentials
from app.database import system_scope
from app.jobs import MAX_WAITING, broker, enqueue
from app.redis import get_redis
from app.runs import sweep
from app.runs.jobs import WakeWorker
from app.runs.lease import CLAIM, LEASE, claim
from app.runs.schedule import queue_due_tenants
from app.runs.sweep import Sweep, requeue_expired
from app.runs.tables import PRIORITY, RunStatus, Stage, Trigger
from app.secret import Secret
from app.sync import outcome
from app.sync.runner import Runner
from tests.ages import grow_older
from tests.application import Shop, all_runs_ended, listening_worker
from tests.factories import claimed, create_run, create_tenant, create_tenants_with_a_key, expire_lease, product
from tests.scripted_client import order, price, shelf
from tests.scripted_shop import Killed, PlayShop
from workers import credentials, scheduler, webhooks
from workers.sync import sync_tenant_products

__all__ = ["credentials", "webhooks"]

pytestmark = pytest.mark.anyio

A_SECOND = "1 s"
A_SECOND_PASSES = (
    f"UPDATE sync_runs SET {', '.join(f'{at} = {at} - interval {A_SECOND!r}' for at in ('not_before', 'rung_at', 'lease_until'))}"
)
STORED = {
    Stage.PRODUCTS: "SELECT external_id, title FROM products",
    Stage.PRICES: "SELECT price FROM products WHERE price IS NOT NULL",
    Stage.STOCKS: "SELECT quantity FROM stocks",
    Stage.ORDERS: "SELECT external_id FROM orders",
}


class Clock:
    """Seconds that pass when the test says so."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


async def doorbells() -> int:
    return await get_redis().xlen(broker.stream)


async def test_losing_all_of_redis_loses_nothing_and_within_a_minute_a_worker_is_woken_again(
    shop: Shop, other_shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    """“PostgreSQL holds the truth: which run is queued, running, done, how far it came. Redis carries messages. Losing all of Redis loses nothing: within a minute the scheduler finds queued runs that nobody woke and running runs whose lease ran out, and wakes a
    worker again.” With real processes: tests/faults."""
    clock = Clock()
    monkeypatch.setattr(sweep, "time", clock)
    monkeypatch.setattr(scheduler, "sweep", Sweep(patience_s=LEASE.total_seconds() / 4))
    for each in (shop, other_shop):
        await each.give_key(each.key(products=3))
    orphaned = await claim("a worker that is gone")
    assert orphaned
    await expire_lease(orphaned.run_id)

    await get_redis().flushall()
    ticks = 0
    while await doorbells() < 2 and ticks < 120:
        await scheduler.tick()
        clock.now += 1
        await grow_older(A_SECOND_PASSES)
        ticks += 1
    async with listening_worker():
        await all_runs_ended()

    assert ticks < 60
    for each in (shop, other_shop):
        assert await each.rows("SELECT status FROM sync_runs WHERE tenant_id = $1") == [("succeeded",)]
        assert await each.rows("SELECT count(*) FROM products WHERE tenant_id = $1") == [(3,)]


async def test_a_duplicate_message_does_no_harm(shop: Shop):
    """“A duplicate message does no harm either.”"""
    await shop.give_key(shop.key(products=3))
    for _ in range(5):
        await enqueue(WakeWorker())

    async with listening_worker():
        await all_runs_ended()
        await enqueue(WakeWorker())
        while await doorbells():
            await asyncio.sleep(0.01)

    assert await shop.rows("SELECT status, attempt, crashes FROM sync_runs WHERE tenant_id = $1") == [("succeeded", 1, 0)]
    assert await shop.rows("SELECT type FROM events WHERE tenant_id = $1") == [("sync.completed",)]


async def test_a_button_the_schedule_and_the_first_valid_key_each_queue_a_run(shop: Shop):
    """“POST /sync, schedule, first valid key → INSERT sync_runs (queued, priority, not_before).”"""
    asked: list[tuple[object, ...]] = []

    async def take_what_was_queued() -> None:
        [run] = await shop.rows(
            "SELECT \"trigger\", priority, not_before <= now(), id FROM sync_runs WHERE tenant_id = $1 AND status = 'queued'"
        )
        asked.append(run[:3])
        assert await Runner("test").carry_out_run(run[3])

    await shop.give_key(shop.key(products=1))
    await take_what_was_queued()
    assert (await shop.call("POST", "/sync", json={})).status_code == 202
    await take_what_was_queued()
    await grow_older("UPDATE tenants SET next_sync_at = now()")
    await queue_due_tenants()
    await take_what_was_queued()

    assert asked == [(trigger, PRIORITY[trigger], True) for trigger in (Trigger.CREDENTIALS, Trigger.MANUAL, Trigger.SCHEDULE)]


async def test_one_run_of_a_tenant_and_marketplace_is_active_and_asking_again_joins_it(shop: Shop):
    """“One active run per tenant and marketplace: a partial unique index; asking again joins the active run.”"""
    await update_wildberries_credentials(shop.tenant_id, Secret("a key that nobody checks"))

    answers = await asyncio.gather(*(shop.call("POST", "/sync", json={}) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    with pytest.raises(asyncpg.UniqueViolationError):
        await grow_older(
            'INSERT INTO sync_runs (id, tenant_id, marketplace, "trigger", scopes, status, priority, not_before, queued_at) '
            "SELECT gen_random_uuid(), tenant_id, marketplace, 'api', scopes, 'running', 0, now(), now() FROM sync_runs"
        )


async def test_a_message_is_a_doorbell_that_rings_after_the_commit_and_says_nothing(shop: Shop):
    """“commit → enqueue … a message is a doorbell: "there is work".”"""
    await update_wildberries_credentials(shop.tenant_id, Secret("a key that nobody checks"))
    await get_redis().delete(broker.stream)
    answer: asyncio.Task | None = None

    class GivenUp(Exception):
        pass

    with pytest.raises(GivenUp):
        async with system_scope() as connection:
            # Another one asks too, and has not come to its commit: the seller's request waits behind it.
            await connection.execute(
                'INSERT INTO sync_runs (id, tenant_id, marketplace, "trigger", scopes, status, priority, not_before, queued_at) '
                "VALUES (gen_random_uuid(), $1, 'wildberries', 'api', '{products}', 'queued', 0, now(), now())",
                shop.tenant_id,
            )  # fmt: skip
            answer = asyncio.create_task(shop.call("POST", "/sync", json={}), context=contextvars.Context())
            async with asyncio.timeout(10):
                while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                    await asyncio.sleep(0.01)
            rung_before = await doorbells()
            raise GivenUp
    assert answer
    run = (await answer).json()

    assert rung_before == 0
    [(_, message)] = await get_redis().xrange(broker.stream)
    assert b'"runs.wake"' in message[b"message"]
    assert not any(word.encode() in message[b"message"] for word in (str(shop.tenant_id), run["id"]))


async def test_the_most_urgent_due_run_is_claimed_first_by_priority_and_then_by_the_time_it_is_due(clean_database):
    """“worker: claims the most urgent due run; … by priority, then not_before.”"""
    asked = [
        (Trigger.SCHEDULE, 5),
        (Trigger.API, 1),
        (Trigger.SCHEDULE, 50),
        (Trigger.MANUAL, 3),
        (Trigger.CREDENTIALS, 9),
        (Trigger.MANUAL, -5),
    ]
    runs: dict[UUID, tuple[Trigger, int]] = {}
    for trigger, due_minutes_ago in asked:
        runs[run_id := await create_run(await create_tenant(), trigger)] = (trigger, due_minutes_ago)
        async with system_scope() as connection:
            due_at = datetime.now(UTC) - timedelta(minutes=due_minutes_ago)
            await connection.execute("UPDATE sync_runs SET not_before = $2 WHERE id = $1", run_id, due_at)

    leases = [await claim("worker") for _ in runs]

    assert [runs[lease.run_id] for lease in leases if lease] == [
        (Trigger.CREDENTIALS, 9), (Trigger.MANUAL, 3), (Trigger.API, 1), (Trigger.SCHEDULE, 50), (Trigger.SCHEDULE, 5)]  # fmt: skip
    assert leases[-1] is None


async def test_two_workers_step_over_each_others_claims(clean_database):
    """“One UPDATE … FOR UPDATE SKIP LOCKED.” Many workers at once: tests/runs/test_lease.py."""
    first, second = await create_run(await create_tenant()), await create_run(await create_tenant())

    async with system_scope() as connection:
        row = await connection.fetchrow(CLAIM, LEASE, "in the middle of its claim", None, PRIORITY[Trigger.SCHEDULE])
        other = await asyncio.create_task(claim("another"), context=contextvars.Context())

    assert row["id"] == first
    assert other is not None
    assert other.run_id == second


async def test_a_seller_who_pressed_a_button_never_waits_behind_ten_thousand_scheduled_runs(clean_database):
    """“A seller who pressed a button never waits behind 10,000 scheduled runs”, nor does the claim walk past them, also while the planner knows nothing of the
    table. In benchmarks: the lag of an interactive run amid a fleet."""
    await create_tenants_with_a_key(10_000)
    async with system_scope() as connection:
        await connection.execute(
            'INSERT INTO sync_runs (id, tenant_id, marketplace, "trigger", scopes, status, priority, not_before, queued_at, stages) '
            "SELECT gen_random_uuid(), id, 'wildberries', 'schedule', '{products}', 'queued', $1, now() - interval '1 hour', now(), '[]' FROM tenants",
            PRIORITY[Trigger.SCHEDULE],
        )  # fmt: skip
    pressed = await create_run(await create_tenant(), Trigger.MANUAL)

    async with system_scope() as connection:
        plan = "\n".join(
            row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {CLAIM}", LEASE, "test", None, 10)
        )
        await connection.execute("UPDATE sync_runs SET status = 'queued', lease_until = NULL, attempt = 0 WHERE status = 'running'")
    lease = await claim("worker")

    assert lease is not None
    assert lease.run_id == pressed
    assert "Index Scan using sync_runs_queued" in plan
    assert "Seq Scan on sync_runs" not in plan
    assert "Sort" not in plan
    assert "rows=10000" not in plan


async def test_a_running_run_has_a_lease_of_sixty_seconds(clean_database):
    """“queued → running, with a lease of 60 s …”"""
    lease = await claimed(await create_tenant())

    async with system_scope() as connection:
        row = await connection.fetchrow("SELECT status, worker, attempt, lease_until - started_at FROM sync_runs")

    assert tuple(row) == ("running", "test", 1, timedelta(seconds=60))
    assert lease.attempt == 1


async def test_a_heartbeat_renews_the_lease_while_the_marketplace_takes_its_time(play_shop: PlayShop):
    """“… that a heartbeat renews.”"""
    seen: set[datetime] = set()

    async def take_time() -> None:
        async with asyncio.timeout(10):
            while len(seen) < 4:
                seen.add((await shop.rows("SELECT lease_until FROM sync_runs"))[0][0])
                assert await requeue_expired() == 0
                await asyncio.sleep(0.02)

    shop = await play_shop(products=[take_time, [product("1")]])
    run_id = await create_run(shop.tenant_id)

    assert await Runner("test", lease=timedelta(seconds=0.6)).carry_out_run(run_id)

    assert max(seen) - min(seen) >= timedelta(seconds=0.5)
    assert await shop.rows("SELECT status, attempt, crashes FROM sync_runs") == [("succeeded", 1, 0)]


@pytest.mark.parametrize("stage", Stage)
async def test_a_worker_that_lost_its_lease_cannot_write_any_more(play_shop: PlayShop, stage: Stage):
    """“A fencing number that every write of the run checks: a worker that lost its lease can't write any more.” With processes that are stopped and go on:
    tests/faults."""
    first = {"products": [[product("1")]], "prices": [[price("1", "10")]], "stocks": [[shelf("1", 10)]], "orders": [[order("A")]]}
    then = {"products": [[product("2")]], "prices": [[price("1", "20")]], "stocks": [[shelf("1", 20)]], "orders": [[order("B")]]}
    shop = await play_shop(**first)
    await shop.start()
    before = [await shop.rows(statement) for statement in STORED.values()]

    async def lose_the_lease() -> None:
        [[run_id]] = await shop.rows("SELECT id FROM sync_runs WHERE status = 'running'")
        await expire_lease(run_id)
        await requeue_expired()
        assert await claim("another", run_id)

    shop.says(**{stage: [lose_the_lease, *then[stage]]})
    run = await shop.start()

    assert run.status is RunStatus.RUNNING
    assert await shop.rows("SELECT worker, attempt FROM sync_runs WHERE status = 'running'") == [("another", 2)]
    assert [await shop.rows(statement) for statement in STORED.values()] == before
    assert [event["type"] for event in await shop.heard()] == ["sync.completed"]


async def test_the_end_of_a_run_with_its_status_counts_and_event_is_one_transaction(play_shop: PlayShop, monkeypatch: pytest.MonkeyPatch):
    """“finish: status, counts, watermark, events into the outbox: one transaction.” At twenty random points of a real process: tests/stories/test_kills.py."""
    shop = await play_shop(orders=[[order("A")]])

    async def recorded_and_killed(*arguments: object) -> None:
        await really(*arguments)  # type: ignore[arg-type]  # as it was called
        raise Killed

    really = outcome.record
    with monkeypatch.context() as patch:
        patch.setattr(outcome, "record", recorded_and_killed)
        with pytest.raises(Killed):
            await shop.start()
    between = await shop.rows("SELECT status, finished_at FROM sync_runs"), await shop.heard()
    await expire_lease(shop.run_id)
    await requeue_expired()
    run = await shop.go_on()

    assert between == ([("running", None)], [])
    assert (run.status, [stage.fetched for stage in run.stages]) == (RunStatus.SUCCEEDED, [2, 0, 0, 1])
    [completed] = await shop.heard()
    assert (completed["type"], completed["data"]["sync_id"]) == ("sync.completed", str(shop.run_id))


async def test_after_a_sync_the_tenants_cache_is_invalid_and_its_webhooks_are_dispatched(shop: Shop, sandbox):
    """“The tenant's cache is invalidated; webhooks are dispatched.” Over real sockets to a receiver: tests/stories/test_original_flow.py."""
    await shop.give_key(shop.key(products=2))
    await shop.sync()
    before = (await shop.expect(200, "GET", "/products"))["items"]
    await sandbox.post(f"/shops/{shop.seller_id}/products", json={"count": 1})
    await get_redis().delete(broker.stream)

    await shop.sync()

    after = (await shop.expect(200, "GET", "/products"))["items"]
    assert (len(before), len(after)) == (2, 3)
    rung = [message[b"message"] for _, message in await get_redis().xrange(broker.stream)]
    assert any(b"webhooks.deliver" in message for message in rung), rung


async def test_sync_tenant_products_joins_or_makes_the_tenants_run_and_leaves_its_outcome_in_the_result_backend(shop: Shop):
    """“`sync_tenant_products(tenant_id)` is a Taskiq task that joins or makes the tenant's run and carries it out, with its outcome in the result backend.” By a
    worker process: tests/workers/test_sync.py."""
    await shop.give_key(shop.key(products=2))
    [[waiting]] = await shop.rows("SELECT id FROM sync_runs WHERE tenant_id = $1")

    async with listening_worker():
        outcomes = []
        for _ in range(2):
            task = await sync_tenant_products.kiq(str(shop.tenant_id))
            outcomes.append((await task.wait_result(timeout=20, check_interval=0.01)).return_value)

    joined, made = outcomes
    assert (joined["id"], joined["trigger"], joined["status"]) == (str(waiting), "credentials", "succeeded")
    assert (made["id"] != joined["id"], made["trigger"], made["status"]) == (True, "api", "succeeded")


async def test_the_stream_is_kept_bounded_whether_anybody_listens_or_not(settings, redis, monkeypatch: pytest.MonkeyPatch):
    """“Its streams are never trimmed by themselves; all of that is ours, … and the streams are kept bounded.” Over two days of work:
    tests/workers/test_bounded_redis.py."""
    assert MAX_WAITING <= 20_000
    monkeypatch.setattr("app.jobs.MAX_WAITING", 100)
    await get_redis().delete(broker.stream)

    for _ in range(500):
        await enqueue(WakeWorker())
    unheard = await doorbells()
    async with listening_worker(), asyncio.timeout(20):
        while await doorbells():
            await asyncio.sleep(0.01)

    # Redis trims by whole nodes of 100 entries.
    assert 100 <= unheard <= 200


def test_taskiq_is_transport_only_and_none_of_its_tasks_has_a_schedule():
    """“Taskiq is transport only: it offers no unique jobs, no fairness, no second scheduler; … all of that is ours, in SQL.”"""
    labels = {name: set(task.labels) for name, task in broker.get_all_tasks().items()}

    assert {WakeWorker.name, "sync_tenant_products"} <= labels.keys()
    assert {name for name, of_task in labels.items() if of_task & {"schedule", "cron", "interval"}} == set()
