"""What a sync costs as there are more tenants."""

from collections.abc import Callable

from benchmarks.figures import Figure
from benchmarks.fleet import PRODUCTS, Round, carry_out, engine, filled
from benchmarks.plan import Plan
from benchmarks.site import Site

SMALLEST = 100
STEP = 10
FLAT_WITHIN = 1.2
# A few syncs would be a matter of luck.
LEAST_SYNCS = 1_000


def measure(site: Site, plan: Plan, tell: Callable[[str], None]) -> dict[str, list[Figure]]:
    """Each size in a database of its own; the smallest stands where the floor does in other measurements."""
    sizes = [SMALLEST]
    while sizes[-1] < plan.tenants:
        sizes.append(min(sizes[-1] * STEP, plan.tenants))
    rounds: dict[int, list[Round]] = {}
    for size in sizes:
        with filled(site, size, tell) as fleet, engine(site, fleet) as workers:
            turns = max(min(plan.rounds, LEAST_SYNCS // size), 1)
            # A short list of the due tells nothing of a long one, so all of them are due each time.
            rounds[size] = [carry_out(site, fleet, fleet.tenants, workers) for _ in range(max(turns, LEAST_SYNCS // size))]
            for one in rounds[size]:
                tell(f"growth, {size:,} tenants: {one}")
    smallest = rounds[SMALLEST]
    figures: list[Figure] = []
    for size in sizes[1:]:
        work = f"{size:,} × {PRODUCTS} unchanged, beside {SMALLEST} tenants"
        ours = [one.worker_ms for one in rounds[size]]
        figures.append(
            Figure(work=f"{work}: worker CPU per sync", unit="ms", ours=ours, floor=[one.worker_ms for one in smallest], aim=FLAT_WITHIN)
        )
        ours = [one.postgres_ms for one in rounds[size]]
        figures.append(
            Figure(
                work=f"{work}: PostgreSQL CPU per sync", unit="ms", ours=ours, floor=[one.postgres_ms for one in smallest], aim=FLAT_WITHIN
            )
        )
    return {"growth": figures}
