"""What a sync costs as there are more tenants."""

from collections.abc import Callable
from contextlib import ExitStack
from operator import attrgetter

from benchmarks.figures import Figure
from benchmarks.fleet import PRODUCTS, Round, carry_out, engine, filled
from benchmarks.plan import Plan
from benchmarks.site import Site

SIZES = (100, 1_000, 10_000)
FLAT_WITHIN = 1.2
# A few syncs would be a matter of luck.
LEAST_SYNCS = 500


def measure(site: Site, plan: Plan, tell: Callable[[str], None]) -> dict[str, list[Figure]]:
    """Each size in a database of its own; the smallest, before the others and after them, stands where the floor does in other measurements."""
    sizes = [size for size in SIZES if size <= max(plan.tenants, SIZES[1])]
    rounds: dict[int, list[Round]] = {size: [] for size in sizes}
    with ExitStack() as stack:
        fleets = {size: stack.enter_context(filled(site, size, tell)) for size in sizes}
        for size in [*sizes * plan.long_rounds, SIZES[0]]:
            with engine(site, fleets[size]) as workers:
                for _ in range(max(LEAST_SYNCS // size, 1)):
                    rounds[size].append(carry_out(site, fleets[size], fleets[size].tenants, workers))
            tell(f"growth, {size:,} tenants: {rounds[size][-1]}")
    figures: list[Figure] = []
    for size in sizes[1:]:
        for whose, ms in (("worker", attrgetter("worker_ms")), ("PostgreSQL", attrgetter("postgres_ms"))):
            work = f"{size:,} × {PRODUCTS} unchanged, beside {SIZES[0]} × {PRODUCTS}: {whose} CPU per sync"
            ours, smallest = [ms(one) for one in rounds[size]], [ms(one) for one in rounds[SIZES[0]]]
            figures.append(Figure(work=work, unit="ms", ours=ours, floor=smallest, aim=FLAT_WITHIN))
    return {"growth": figures}
