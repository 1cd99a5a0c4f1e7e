"""Who is synced when, and beside whom: the section on schedule and fairness of the sync engine's design."""

import asyncio
import contextvars
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app.credentials.store import update_ozon_credentials
from app.database import system_scope
from app.marketplaces.contract import Marketplace
from app.observability import metrics
from app.runs.lease import claim
from app.runs.pauses import pause_syncs, resume_syncs
from app.runs.schedule import BATCH, DUE, queue_due_tenants
from app.runs.service import add_run
from app.runs.tables import Trigger
from app.secret import Secret
from app.settings import Settings
from app.sync.runner import DEFAULT_CONCURRENCY, Runner
from tests.ages import grow_older
from tests.application import Shop
from tests.factories import create_run, create_tenant, create_tenant_with_key, create_tenants_with_a_key
from tests.scripted_shop import PlayShop
from workers.gauges import Gauges
from workers.scheduler import queue_all_due_tenants
from workers.sync import sync_tenant_products

pytestmark = pytest.mark.anyio

ALL_ARE_DUE = "UPDATE tenants SET next_sync_at = now() - interval '1 hour'"


async def look(statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    async with system_scope() as connection:
        return [tuple(row) for row in await connection.fetch(statement, *arguments)]


async def test_due_tenants_are_selected_in_batches_that_step_over_those_another_scheduler_has(clean_database):
    """“Due tenants are selected by `next_sync_at` with `FOR UPDATE SKIP LOCKED`, in batches.”"""
    await create_tenants_with_a_key(BATCH + 100)
    await grow_older(ALL_ARE_DUE)

    async with system_scope() as connection:
        another_schedulers = await connection.fetch(DUE, 50)
        mine = await asyncio.create_task(queue_due_tenants(), context=contextvars.Context())
        await asyncio.create_task(queue_due_tenants(), context=contextvars.Context())

    assert (len(another_schedulers), mine) == (50, BATCH)
    assert await look("SELECT count(DISTINCT tenant_id), count(*) FROM sync_runs") == [(BATCH + 50, BATCH + 50)]
    assert await look("SELECT count(*) FROM sync_runs WHERE tenant_id = ANY($1)", [row["id"] for row in another_schedulers]) == [(0,)]


async def test_any_number_of_schedulers_may_run_and_none_is_special(clean_database):
    """“Any number of schedulers may run, none is special.” As processes that are killed: tests/faults."""
    await create_tenants_with_a_key(1200)
    await grow_older(ALL_ARE_DUE)

    await asyncio.gather(*(queue_all_due_tenants() for _ in range(5)))

    assert await look("SELECT count(DISTINCT tenant_id), count(*) FROM sync_runs") == [(1200, 1200)]
    # Who was seen has a turn again, which may be this very second's.
    assert await look("SELECT count(*) FROM tenants WHERE next_sync_at < now() - interval '1 minute'") == [(0,)]


async def test_times_are_spread_by_a_hash_of_the_tenant_so_that_10_000_do_not_fall_on_one_second(clean_database):
    """“Times are spread by a hash of the tenant, so that 10,000 tenants do not fall on one second.”"""
    await create_tenants_with_a_key(10_000)
    turns: list[dict[UUID, int]] = []

    for _ in range(2):
        await grow_older(ALL_ARE_DUE)
        await queue_all_due_tenants()
        turns.append(dict(await look("SELECT id, extract(epoch FROM next_sync_at)::int % 1800 FROM tenants")))

    # Half an hour has 1,800 seconds: five or six tenants on each, as chance has it.
    assert max(Counter(turns[0].values()).values()) < 25
    assert len(set(turns[0].values())) > 1700
    # A tenant's place is its own, and no dice.
    assert turns[0] == turns[1]


async def test_after_downtime_each_tenant_gets_one_catch_up_and_not_one_per_missed_turn(clean_database):
    """“After downtime each tenant gets one catch-up, not one per missed turn.”"""
    for _ in range(3):
        await create_tenant_with_key()
    await grow_older("UPDATE tenants SET next_sync_at = now() - interval '3 days'")

    ticks = [await queue_due_tenants() for _ in range(3)]
    await grow_older("UPDATE sync_runs SET status = 'succeeded'")
    afterwards = [await queue_due_tenants() for _ in range(3)]

    assert (ticks, afterwards) == ([3, 0, 0], [0, 0, 0])
    assert await look("SELECT count(DISTINCT tenant_id), count(*) FROM sync_runs") == [(3, 3)]
    [[soonest, latest]] = await look("SELECT min(next_sync_at) - now(), max(next_sync_at) - now() FROM tenants")
    assert timedelta() < soonest <= latest <= timedelta(minutes=30)


@pytest.mark.parametrize(("token_type", "effective"), [("personal", 30), ("base", 180)])
async def test_an_interval_shorter_than_the_token_or_the_marketplace_can_use_is_raised_and_the_api_says_so(
    shop: Shop, token_type: str, effective: int
):
    """“An interval shorter than what the token's limits or the marketplace's own refresh (30 min for Wildberries reports) can use is raised, and the API says so.” By forty
    tenants' turns: tests/runs/test_schedule.py."""
    await shop.give_key(shop.key(products=1, token_type=token_type))

    told = await shop.expect(200, "PATCH", "/tenants/me", json={"sync_interval_minutes": 5})

    assert (told["sync_interval_minutes"], told["effective_sync_interval_minutes"]) == (5, effective)
    [note] = [key["sync_interval_note"] for key in await shop.expect(200, "GET", "/tenants/me/credentials") if key["configured"]]
    assert str(effective) in note
    await grow_older(ALL_ARE_DUE)
    await queue_due_tenants()
    [[wait]] = await look("SELECT next_sync_at - now() FROM tenants")
    assert timedelta() < wait <= timedelta(minutes=effective)


async def test_one_tenant_holds_one_slot_per_marketplace_whatever_its_size(clean_database):
    """“One tenant holds one slot per marketplace, whatever its size.” Beside a shop of 200,000 products: benchmarks."""
    large, small = await create_tenant_with_key(), await create_tenant_with_key()
    await update_ozon_credentials(large, "1", Secret("a key that nobody checks"))
    for _ in range(20):
        await create_run(large, Trigger.MANUAL)
        async with system_scope() as connection:
            await add_run(connection, large, Marketplace.OZON, Trigger.MANUAL)
    await create_run(small, Trigger.SCHEDULE)

    leases = [lease for n in range(5) if (lease := await claim(f"place {n}"))]

    assert Counter((lease.tenant_id, lease.marketplace) for lease in leases) == {
        (large, Marketplace.WILDBERRIES): 1, (large, Marketplace.OZON): 1, (small, Marketplace.WILDBERRIES): 1}  # fmt: skip


async def test_a_tenants_syncs_can_be_paused_and_resumed_and_so_can_all(clean_database):
    """“Pause and resume per tenant and globally.” In the middle of a page, per marketplace, by the operator's commands: tests/runs/test_pauses.py,
    tests/cli/test_tenants.py, tests/cli/test_runs.py."""
    one, another = await create_tenant_with_key(), await create_tenant_with_key()
    runs = {await create_run(one): one, await create_run(another): another}
    claimed: list[set[UUID]] = []

    async def who_is_claimed() -> None:
        leases = [lease for _ in runs if (lease := await claim("worker"))]
        claimed.append({runs[lease.run_id] for lease in leases})
        for lease in leases:
            await lease.put_back()

    await pause_syncs(one, None)
    await who_is_claimed()
    await pause_syncs(None, None)
    await who_is_claimed()
    await grow_older(ALL_ARE_DUE)
    assert await queue_due_tenants() == 0
    await resume_syncs(None, None)
    await who_is_claimed()
    await resume_syncs(one, None)
    await who_is_claimed()

    assert claimed == [{another}, set(), {another}, {one, another}]


async def test_a_place_is_kept_for_who_presses_a_button_however_many_scheduled_runs_are_under_way(play_shop: PlayShop):
    """Fairness between who waits and who does not, in one process: of the places an eighth is for runs that somebody waits for. Under load:
    tests/sync/test_runner.py and benchmarks."""
    shop = await play_shop()
    worker = Runner("test")
    worker._patient = DEFAULT_CONCURRENCY - DEFAULT_CONCURRENCY // 8
    await create_run(await create_tenant(), Trigger.SCHEDULE)

    none = await worker._carry_out_next()
    await create_run(shop.tenant_id, Trigger.MANUAL)
    pressed = await worker._carry_out_next()

    assert (none, pressed) == (False, True)
    assert await look("SELECT trigger, status FROM sync_runs ORDER BY priority") == [("manual", "succeeded"), ("schedule", "queued")]


@pytest.mark.parametrize(("places", "for_the_schedule"), [(64, 56), (9, 7), (8, 7), (4, 3), (2, 1), (1, 1)])
async def test_of_a_few_places_too_one_is_kept_for_who_presses_a_button(clean_database, places: int, for_the_schedule: int):
    """Likewise in a process with a small `--concurrency`; where there is but one place, the schedule has it as well."""
    worker = Runner("test", concurrency=places)
    asked: list[bool] = []

    async def claim_nothing(_: UUID | None = None, *, urgent_only: bool = False) -> None:
        asked.append(urgent_only)

    worker._claim = claim_nothing
    for at_work in (for_the_schedule - 1, for_the_schedule):
        worker._patient = at_work
        await worker._carry_out_next()

    assert asked == [False, True]


async def test_who_presses_a_button_does_not_wait_for_all_tasks_whose_messages_came_before_the_doorbell(
    play_shop: PlayShop, monkeypatch: pytest.MonkeyPatch
):
    """Fairness between who waits and who asked by a task: tasks of `sync_tenant_products` may fill a worker's receiver, and the doorbell lies behind more of them. The
    first that ends looks for what is most urgent, as a doorbell does."""
    shop, worker = await play_shop(), Runner("test")
    monkeypatch.setattr("workers.sync.runner", worker)
    pressed = await create_run(await create_tenant_with_key(), Trigger.MANUAL)

    await sync_tenant_products(str(shop.tenant_id))

    await asyncio.gather(*worker._drains)
    assert await look("SELECT attempt, worker FROM sync_runs WHERE id = $1", pressed) == [(1, "test")]


async def test_lag_is_a_metric_by_the_due_time_of_the_oldest_waiting_run(clean_database, redis, settings: Settings):
    """“Lag (now − due time of the oldest waiting run) is a metric.”"""
    for minutes in (1, 7, -60):
        run = await create_run(await create_tenant(), Trigger.SCHEDULE)
        async with system_scope() as connection:
            await connection.execute(
                "UPDATE sync_runs SET not_before = now() - $2::interval WHERE id = $1", run, timedelta(minutes=minutes)
            )
    gauges = Gauges(settings)

    await gauges.look()

    await gauges.aclose()
    lag = metrics.queue_lag.labels("scheduled")._value.get()
    assert 420 <= lag < 450
