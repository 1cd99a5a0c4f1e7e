"""What may happen to an installation, each thing once: how it begins, how it ends, and what must hold of it alone."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from tests.faults.installation import LEASE_S, STOP_WITHIN_S, Installation, Process
from tests.faults.standby import STARTS_WITHIN_S, full

# Until somebody else has the runs of a worker that is gone: its lease, the scheduler's next look, and a ring.
TAKEN_OVER_WITHIN_S = 3.0 * LEASE_S + 10

RUNS_OF = "SELECT id, attempt FROM sync_runs WHERE status = 'running' AND worker = $1"
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
    worker = chance.choice(installation.workers)
    await _busy(installation, worker)
    worker.kill()
    worker.start()


@fault("all workers are killed at once", crashes=True)
async def kill_workers(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    await _busy(installation, chance.choice(installation.workers))
    for worker in installation.workers:
        worker.kill()
    for worker in installation.workers:
        worker.start()


@fault("the scheduler is killed")
async def kill_scheduler(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    installation.processes["scheduler"].kill()
    await asyncio.sleep(lasting_s)
    installation.processes["scheduler"].start()


@fault("the API is killed")
async def kill_api(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    installation.processes["api"].kill()
    installation.processes["api"].start()
    await installation.await_api()


@fault("a worker is asked to stop")
async def stop_worker(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    worker = chance.choice(installation.workers)
    await _busy(installation, worker)
    name = worker.worker
    code, seconds = await worker.stop()
    assert (code, seconds < STOP_WITHIN_S) == (0, True), f"the worker ended with {code} after {seconds:.1f} s"
    kept = await installation.database.rows(RUNS_OF, name)
    assert not kept, f"the worker ended and kept {kept}"
    worker.start()


@fault("a worker is frozen past its leases", crashes=True)
async def freeze_worker(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    """Its runs go to others meanwhile, and it may not write for them when it goes on."""
    worker = chance.choice(installation.workers)
    database = installation.database
    await _busy(installation, worker)
    worker.freeze()
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
    while not fenced <= {(entry["run_id"], entry["attempt"]) for entry in worker.logged("run.lease_lost")}:
        assert time.monotonic() < deadline, f"the worker that was frozen did not say of {fenced} that it lost them"
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


@fault("the database's clock leaps ahead by an hour", crashes=True)
async def leap_ahead(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    """Every lease is over, and nobody knows that its worker lives."""
    await _shift_rows(installation, -AN_HOUR)


@fault("the database's clock is put back by an hour")
async def put_clock_back(installation: Installation, chance: random.Random, lasting_s: float) -> None:
    """What was due now is due in an hour, by the rows; an operator who puts a clock back waits that long, or moves them as we do then."""
    await _shift_rows(installation, AN_HOUR)
    await asyncio.sleep(lasting_s)
    await _shift_rows(installation, -AN_HOUR)


async def _shift_rows(installation: Installation, seconds: int) -> None:
    # One transaction each: rows of both tables at once, locked in another order than the product does, would be a fault of its own.
    for statement in CLOCK:
        await installation.database.rows(statement, timedelta(seconds=seconds))


async def _busy(installation: Installation, worker: Process) -> None:
    """It has a run at least."""
    await installation.database.until(RUNS_OF, worker.worker, within_s=30, what=f"{worker.name} got a run")
