"""Many tenants whose shops stood still, all due at once."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from benchmarks.figures import Figure
from benchmarks.plan import Plan
from benchmarks.seller import worker_arguments
from benchmarks.site import Site
from benchmarks.usage import Used, cpu_s, family_cpu_s, watched_pss_mib

SCHEDULER = ["-m", "app.cli.main", "scheduler"]
FLOOR = "benchmarks.floors.fleet"

PRODUCTS = 50
# They press the button while the others are due.
PRESSERS = 40
PRESS_EVERY_S = 0.5

FILLED_WITHIN_S = 600.0
DONE_WITHIN_S = 900.0
LOOK_EVERY_S = 0.25
MEMORY_EVERY_S = 0.5

# No account's turns come sooner than its marketplace allows; what was a moment ago was yesterday.
AGE = """
    UPDATE sync_runs SET queued_at = queued_at - interval '1 day', started_at = started_at - interval '1 day', finished_at = finished_at - interval '1 day'
     WHERE trigger = 'schedule' AND queued_at > now() - interval '1 day'
"""
DUE = "UPDATE tenants SET next_sync_at = now() WHERE id = ANY($1::uuid[])"
LEFT = "SELECT $1 - count(*) FROM sync_runs WHERE trigger = 'schedule' AND status NOT IN ('queued', 'running') AND queued_at > $2"
RUNS = """
    SELECT trigger, queued_at, finished_at, extract(epoch FROM started_at - queued_at)::float8 AS claimed_s, extract(epoch FROM finished_at - queued_at)::float8 AS finished_s, status,
           (SELECT coalesce(sum((report ->> 'created')::int + (report ->> 'updated')::int + (report ->> 'archived')::int), 0)
              FROM jsonb_array_elements(stages) AS report) AS changes
      FROM sync_runs WHERE queued_at > $1 AND finished_at IS NOT NULL
"""
ROWS = "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0"
OF_SHOPS = ("products", "stocks", "orders", "order_lines")


class Fleet(msgspec.Struct, frozen=True):
    """Tenants that are stored and synced in the database of this URL. The last few are never due: they press the button."""

    url: str
    superuser_url: str
    products: int
    tenants: list[UUID]
    pressers: list[UUID]


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What a round of syncs took. CPU of all processes of a kind; the waits, from being queued on, of those that were due and of those that were asked for by a
    button, are sorted."""

    runs: int
    wall_s: float
    busy_s: float
    worker_cpu_s: float
    postgres_cpu_s: float
    sandbox_cpu_s: float
    peak_mib: float
    wal_bytes: int
    due_claimed_s: list[float]
    due_finished_s: list[float]
    pressed_claimed_s: list[float]
    pressed_finished_s: list[float]

    @property
    def worker_ms(self) -> float:
        return self.worker_cpu_s / self.runs * 1000

    @property
    def postgres_ms(self) -> float:
        return self.postgres_cpu_s / self.runs * 1000

    @property
    def sandbox_ms(self) -> float:
        return self.sandbox_cpu_s / self.runs * 1000

    @property
    def per_minute(self) -> float:
        """Since the scheduler queued the first: it looks once a second, which a small fleet would be measured by."""
        return self.runs / self.busy_s * 60

    def __str__(self) -> str:
        return (
            f"{self.runs:,} syncs in {self.wall_s:.1f} s, {self.per_minute:,.0f}/min; CPU per sync: workers {self.worker_ms:.1f} ms, "
            f"PostgreSQL {self.postgres_ms:.1f} ms, sandbox {self.sandbox_ms:.1f} ms; worker {self.peak_mib:.0f} MiB at most; "
            f"WAL {self.wal_bytes / self.runs / 1024:.1f} KiB per sync"
        )


@contextmanager
def filled(site: Site, tenants: int, tell: Callable[[str], None], products: int = PRODUCTS) -> Generator[Fleet]:
    """A database with so many tenants, as long as the context lasts."""
    with site.new_database() as url:
        superuser_url, began = site.superuser_url(url), time.monotonic()
        environment = {"DATABASE_URL": url, "SUPERUSER_URL": superuser_url}
        last = site.run("benchmarks.ours.fleet", environment, str(tenants + PRESSERS), str(products), within_s=FILLED_WITHIN_S)
        ids = msgspec.json.decode(last, type=list[UUID])
        tell(f"{tenants:,} tenants with {products} products each are stored, after {time.monotonic() - began:.0f} s")
        yield Fleet(url, superuser_url, products, ids[:tenants], ids[tenants:])


@contextmanager
def engine(site: Site, fleet: Fleet, workers: int = 1, profile: Path | None = None) -> Generator[list[int]]:
    """The scheduler and so many workers, warmed up by one sync of each presser; gives the workers' pids."""
    database = {"DATABASE_URL": fleet.url}
    arguments = worker_arguments() if profile is None else ["-m", "benchmarks.ours.profiled_worker", str(profile)]
    with ExitStack() as stack:
        pids = [stack.enter_context(site.process(arguments, database)) for _ in range(workers)]
        stack.enter_context(site.process(SCHEDULER, database))
        carry_out(site, fleet, fleet.pressers, pids)
        yield pids


def carry_out(site: Site, fleet: Fleet, due: Sequence[UUID], workers: Sequence[int]) -> Round:
    """Make these tenants due at once, and wait until each had its sync.

    Raises:
        TimeoutError: they did not.
        RuntimeError: a sync did not succeed, or found something changed.
    """
    return asyncio.run(_carry_out(site, fleet, due, workers))


async def _carry_out(site: Site, fleet: Fleet, due: Sequence[UUID], workers: Sequence[int]) -> Round:
    connection: Any = await asyncpg.connect(fleet.superuser_url)
    try:
        await connection.execute(AGE)
        await connection.execute("VACUUM ANALYZE sync_runs")
        with watched_pss_mib(workers[0], MEMORY_EVERY_S) as memory:
            began_at = await connection.fetchval("SELECT clock_timestamp()")
            wal = await connection.fetchval("SELECT pg_current_wal_insert_lsn()")
            cpu = _cpu(site, workers)
            began = time.monotonic()
            await connection.execute(DUE, list(due))
            async with asyncio.timeout(DONE_WITHIN_S):
                while await connection.fetchval(LEFT, len(due), began_at) > 0:
                    await asyncio.sleep(LOOK_EVERY_S)
            wall_s = time.monotonic() - began
            used = [after - before for before, after in zip(cpu, _cpu(site, workers), strict=True)]
        written = await connection.fetchval("SELECT (pg_current_wal_insert_lsn() - $1::pg_lsn)::bigint", wal)
        runs = await connection.fetch(RUNS, began_at)
    finally:
        await connection.close()
    if wrong := [run for run in runs if run["status"] != "succeeded" or run["changes"]]:
        raise RuntimeError(f"{len(wrong)} of {len(runs)} syncs were not of an unchanged shop: {dict(wrong[0])}")
    pressed, scheduled = ([run for run in runs if run["trigger"] == trigger] for trigger in ("manual", "schedule"))
    return Round(
        runs=len(runs),
        wall_s=wall_s,
        busy_s=(max(run["finished_at"] for run in scheduled) - min(run["queued_at"] for run in scheduled)).total_seconds(),
        worker_cpu_s=used[0],
        postgres_cpu_s=used[1],
        sandbox_cpu_s=used[2],
        peak_mib=max(memory),
        wal_bytes=written,
        due_claimed_s=sorted(run["claimed_s"] for run in scheduled),
        due_finished_s=sorted(run["finished_s"] for run in scheduled),
        pressed_claimed_s=sorted(run["claimed_s"] for run in pressed),
        pressed_finished_s=sorted(run["finished_s"] for run in pressed),
    )


def _cpu(site: Site, workers: Sequence[int]) -> tuple[float, float, float]:
    """Of the workers, of PostgreSQL and of the sandbox."""
    return sum(map(cpu_s, workers)), family_cpu_s(site.postgres_pid), cpu_s(site.sandbox_pid)


OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
ALL_COUNTED_WITHIN_S = 10.0


def measure(site: Site, plan: Plan, tell: Callable[[str], None]) -> dict[str, list[Figure]]:
    """The whole fleet at once, with sellers who press the button in the middle of it; each round beside the floor."""
    rounds: list[Round] = []
    floors: list[Used] = []
    with filled(site, plan.tenants, tell) as fleet, ExitStack() as profiled:
        profile = Path(profiled.enter_context(tempfile.TemporaryDirectory())) / "profile" if plan.profile else None
        before = asyncio.run(_rows_written(fleet))
        with engine(site, fleet, profile=profile) as workers:
            for number in range(plan.long_rounds):
                with _pressing(site, fleet):
                    rounds.append(carry_out(site, fleet, fleet.tenants, workers))
                tell(f"fleet, round {number + 1}, ours: {rounds[-1]}")
                floors.append(run_floor(site, fleet))
                tell(
                    f"fleet, round {number + 1}, floor: {floors[-1].wall_s:.1f} s, {floors[-1].cpu_s / plan.tenants * 1000:.1f} ms CPU per sync"
                )
        written = asyncio.run(_rows_written(fleet))
        if profile:
            tell(profile.read_text())
    runs = sum(one.runs for one in rounds) + PRESSERS
    tell("rows written per sync: " + ", ".join(f"{table} {(count - before.get(table, 0)) / runs:.2f}" for table, count in written.items()))
    of_shops = sum(written.get(table, 0) - before.get(table, 0) for table in OF_SHOPS)
    claimed = sorted(wait for one in rounds for wait in one.pressed_claimed_s)
    finished = sorted(wait for one in rounds for wait in one.pressed_finished_s)
    size = f"{plan.tenants:,} × {PRODUCTS} unchanged"
    return {
        "fleet": [
            Figure(work=f"{size}, all due at once", unit="s", ours=[one.wall_s for one in rounds], floor=[one.wall_s for one in floors]),
            Figure(
                work=f"{size}: syncs",
                unit="per min",
                ours=[one.per_minute for one in rounds],
                floor=[len(fleet.tenants) / one.wall_s * 60 for one in floors],
                more_is_better=True,
            ),
            Figure(
                work=f"{size}: worker CPU per sync",
                unit="ms",
                ours=[one.worker_ms for one in rounds],
                floor=[one.cpu_s / len(fleet.tenants) * 1000 for one in floors],
            ),
            Figure(work=f"{size}: PostgreSQL CPU per sync", unit="ms", ours=[one.postgres_ms for one in rounds]),
            Figure(work=f"{size}: sandbox CPU per sync", unit="ms", ours=[one.sandbox_ms for one in rounds]),
            Figure(work=f"{size}: memory of the worker, at most", unit="MiB", ours=[one.peak_mib for one in rounds]),
            Figure(work=f"{size}: rows of products, stocks and orders written", unit="rows", ours=[float(of_shops)], aim=0),
            Figure(work=f"{size}: write-ahead log per sync", unit="KiB", ours=[one.wal_bytes / one.runs / 1024 for one in rounds]),
            Figure(work="a seller's own sync in the middle of it: asked → claimed, p50", unit="s", ours=[share(claimed, 0.5)]),
            Figure(work="a seller's own sync in the middle of it: asked → claimed, p99", unit="s", ours=[share(claimed, 0.99)], aim=2),
            Figure(work="a seller's own sync in the middle of it: asked → finished, p50", unit="s", ours=[share(finished, 0.5)]),
            Figure(work="a seller's own sync in the middle of it: asked → finished, p99", unit="s", ours=[share(finished, 0.99)]),
        ]
    }


def run_floor(site: Site, fleet: Fleet) -> Used:
    """The floor's syncs of as many shops."""
    arguments = (str(len(fleet.tenants)), str(fleet.products))
    return msgspec.json.decode(site.run(FLOOR, {"DATABASE_URL": fleet.superuser_url}, *arguments, within_s=DONE_WITHIN_S), type=Used)


def share(ordered: Sequence[float], part: float) -> float:
    """The value that this part of them does not exceed."""
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


@contextmanager
def _pressing(site: Site, fleet: Fleet) -> Generator[None]:
    arguments = ["-m", "benchmarks.ours.presses", str(PRESS_EVERY_S)]
    with site.process(arguments, {"DATABASE_URL": fleet.url}, told=msgspec.json.encode(fleet.pressers) + b"\n"):
        yield


async def _rows_written(fleet: Fleet) -> dict[str, int]:
    """Rows ever written, by table. Sessions count what they did when they end."""
    connection: Any = await asyncpg.connect(fleet.superuser_url)
    try:
        async with asyncio.timeout(ALL_COUNTED_WITHIN_S):
            while await connection.fetchval(OTHERS):
                await asyncio.sleep(LOOK_EVERY_S)
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        return dict(await connection.fetch(ROWS))
    finally:
        await connection.close()
