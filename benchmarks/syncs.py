"""First sync, and second sync of a shop that stood still."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import asyncpg
import msgspec

from benchmarks.figures import Figure
from benchmarks.plan import Plan
from benchmarks.shops import seller_token
from benchmarks.site import Site
from benchmarks.usage import Used

PRODUCTS = 10_000
WARM_PRODUCTS = 25
OURS, FLOOR = "benchmarks.ours.sync", "benchmarks.floors.sync"

WRITTEN = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::int, sum(n_dead_tup)::int FROM pg_stat_user_tables WHERE relname IN ('products', 'stocks')"

OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
ALL_COUNTED_WITHIN_S = 10.0


def measure(site: Site, plan: Plan, tell: Callable[[str], None]) -> dict[str, list[Figure]]:
    """Ours and the floor in turn, each in a fresh process and a fresh database; both are warmed up by a shop of 25 products."""
    shop = {"BENCHMARK_TOKEN": seller_token(PRODUCTS), "BENCHMARK_WARM_TOKEN": seller_token(WARM_PRODUCTS)}
    used: dict[tuple[str, str], list[Used]] = defaultdict(list)
    written: list[int] = []
    dead: list[int] = []
    tell("making the sandbox's pages")
    with site.new_database() as url:
        site.run(FLOOR, {**shop, "DATABASE_URL": url})
    for number in range(plan.rounds):
        for side in (OURS, FLOOR):
            with site.new_database() as url:
                for which in ("first", "second"):
                    before = asyncio.run(_written(url))
                    spent = msgspec.json.decode(site.run(side, {**shop, "DATABASE_URL": url}), type=Used)
                    used[side, which].append(spent)
                    name = "ours" if side is OURS else "floor"
                    per_thousand = spent.cpu_s / PRODUCTS * 1_000_000
                    tell(f"{which} sync, round {number + 1}, {name}: {spent.wall_s:.2f} s, {per_thousand:.0f} ms CPU per 1,000 products")
                    if side is OURS and which == "second":
                        after = asyncio.run(_written(url))
                        written.append(after[0] - before[0])
                        dead.append(after[1] - before[1])
    return {
        "first-sync": _figures("first", used, wall_aim=0.81, cpu_aim=0.87),
        "second-sync": [
            *_figures("second", used, wall_aim=1.67, cpu_aim=1.46),
            Figure(work="second sync: rows of products and stocks written", unit="rows", ours=[float(count) for count in written], aim=0),
            Figure(work="second sync: dead rows left in them", unit="rows", ours=[float(count) for count in dead], aim=0),
        ],
    }


def _figures(which: str, used: dict[tuple[str, str], list[Used]], *, wall_aim: float, cpu_aim: float) -> list[Figure]:
    ours, floor = used[OURS, which], used[FLOOR, which]
    name = f"{which} sync of {PRODUCTS:,} products"
    return [
        Figure(work=name, unit="s", ours=[one.wall_s for one in ours], floor=[one.wall_s for one in floor], aim=wall_aim),
        Figure(
            work=f"{name}: worker CPU per 1,000",
            unit="ms",
            ours=[one.cpu_s / PRODUCTS * 1_000_000 for one in ours],
            floor=[one.cpu_s / PRODUCTS * 1_000_000 for one in floor],
            aim=cpu_aim,
        ),
    ]


async def _written(url: str) -> tuple[int, int]:
    """Rows ever written, and dead ones. A server process counts what it did when it ends, which may be after its client did."""
    connection: Any = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(ALL_COUNTED_WITHIN_S):
            while await connection.fetchval(OTHERS):
                await asyncio.sleep(0.02)
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        return tuple(await connection.fetchrow(WRITTEN))
    finally:
        await connection.close()
