"""A pass in small steps, by one scheduler at a time, whatever goes wrong in one of its walks."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from app import retention
from app.database import system_scope
from app.settings import get_settings
from tests.ages import add_ended_run
from tests.factories import create_tenant
from workers.housekeeping import EVERY_S, ONE_AT_A_TIME, Housekeeping

pytestmark = pytest.mark.anyio


@pytest.fixture
async def housekeeping(clean_database: str) -> Housekeeping:
    """Whose first pass is due."""
    housekeeping = Housekeeping(get_settings())
    housekeeping._next_pass_at_s = 0.0
    return housekeeping


async def steps(housekeeping: Housekeeping) -> int:
    taken = 0
    while await housekeeping.step():
        taken += 1
    return taken


async def old_runs() -> None:
    tenant = await create_tenant()
    for days in range(31, 36):
        await add_ended_run(tenant, timedelta(days=days))


async def runs() -> int:
    async with system_scope() as connection:
        return await connection.fetchval("SELECT count(*) FROM sync_runs")


async def test_a_pass_removes_what_is_old_and_says_how_much(housekeeping: Housekeeping):
    await old_runs()

    with capture_logs() as logs:
        await steps(housekeeping)

    assert await runs() == 1
    assert [line for line in logs if line["event"] == "housekeeping.done"] == [
        {"event": "housekeeping.done", "log_level": "info", "logs": 5, "runs": 4}
    ]


async def test_each_step_is_one_batch_and_the_next_goes_on_behind_it(housekeeping: Housekeeping, monkeypatch: pytest.MonkeyPatch):
    await old_runs()
    small = await steps_of_a_pass_with(housekeeping, monkeypatch, batch=2)

    # The months, and one step of each walk that finds nothing; five logs and five runs by twos take three steps each.
    assert small == 1 + len(housekeeping._hourly) + len(housekeeping._daily) + 2 + 2
    assert await runs() == 1


async def steps_of_a_pass_with(housekeeping: Housekeeping, monkeypatch: pytest.MonkeyPatch, *, batch: int) -> int:
    monkeypatch.setattr(retention, "BATCH", batch)
    return await steps(housekeeping)


async def test_a_second_scheduler_leaves_the_work_to_the_one_that_is_at_it(housekeeping: Housekeeping):
    await old_runs()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def other_scheduler() -> None:
        async with system_scope() as connection:
            assert await connection.fetchval(ONE_AT_A_TIME)
            begun.set()
            await go_on.wait()

    other = asyncio.create_task(other_scheduler())
    await begun.wait()
    await housekeeping.step()

    worked = await housekeeping.step()

    assert not worked
    assert await runs() == 5
    go_on.set()
    await other


async def test_the_next_pass_is_an_hour_later_and_the_slow_things_wait_for_the_next_day(housekeeping: Housekeeping):
    await steps(housekeeping)
    assert not await housekeeping.step()
    assert housekeeping._next_pass_at_s == pytest.approx(asyncio.get_running_loop().time() + EVERY_S, abs=5)

    housekeeping._next_pass_at_s = 0.0

    assert await steps(housekeeping) == 1 + len(housekeeping._hourly)


async def test_a_walk_that_fails_stands_in_the_log_and_stops_none_of_the_others(housekeeping: Housekeeping):
    await old_runs()

    async def fail(connection: object, after: object) -> retention.Batch:
        raise KeyError("a fault of ours")

    housekeeping._hourly = {"broken": fail, **housekeeping._hourly}

    with capture_logs() as logs:
        await steps(housekeeping)

    assert [line["walk"] for line in logs if line["event"] == "housekeeping.walk_failed"] == ["broken"]
    assert await runs() == 1


def test_schedulers_that_start_together_do_not_begin_together(clean_database):
    async def first_passes() -> set[float]:
        return {round(Housekeeping(get_settings())._next_pass_at_s, 3) for _ in range(5)}

    assert len(asyncio.run(first_passes())) == 5


async def test_a_pass_makes_the_months_that_the_stock_history_will_need(housekeeping: Housekeeping):
    await housekeeping.step()

    async with system_scope() as connection:
        assert await connection.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'stock_history'::regclass") >= 4
