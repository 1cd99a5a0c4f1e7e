"""What was lost is found, and what only seems to be is not taken for lost."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from app.database import APPLICATION_NAME, system_scope, tenant_scope
from app.errors import Unavailable
from app.jobs import broker
from app.observability import metrics
from app.runs import sweep
from app.runs.jobs import WakeWorker
from app.runs.lease import claim
from app.runs.sweep import Sweep, end_silent_sessions, requeue_expired, ring_for_waiting
from app.settings import get_settings
from tests.factories import claimed, create_run, create_tenant, expire_lease

pytestmark = pytest.mark.anyio

RUN = "SELECT status, crashes, not_before > now() AS later FROM sync_runs WHERE id = $1"


async def look(run_id):
    async with system_scope() as connection:
        return tuple(await connection.fetchrow(RUN, run_id))


WAITS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND wait_event = 'ClientRead')"
GONE = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)"


class Clock:
    """Seconds that pass when the test says so."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sweep, "time", clock)
    return clock


async def test_a_lease_that_ran_out_beside_a_steady_database_is_a_crash(clean_database, clock: Clock):
    lease = await claimed(await create_tenant())
    sweep = Sweep(patience_s=15)
    for _ in range(16):
        await sweep.requeue_expired()
        clock.now += 1
    await expire_lease(lease.run_id)

    found = await sweep.requeue_expired()

    assert found == 1
    assert await look(lease.run_id) == ("queued", 1, False)


async def test_after_a_time_without_the_database_workers_may_renew_first(clean_database, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    alive, dead = await claimed(await create_tenant()), await claimed(await create_tenant())
    sweep = Sweep(patience_s=15)
    for _ in range(20):
        await sweep.requeue_expired()
        clock.now += 1
    clock.now += 120
    for lease in (alive, dead):
        await expire_lease(lease.run_id)

    first = await sweep.requeue_expired()
    await alive.renew()
    for _ in range(15):
        clock.now += 1
        later = await sweep.requeue_expired()

    assert (first, later) == (0, 1)
    assert await look(alive.run_id) == ("running", 0, False)
    assert await look(dead.run_id) == ("queued", 1, False)


async def test_while_the_database_is_away_the_sweep_says_so(open_database, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    def away():
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr(sweep, "system_scope", away)

    with pytest.raises(Unavailable):
        await Sweep(patience_s=15).requeue_expired()


async def test_a_lease_from_a_clock_that_was_put_back_does_not_last_an_hour(clean_database):
    lease = await claimed(await create_tenant())
    async with system_scope() as connection:
        await connection.execute("UPDATE sync_runs SET lease_until = lease_until + interval '1 hour' WHERE id = $1", lease.run_id)

    await requeue_expired()

    assert await look(lease.run_id) == ("queued", 0, False)


async def test_runs_that_were_lost_together_twice_come_back_apart(clean_database):
    runs = [await claimed(await create_tenant()) for _ in range(20)]
    for lease in runs:
        await expire_lease(lease.run_id)
    await requeue_expired()
    again = [await claim("worker", lease.run_id) for lease in runs]
    for lease in runs:
        await expire_lease(lease.run_id)

    await requeue_expired()

    assert all(again)
    async with system_scope() as connection:
        spread = await connection.fetchval("SELECT max(not_before) - min(not_before) FROM sync_runs")
    assert spread > timedelta(seconds=5)


async def test_while_redis_is_away_the_sweep_rings_once_and_goes_on_with_its_other_work(clean_database, redis_url: str):
    for _ in range(3):
        await create_run(await create_tenant())
    async with system_scope() as connection:
        await connection.execute("UPDATE sync_runs SET rung_at = NULL")
    await broker.shutdown()
    broker.connect_to("redis://127.0.0.1:1/0")
    failed = metrics.doorbells.labels(WakeWorker.name, "failed")._value
    before = failed.get()

    waiting = await ring_for_waiting()

    await broker.shutdown()
    broker.connect_to(redis_url)
    assert (waiting, failed.get() - before) == (3, 1)


async def until(what: str, pid: int) -> None:
    async with asyncio.timeout(10):
        while True:
            async with system_scope() as connection:
                if await connection.fetchval(what, pid):
                    return


@asynccontextmanager
async def frozen_between_two_messages(run_id: UUID, name: str = APPLICATION_NAME) -> AsyncGenerator[asyncpg.Connection]:
    """A session that has locked a run, has been told what its next statement is, and hears nothing more."""
    connection = await asyncpg.connect(get_settings().database_url.reveal(), server_settings={"application_name": name})
    try:
        await connection.execute("BEGIN; SET LOCAL app.scope = 'system'")
        await connection.execute("UPDATE sync_runs SET revision = revision + 1 WHERE id = $1", run_id)
        await connection.prepare("SELECT $1::int")
        await until(WAITS, connection.get_server_pid())
        yield connection
    finally:
        connection.terminate()


async def test_the_locks_of_a_process_that_froze_in_the_middle_of_a_statement_are_given_up(clean_database):
    lease = await claimed(await create_tenant())
    await expire_lease(lease.run_id)

    async with frozen_between_two_messages(lease.run_id) as frozen:
        before = await requeue_expired()
        ended = await end_silent_sessions(patience_s=0)
        await until(GONE, frozen.get_server_pid())

        assert (before, ended, await requeue_expired()) == (0, 1, 1)


@pytest.mark.parametrize(("name", "patience_s"), [("pg_dump", 0), (APPLICATION_NAME, 10)])
async def test_a_backup_and_a_process_that_is_only_slow_keep_their_sessions(clean_database, name: str, patience_s: float):
    lease = await claimed(await create_tenant())

    async with frozen_between_two_messages(lease.run_id, name) as session:
        assert await end_silent_sessions(patience_s) == 0

        assert await session.fetchval("SELECT 1") == 1


async def test_a_session_that_works_or_waits_for_its_process_between_statements_is_left_to_the_server(clean_database):
    tenant = await create_tenant()

    async with tenant_scope(tenant) as connection:
        await connection.execute("UPDATE tenants SET name = 'x'")
        working = asyncio.create_task(connection.execute("SELECT pg_sleep(0.5)"))
        ended = await asyncio.create_task(end_silent_sessions(patience_s=0), context=contextvars.Context())
        await working
        idle = await asyncio.create_task(end_silent_sessions(patience_s=0), context=contextvars.Context())

        assert (ended, idle) == (0, 0)
