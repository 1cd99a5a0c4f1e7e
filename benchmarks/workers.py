"""Two workers instead of one, beside quick and slow marketplaces; and shops of 500 products."""

from collections.abc import Callable

from benchmarks.figures import Figure
from benchmarks.fleet import PRODUCTS, Fleet, Round, carry_out, engine, filled, run_floor
from benchmarks.plan import Plan
from benchmarks.site import Site
from benchmarks.usage import Used

TENANTS = 300
LARGER_SHOPS, LARGER = 100, 500
SLOW_MS = 80
# With 64 syncs at once, a worker waits more than it computes.
VERY_SLOW_MS = 500
TWICE_AIM = 1.7


def measure(site: Site, plan: Plan, tell: Callable[[str], None]) -> dict[str, list[Figure]]:
    """One worker and two in turn; one stands where the floor does in other measurements."""
    figures: list[Figure] = []
    with filled(site, TENANTS, tell) as fleet:
        for delay_ms in (0, SLOW_MS, VERY_SLOW_MS):
            with site.slow_marketplace(delay_ms):
                one, two = _one_and_two(site, fleet, plan, tell)
            work = f"{TENANTS} × {PRODUCTS} unchanged, a marketplace that answers " + (f"in {delay_ms} ms" if delay_ms else "at once")
            figures.append(
                Figure(
                    work=f"{work}: two workers beside one",
                    unit="per min",
                    ours=[each.per_minute for each in two],
                    floor=[each.per_minute for each in one],
                    aim=TWICE_AIM,
                    more_is_better=True,
                )
            )
    return {"workers": figures}


def measure_larger_shops(site: Site, plan: Plan, tell: Callable[[str], None]) -> dict[str, list[Figure]]:
    """Ours and the floor in turn."""
    figures: list[Figure] = []
    with filled(site, LARGER_SHOPS, tell, LARGER) as fleet, engine(site, fleet) as workers:
        for delay_ms in (0, SLOW_MS):
            ours, floor = list[Round](), list[Used]()
            with site.slow_marketplace(delay_ms):
                for _ in range(plan.rounds):
                    ours.append(carry_out(site, fleet, fleet.tenants, workers))
                    floor.append(run_floor(site, fleet))
                    tell(f"{LARGER_SHOPS} × {LARGER}, {delay_ms} ms: {ours[-1]}; floor {floor[-1].wall_s:.2f} s")
            work = f"{LARGER_SHOPS} × {LARGER} unchanged, a marketplace that answers " + (f"in {delay_ms} ms" if delay_ms else "at once")
            figures += [
                Figure(
                    work=f"{work}: syncs",
                    unit="per min",
                    ours=[one.per_minute for one in ours],
                    floor=[LARGER_SHOPS / one.wall_s * 60 for one in floor],
                    more_is_better=True,
                ),
                Figure(
                    work=f"{work}: worker CPU per sync",
                    unit="ms",
                    ours=[one.worker_ms for one in ours],
                    floor=[one.cpu_s / LARGER_SHOPS * 1000 for one in floor],
                ),
            ]
    return {"larger-shops": figures}


def _one_and_two(site: Site, fleet: Fleet, plan: Plan, tell: Callable[[str], None]) -> tuple[list[Round], list[Round]]:
    rounds: dict[int, list[Round]] = {1: [], 2: []}
    for _ in range(plan.long_rounds):
        for count, seen in rounds.items():
            with engine(site, fleet, count) as workers:
                seen.append(carry_out(site, fleet, fleet.tenants, workers))
            tell(f"{count} worker{'s' if count > 1 else ''}: {seen[-1]}")
    return rounds[1], rounds[2]
