"""What so many tenants need, from what one sync costs. `python -m benchmarks.scaling --write-docs` puts the tables into docs/scaling.md.

The arithmetic is here and the unit costs are here, so that the document can't say anything else; a test holds it to them.
"""

import math
from pathlib import Path

import click
import msgspec

DOCUMENT = Path(__file__).parents[1] / "docs/scaling.md"
BEGIN, END = "<!-- figures: python -m benchmarks.scaling --write-docs -->", "<!-- end of figures -->"

DAY_S = 86_400


class UnitCosts(msgspec.Struct, frozen=True, kw_only=True):
    """Measured, one by one, on the machine of docs/benchmarks.md. A sync is one of an account with 50 products that stood still."""

    # python -m benchmarks --only fleet
    worker_ms_per_sync: float | None = 8.2
    postgres_ms_per_sync: float | None = 5.4
    # python -m benchmarks --only second-sync: the walk through a shop that stood still, once a day
    worker_ms_per_1000_products: float = 30.4
    # python -m benchmarks.footprint
    rows_per_sync: int = 8
    # A run with its four logs; its event with the delivery and the attempt.
    run_bytes_per_sync: int = 4_100
    event_bytes_per_sync: int = 2_500
    wal_bytes_per_sync: int = 10_400
    bytes_per_product: int = 1_500
    # Keys of budgets, 1.3 kB per account, while they are filled; a list of 100 products in the cache, for 5 minutes after it was read, and a sign-in.
    redis_bytes_per_tenant: int = 1_300
    redis_bytes_per_reader: int = 54_800
    # products 2, prices 2, stocks 2, orders 1
    requests_per_sync: int = 7


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Who is served. `changed` is the share of syncs that find anything. `readers` is the share of tenants whose lists somebody looked at within the last 5
    minutes; a processor is `busy` to that share."""

    tenants: int
    products: int = 50
    interval_minutes: int = 30
    changed: float = 0.05
    retention_days: int = 30
    unchanged_days: int = 2
    readers: float = 0.02
    busy: float = 0.6
    pool_size: int = 10
    api_processes: int = 4


MEASURED = UnitCosts()
LOADS = (Load(tenants=10_000), Load(tenants=100_000))


def needs(costs: UnitCosts, load: Load) -> dict[str, str]:
    """What the load takes, by what it is called; what has no measured unit cost yet is a dash."""
    syncs_per_s = load.tenants / (load.interval_minutes * 60)
    syncs_per_day = syncs_per_s * DAY_S
    full_walks_ms = load.tenants * load.products / 1000 * costs.worker_ms_per_1000_products / DAY_S
    worker_cores = None if costs.worker_ms_per_sync is None else (syncs_per_s * costs.worker_ms_per_sync + full_walks_ms) / 1000 / load.busy
    postgres_cores = None if costs.postgres_ms_per_sync is None else syncs_per_s * costs.postgres_ms_per_sync / 1000 / load.busy
    # A worker is one process on one core.
    workers = None if worker_cores is None else math.ceil(worker_cores)
    connections = None if workers is None else (workers + load.api_processes) * load.pool_size + 2 * 3
    stored = syncs_per_day * (costs.run_bytes_per_sync + costs.event_bytes_per_sync)
    days_of_a_run = load.changed * load.retention_days + (1 - load.changed) * load.unchanged_days
    kept = syncs_per_day * (costs.run_bytes_per_sync * days_of_a_run + costs.event_bytes_per_sync * load.retention_days)
    return {
        "syncs per second": f"{syncs_per_s:,.1f}",
        "cores of workers": _or_dash(worker_cores, "{:.1f}"),
        "cores of PostgreSQL": _or_dash(postgres_cores, "{:.1f}"),
        "worker processes": _or_dash(workers, "{:,}"),
        "connections to PostgreSQL": _or_dash(connections, "{:,}"),
        "rows per day": f"{syncs_per_day * costs.rows_per_sync / 1e6:,.1f} million",
        "stored per day": _bytes(stored),
        "stored in all, as long as it is kept": _bytes(kept),
        "products and shelves": _bytes(load.tenants * load.products * costs.bytes_per_product),
        "write-ahead log per second": _bytes(syncs_per_s * costs.wal_bytes_per_sync),
        "write-ahead log per day": _bytes(syncs_per_day * costs.wal_bytes_per_sync),
        "Redis": _bytes(load.tenants * (costs.redis_bytes_per_tenant + load.readers * costs.redis_bytes_per_reader)),
        "requests to marketplaces per second": f"{syncs_per_s * costs.requests_per_sync:,.0f}",
        "webhooks per second": f"{syncs_per_s:,.1f}",
    }


def markdown(costs: UnitCosts, loads: tuple[Load, ...]) -> str:
    """The unit costs and what they lead to, as two tables."""
    units = [
        "| unit cost | |",
        "|---|---:|",
        *(f"| `{name}` | {'–' if cost is None else f'{cost:,}'} |" for name, cost in msgspec.structs.asdict(costs).items()),
    ]
    columns = [needs(costs, load) for load in loads]
    heads = " | ".join(f"{load.tenants:,} tenants" for load in loads)
    rows = [f"| {name} | " + " | ".join(column[name] for column in columns) + " |" for name in columns[0]]
    return "\n".join([*units, "", f"| | {heads} |", "|---|" + "---:|" * len(loads), *rows])


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


@click.command()
@click.option("--write-docs", is_flag=True, help="Put the tables into docs/scaling.md.")
def main(*, write_docs: bool) -> None:
    """Print what so many tenants need."""
    tables = markdown(MEASURED, LOADS)
    print(tables)
    if write_docs:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
