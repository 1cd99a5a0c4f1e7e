import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from app.database import system_scope, tenant_scope
from app.ids import new_id
from app.marketplaces.contract import Marketplace
from app.runs.lease import claim
from app.runs.pauses import pause_syncs, resume_syncs
from app.runs.schedule import correct_appointments, pause_schedule, plan_next_sync, queue_due_tenants
from app.runs.sweep import ring_for_waiting
from app.runs.tables import Trigger
from app.tenants.rhythm import SEALED_KEY
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


async def create_fleet(size: int) -> None:
    """So many tenants with a Wildberries key, all due since the same moment."""
    async with system_scope() as connection:
        await connection.execute(
            "INSERT INTO tenants (id, name, marketplace_type, language, time_zone, sync_enabled, sync_interval_minutes, low_stock_threshold, "
            "event_sequence, wb_credentials_encrypted, next_sync_at, created_at, updated_at) "
            "SELECT id, 'Romashka', 'wildberries', 'ru', 'Europe/Moscow', true, 30, 5, 0, 'sealed', now() - interval '1 s', now(), now() "
            "FROM unnest($1::uuid[]) AS fleet (id)",
            [new_id() for _ in range(size)],
        )


async def test_times_are_spread_by_a_hash_of_the_tenant_so_that_many_do_not_fall_on_one_second(clean_database):
    await create_fleet(1800)

    while await queue_due_tenants():
        pass

    async with system_scope() as connection:
        places = [row[0] for row in await connection.fetch("SELECT floor(extract(epoch FROM next_sync_at))::int % 1800 FROM tenants")]
    # 30 minutes have 1,800 seconds: one tenant on each, as chance has it.
    assert max(Counter(places).values()) <= 9
    per_minute = Counter(place // 60 for place in places)
    assert len(per_minute) == 30
    assert max(per_minute.values()) <= 110


async def test_any_number_of_schedulers_queue_two_thousand_tenants_exactly_once_each(clean_database):
    await create_fleet(2000)

    async def scheduler() -> int:
        batches = 0
        while await queue_due_tenants():
            batches += 1
        return batches

    shares = await asyncio.gather(scheduler(), scheduler(), scheduler())

    queued = Counter(run["tenant_id"] for run in await runs())
    assert all(shares)
    assert len(queued) == 2000
    assert set(queued.values()) == {1}


async def test_a_run_that_nobody_was_woken_for_is_rung_for_again(clean_database):
    await create_run(await create_tenant())
    async with system_scope() as connection:
        await connection.execute("UPDATE sync_runs SET rung_at = now() - interval '1 minute'")

    first, second = await ring_for_waiting(), await ring_for_waiting()

    assert (first, second) == (1, 0)


async def give_key(tenant, marketplace: Marketplace, status: str = "valid", least_minutes: int | None = None) -> None:
    """A key in the tenant's row, and what is known of it."""
    async with tenant_scope(tenant) as connection:
        await connection.execute(f"UPDATE tenants SET {SEALED_KEY[marketplace]} = 'sealed'")
        await connection.execute(
            "INSERT INTO credentials (id, tenant_id, provider, status, masked, scopes, missing_scopes, shared, least_interval_minutes, updated_at) "
            "VALUES ($1, $2, $3, $4, '***', '{}', '{}', false, $5, now())",
            new_id(), tenant, marketplace, status, least_minutes,
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


async def queued_at(tenant, marketplace: Marketplace, ago: str) -> None:
    """Its last turn was then; the run is done."""
    async with system_scope() as connection:
        await connection.execute(
            f"UPDATE sync_runs SET queued_at = now() - interval '{ago}', status = 'succeeded' WHERE tenant_id = $1 AND marketplace = $2",
            tenant, marketplace,
        )  # fmt: skip


async def waiting() -> list[str]:
    return sorted(run["marketplace"] for run in await runs() if run["status"] == "queued")


async def wish(tenant, minutes: int) -> None:
    async with tenant_scope(tenant) as connection:
        await connection.execute("UPDATE tenants SET sync_interval_minutes = $1", minutes)


async def next_turn_in(tenant) -> timedelta:
    async with tenant_scope(tenant) as connection:
        return await connection.fetchval("SELECT next_sync_at - now() FROM tenants")


@pytest.mark.parametrize(("least", "wished", "effective"), [(30, 5, 30), (180, 30, 180), (None, 5, 30), (30, 60, 60)])
async def test_an_interval_shorter_than_the_token_or_the_marketplace_can_use_is_raised(clean_database, least, wished, effective):
    tenants = [await create_tenant() for _ in range(40)]
    for tenant in tenants:
        await give_key(tenant, Marketplace.WILDBERRIES, least_minutes=least)
        await wish(tenant, wished)
    await make_due(*tenants)

    await queue_due_tenants()

    waits = [await next_turn_in(tenant) / timedelta(minutes=1) for tenant in tenants]
    assert 0.7 * effective < max(waits) <= effective


async def test_an_account_takes_part_in_those_turns_of_its_tenant_that_it_can_use(clean_database):
    tenant = await create_tenant()
    await give_key(tenant, Marketplace.WILDBERRIES, least_minutes=30)
    await give_key(tenant, Marketplace.OZON, least_minutes=5)
    await wish(tenant, 5)
    turns = []

    for minutes in range(0, 70, 5):
        await make_due(tenant)
        await queue_due_tenants()
        turns.append((minutes, await waiting()))
        async with system_scope() as connection:
            await connection.execute("UPDATE sync_runs SET queued_at = queued_at - interval '5 min', status = 'succeeded'")

    assert [minutes for minutes, accounts in turns if "wildberries" in accounts] == [0, 30, 60]
    assert all("ozon" in accounts for _, accounts in turns)


@pytest.mark.parametrize(("ago", "joins"), [("27 min 5 s", True), ("30 min", True), ("26 min", False), ("-2 hours", True)])
async def test_a_turn_that_comes_a_little_early_is_not_skipped(clean_database, ago, joins):
    tenant = await create_tenant()
    await give_key(tenant, Marketplace.WILDBERRIES, least_minutes=30)
    await make_due(tenant)
    await queue_due_tenants()
    await queued_at(tenant, Marketplace.WILDBERRIES, ago)

    await make_due(tenant)
    await queue_due_tenants()

    assert bool(await waiting()) is joins


async def test_a_run_that_somebody_asked_for_takes_no_turn_away(clean_database):
    tenant = await create_tenant()
    await give_key(tenant, Marketplace.WILDBERRIES, least_minutes=180)
    await create_run(tenant, Trigger.MANUAL)
    await queued_at(tenant, Marketplace.WILDBERRIES, "1 min")

    await make_due(tenant)
    await queue_due_tenants()

    assert await waiting() == ["wildberries"]


async def test_a_better_key_brings_the_next_turn_nearer(clean_database):
    tenant = await create_tenant()
    await give_key(tenant, Marketplace.WILDBERRIES, least_minutes=30)
    async with tenant_scope(tenant) as connection:
        await connection.execute("UPDATE tenants SET next_sync_at = now() + interval '170 min'")

    async with tenant_scope(tenant) as connection:
        await plan_next_sync(connection, tenant)

    assert await next_turn_in(tenant) <= timedelta(minutes=30)


@pytest.mark.parametrize(
    ("own", "marketplace", "queued"),
    [(True, None, []), (False, None, []), (True, Marketplace.OZON, ["wildberries"]), (False, Marketplace.WILDBERRIES, ["ozon"])],
    ids=["the tenant", "all", "an account", "a marketplace"],
)
async def test_the_schedule_queues_nothing_that_is_held_up(clean_database, own, marketplace, queued):
    tenant = await create_tenant()
    await give_key(tenant, Marketplace.WILDBERRIES)
    await give_key(tenant, Marketplace.OZON)
    await make_due(tenant)
    whose = tenant if own else None
    await pause_syncs(whose, marketplace)

    await queue_due_tenants()

    assert await waiting() == queued


async def test_turns_that_fall_into_a_pause_are_made_up_for_by_one(clean_database):
    tenant = await create_tenant_with_key()
    await make_due(tenant, ago="3 days")
    await pause_syncs(tenant, None)
    during = await queue_due_tenants()

    await resume_syncs(tenant, None)
    afterwards = await queue_due_tenants()

    assert (during, afterwards) == (0, 1)
    assert timedelta() < await next_turn_in(tenant) <= timedelta(minutes=30)
    assert await waiting() == ["wildberries"]


async def test_who_is_held_up_keeps_nobody_else_waiting(clean_database, monkeypatch):
    monkeypatch.setattr("app.runs.schedule.BATCH", 2)
    paused = [await create_tenant_with_key() for _ in range(3)]
    other = await create_tenant_with_key()
    await make_due(*paused, ago="1 hour")
    await make_due(other)
    for tenant in paused:
        await pause_syncs(tenant, None)

    await queue_due_tenants()

    assert [run["tenant_id"] for run in await runs()] == [other]


async def test_a_clock_that_leapt_leaves_no_turn_in_the_far_future(clean_database):
    leapt, in_time = await create_tenant_with_key(), await create_tenant_with_key()
    async with system_scope() as connection:
        await connection.execute("UPDATE tenants SET next_sync_at = now() + interval '400 days' WHERE id = $1", leapt)
        await connection.execute("UPDATE tenants SET next_sync_at = now() + interval '29 min' WHERE id = $1", in_time)

    await correct_appointments()

    assert timedelta() < await next_turn_in(leapt) <= timedelta(minutes=30)
    assert timedelta(minutes=28) < await next_turn_in(in_time) < timedelta(minutes=29)


async def test_a_turn_that_is_as_far_away_as_the_key_demands_is_not_even_locked(clean_database):
    tenant = await create_tenant()
    await give_key(tenant, Marketplace.WILDBERRIES, least_minutes=180)
    async with system_scope() as connection:
        await connection.execute("UPDATE tenants SET next_sync_at = now() + interval '170 min'")
        # A row that was locked has the number of who locked it.
        before = await connection.fetchval("SELECT xmax FROM tenants")

    await correct_appointments()

    async with system_scope() as connection:
        assert await connection.fetchval("SELECT xmax FROM tenants") == before


async def leap_ahead() -> None:
    """All runs were queued, and rung for, by a clock that was a day ahead."""
    async with system_scope() as connection:
        await connection.execute(
            "UPDATE sync_runs SET queued_at = queued_at + interval '1 day', not_before = not_before + interval '1 day', "
            "rung_at = rung_at + interval '1 day'"
        )


async def test_a_clock_that_leapt_keeps_no_run_waiting(clean_database):
    tenant = await create_tenant_with_key()
    run_id = await create_run(tenant, Trigger.SCHEDULE)
    await leap_ahead()
    assert await claim("test") is None

    await correct_appointments()

    assert await ring_for_waiting() == 1
    lease = await claim("test")
    assert lease is not None
    assert lease.run_id == run_id


async def test_a_wait_that_the_marketplace_asked_for_is_no_leap(clean_database):
    tenant = await create_tenant_with_key()
    await create_run(tenant)
    lease = await claim("test")
    assert lease is not None
    await lease.put_back(timedelta(hours=3))

    await correct_appointments()
    await make_due(tenant)
    await queue_due_tenants()

    assert await claim("test") is None
