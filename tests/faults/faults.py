"""What may happen to an installation, each thing once: how it begins, how it ends, and what must hold of it alone."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from tests.faults.installation import LEASE_S, STOP_WITHIN_S, Installation, Process
from tests.faults.standby import STARTS_WITHIN_S, full

# Until somebody else has the runs of a worker that is gone: its lease, the scheduler's next look, and a ring.
TAKEN_OVER_WITHIN_S = 3.0 * LEASE_S + 10

RUNS_OF = "SELECT id, attempt FROM sync_runs WHERE status = 'running' AND worker = $1"
# FOR UPDATE SKIP LOCKED gives those that nobody is about to write.
LOCKED_RUNS = (
    "WITH free AS (SELECT id FROM sync_runs WHERE status = 'running' AND worker = $1 FOR UPDATE SKIP LOCKED) "
    "SELECT id FROM sync_runs WHERE status = 'running' AND worker = $1 AND id NOT IN (SELECT id FROM free)"
)
FROZEN_WITHIN_S = 30.0
BUSY_WITHIN_S = 30.0
SETTLED_S = 0.1
AN_HOUR = 3600


class Impossible(Exception):
    """It can't be done on this machine; says why."""


Happen = Callable[[Installation, random.Random, float], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """`happen` is told how long a thing that lasts shall last, in seconds. `crashes`: a run may lose its worker by it, and count that."""

    name: str
    happen: Happen
    crashes: bool = False


FAULTS: dict[str, Fault] = {}


def fault(name: str, *, crashes: bool = False) -> Callable[[Happen], Happen]:
    def add(happen: Happen) -> Happen:
        FAULTS[name] = Fault(name, happen, crashes)
        return happen

    return add


# Processes


@fault("a worker is killed", crashes=True)
async def kill_worker(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    worker = await _busy(installation, chance)
    worker.kill()
    worker.start()


@fault("all workers are killed at once", crashes=True)
async def kill_workers(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    await _busy(installation, chance)
    for worker in installation.workers:
        worker.kill()
    for worker in installation.workers:
        worker.start()


@fault("a scheduler is killed")
async def kill_scheduler(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    scheduler = chance.choice(installation.schedulers)
    scheduler.kill()
    scheduler.start()


@fault("all schedulers are gone for a while")
async def kill_schedulers(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    for scheduler in installation.schedulers:
        scheduler.kill()
    await asyncio.sleep(lasting_s)
    for scheduler in installation.schedulers:
        scheduler.start()


@fault("the API is killed")
async def kill_api(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    installation.processes["api"].kill()
    installation.processes["api"].start()
    await installation.await_api()


@fault("a worker is asked to stop")
async def stop_worker(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    async with _stopped(installation, chance) as worker:
        name = worker.worker
        await _stop(worker)
        kept = await installation.database.rows(RUNS_OF, name)
        assert not kept, f"the worker ended and kept {kept}"


@fault("a worker is asked to stop while Redis hangs")
async def stop_worker_without_redis(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    async with _stopped(installation, chance) as worker:
        name = worker.worker
        installation.redis.freeze()
        try:
            await _stop(worker)
        finally:
            installation.redis.thaw()
        kept = await installation.database.rows(RUNS_OF, name)
        assert not kept, f"the worker ended and kept {kept}"


@fault("a worker is asked to stop while PostgreSQL hangs", crashes=True)
async def stop_worker_without_database(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    """It can't give its runs back, but it ends in its time; by its own alarm, if something in it still waits for an answer."""
    async with _stopped(installation, chance) as worker:
        installation.database.signal_all(signal.SIGSTOP)
        try:
            await _stop(worker, 0, -signal.SIGALRM)
        finally:
            installation.database.signal_all(signal.SIGCONT)


@fault("a worker is frozen past its leases", crashes=True)
async def freeze_worker(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    """Its runs go to others meanwhile, and it may not write for them when it goes on."""
    worker = await _busy(installation, chance)
    worker.freeze()
    await _taken_over(installation, worker)


@fault("a worker is frozen in the middle of a transaction", crashes=True)
async def freeze_worker_in_transaction(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    """The rows that it has locked are no obstacle to who takes its runs over."""
    deadline = time.monotonic() + FROZEN_WITHIN_S
    while True:
        worker = await _busy(installation, chance)
        worker.freeze()
        await asyncio.sleep(SETTLED_S)  # what another process does in a transaction is over by then
        if await installation.database.rows(LOCKED_RUNS, worker.worker):
            break
        worker.thaw()
        assert time.monotonic() < deadline, f"in {FROZEN_WITHIN_S:.0f} s no worker was met while it wrote for a run"
        await asyncio.sleep(chance.uniform(0.0, SETTLED_S))
    await _taken_over(installation, worker)


@asynccontextmanager
async def _stopped(installation: Installation, chance: random.Random) -> AsyncIterator[Process]:
    """A worker with a run, for the body to end; it is started again afterwards."""
    worker = await _busy(installation, chance)
    try:
        yield worker
    finally:
        if worker.ended:
            worker.start()


async def _stop(worker: Process, *codes: int) -> None:
    code, seconds = await worker.stop()
    assert (code in (codes or (0,)), seconds < STOP_WITHIN_S) == (True, True), f"the worker ended with {code} after {seconds:.1f} s"


async def _taken_over(installation: Installation, worker: Process) -> None:
    """Wait until others have the runs of the frozen worker, let it go on, and wait until it says that it lost them."""
    database = installation.database
    try:
        runs = await database.rows(RUNS_OF, worker.worker)
        for run_id, attempt in runs:
            await database.until(
                "SELECT FROM sync_runs WHERE id = $1 AND (attempt > $2 OR status <> 'running')",
                run_id, attempt, within_s=TAKEN_OVER_WITHIN_S, what=f"run {run_id} was taken from the frozen worker",
            )  # fmt: skip
    finally:
        worker.thaw()
    fenced = {(str(run_id), attempt) for run_id, attempt in runs}
    deadline = time.monotonic() + TAKEN_OVER_WITHIN_S
    while left := fenced - {(entry["run_id"], entry["attempt"]) for entry in worker.logged("run.lease_lost")}:
        assert time.monotonic() < deadline, f"the worker that was frozen did not say of {left} that it lost them"
        await asyncio.sleep(0.1)


# Redis


@fault("Redis is flushed")
async def flush_redis(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    def flush() -> None:
        with installation.redis.client() as client:
            client.flushall()

    await asyncio.to_thread(flush)


@fault("Redis is killed, and starts again with an empty memory")
async def restart_redis(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    installation.redis.kill()
    installation.redis.start()


@fault("Redis is gone for a while")
async def redis_gone(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    installation.redis.kill()
    try:
        await asyncio.sleep(lasting_s)
    finally:
        installation.redis.start()


@fault("Redis hangs")
async def redis_hangs(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    installation.redis.freeze()
    try:
        await asyncio.sleep(lasting_s)
    finally:
        installation.redis.thaw()


# PostgreSQL


@fault("PostgreSQL is restarted")
async def restart_database(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    await installation.database.stop()
    await installation.database.start()


@fault("PostgreSQL crashes")
async def crash_database(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    await installation.database.crash()
    await installation.database.start()


@fault("a session of PostgreSQL is killed, and all the others with it")
async def kill_backend(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    """The server doubts its shared memory then, ends all sessions, and recovers (https://www.postgresql.org/docs/current/server-shutdown.html)."""
    database = installation.database
    with suppress(ProcessLookupError):
        os.kill(chance.choice(await database.backends()), signal.SIGKILL)
    await database.until("SELECT", within_s=STARTS_WITHIN_S, what="PostgreSQL recovered")


@fault("PostgreSQL is gone for a while")
async def database_gone(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    await installation.database.stop()
    await asyncio.sleep(lasting_s)
    await installation.database.start()


@fault("PostgreSQL hangs")
async def database_hangs(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    installation.database.signal_all(signal.SIGSTOP)
    try:
        await asyncio.sleep(lasting_s)
    finally:
        installation.database.signal_all(signal.SIGCONT)


@fault("the network to PostgreSQL is cut, again and again")
async def cut_network(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    """In the middle of transactions, and between a COMMIT and its answer."""
    until = time.monotonic() + lasting_s
    while time.monotonic() < until:
        installation.database.proxy.cut()
        await asyncio.sleep(chance.uniform(0.05, 0.5))


@fault("the network to PostgreSQL is refused")
async def refuse_network(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    installation.database.proxy.let("refused")
    await asyncio.sleep(lasting_s)
    installation.database.proxy.let("open")


@fault("the network to PostgreSQL is held up")
async def hold_network_up(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    installation.database.proxy.let("held up")
    await asyncio.sleep(lasting_s)
    installation.database.proxy.let("open")


@fault("PostgreSQL fails over to its standby")
async def fail_over(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    """Sessions come to the standby while it only reads, for a moment; then it is promoted."""
    database = installation.database
    async with database.standby() as standby:
        await asyncio.sleep(chance.uniform(0.0, 1.0))
        await database.crash()
        standby.lead_here()
        await asyncio.sleep(lasting_s / 2)
        await standby.promote()


@fault("the disk of PostgreSQL is full")
async def fill_disk(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    """Statements that need space fail. Where the server's own log needs it, the server ends, and is started again as by whoever watches over it."""
    database = installation.database
    if installation.no_disk_because:
        raise Impossible(f"no file system of its own for the database: {installation.no_disk_because}")
    with full(database.disk):
        with suppress(OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
            try:
                await database.rows("CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
            except asyncpg.DiskFullError:
                pass
            else:
                raise AssertionError("the disk is full, and PostgreSQL has written 20 MB")
        await asyncio.sleep(lasting_s)
    try:
        await database.until("SELECT", within_s=5, what="PostgreSQL survived")
    except AssertionError:
        await database.stop()
        await database.start()
    await database.rows("DROP TABLE IF EXISTS filler")


# The marketplaces


@fault("the marketplaces ask for patience")
async def ask_for_patience(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    for kind in ("rate_limited", "rate_limited_globally"):
        await installation.sandbox("POST", "/faults", kind=kind, times=chance.randint(2, 6), skip=chance.randint(0, 5), retry_s=2)
    # More than a worker waits for: the run goes back into the queue.
    await installation.sandbox("POST", "/faults", kind="rate_limited", times=2, retry_s=12)


@fault("the marketplaces answer with errors")
async def answer_errors(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    for kind in ("server_error", "bad_gateway", "unavailable", "html", "undocumented"):
        await installation.sandbox("POST", "/faults", kind=kind, times=chance.randint(1, 3), skip=chance.randint(0, 10))


@fault("the marketplaces break their answers off")
async def break_answers(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    for kind in ("disconnect", "cut", "reset", "truncated"):
        await installation.sandbox("POST", "/faults", kind=kind, times=chance.randint(1, 4), skip=chance.randint(0, 10))


@fault("the marketplaces are slow")
async def be_slow(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    for kind in ("slow", "trickle"):
        await installation.sandbox("POST", "/faults", kind=kind, times=chance.randint(5, 15), delay_ms=round(lasting_s * 500))


# Clocks. A machine's can't be moved by one of its programs, but what the rows say of the time can, all at once, and that is all that the product goes by.

CLOCK = (
    "UPDATE sync_runs SET lease_until = lease_until + $1, not_before = not_before + $1, rung_at = rung_at + $1 WHERE status IN ('queued', 'running')",
    "UPDATE tenants SET next_sync_at = next_sync_at + $1 WHERE next_sync_at IS NOT NULL",
    "UPDATE webhook_deliveries SET next_attempt_at = next_attempt_at + $1 WHERE status = 'pending'",
)

STILL_AHEAD = (
    "UPDATE sync_runs SET not_before = not_before - $1::interval WHERE status = 'queued' AND not_before > now() + $1::interval / 2",
    "UPDATE tenants SET next_sync_at = next_sync_at - $1::interval WHERE next_sync_at > now() + $1::interval / 2",
    "UPDATE webhook_deliveries SET next_attempt_at = next_attempt_at - $1::interval WHERE status = 'pending' AND next_attempt_at > now() + $1::interval / 2",
)


@fault("the database's clock leaps ahead by an hour", crashes=True)
async def leap_ahead(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    """Every lease is over, and nobody knows that its worker lives."""
    await _shift_rows(installation, -AN_HOUR)


@fault("the database's clock is put back by an hour")
async def put_clock_back(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    """Leases reach into the future then, and what was due is due in an hour. An operator who puts a clock back waits that long, or moves it forward as we do."""
    await _shift_rows(installation, AN_HOUR)
    await asyncio.sleep(lasting_s)
    for statement in STILL_AHEAD:
        await installation.database.rows(statement, timedelta(seconds=AN_HOUR))


async def _shift_rows(installation: Installation, seconds: int) -> None:
    # One transaction each: rows of both tables at once, locked in another order than the product does, would be a fault of its own.
    for statement in CLOCK:
        await installation.database.rows(statement, timedelta(seconds=seconds))


async def _busy(installation: Installation, chance: random.Random) -> Process:
    """A worker that has a run at least, once there is one."""
    database, deadline = installation.database, time.monotonic() + BUSY_WITHIN_S
    while True:
        busy = {row["worker"] for row in await database.rows("SELECT DISTINCT worker FROM sync_runs WHERE status = 'running'")}
        if found := [worker for worker in installation.workers if worker.worker in busy]:
            return chance.choice(found)
        assert time.monotonic() < deadline, f"in {BUSY_WITHIN_S:.0f} s no worker got a run"
        await asyncio.sleep(0.02)
