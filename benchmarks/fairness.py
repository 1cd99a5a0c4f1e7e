"""Small shops beside a very large one."""

from collections.abc import Callable
from operator import attrgetter

from benchmarks.figures import Figure
from benchmarks.fleet import Round, carry_out, engine, filled, share
from benchmarks.plan import Plan
from benchmarks.seller import Seller, api_arguments
from benchmarks.site import Site, await_answer, await_truth

SMALL = 1_000
LARGE = 200_000
AIM = 2.0
BEGUN_WITHIN_S = 60.0


def measure(site: Site, plan: Plan, tell: Callable[[str], None]) -> dict[str, list[Figure]]:
    """How long the small ones wait while one worker copies the large one for the first time, and without it, in turn."""
    alone, beside = list[Round](), list[Round]()
    api, arguments = api_arguments()
    with filled(site, SMALL, tell) as fleet, engine(site, fleet) as workers, site.process(arguments, {"DATABASE_URL": fleet.url}):
        await_answer(f"{api}/health/ready")
        for number in range(plan.long_rounds):
            alone.append(carry_out(site, fleet, fleet.tenants, workers))
            tell(f"fairness, alone: {alone[-1]}")
            # A seller of its own each time, whose first sync it is.
            with Seller(api, LARGE, number) as large:
                large.ask_for("products", "prices", "stocks")
                await_truth(lambda: _status(large) == "running" and _done(large) > 0, BEGUN_WITHIN_S, "the large sync has begun")
                beside.append(carry_out(site, fleet, fleet.tenants, workers))
                tell(f"fairness, beside {LARGE:,} products, of which {_done(large):,} are done ({_status(large)}): {beside[-1]}")
                large.await_sync()
    figures: list[Figure] = []
    for what, waits in (("claimed", attrgetter("due_claimed_s")), ("finished", attrgetter("due_finished_s"))):
        for name, part in (("p50", 0.5), ("p99", 0.99)):
            figures.append(
                Figure(
                    work=f"{SMALL:,} small shops beside one of {LARGE:,} products: queued → {what}, {name}",
                    unit="s",
                    ours=[share(waits(one), part) for one in beside],
                    floor=[share(waits(one), part) for one in alone],
                    aim=AIM,
                )
            )
    return {"fairness": figures}


def _run(seller: Seller) -> dict[str, object]:
    return seller.get("/sync")["items"][0]


def _status(seller: Seller) -> object:
    return _run(seller)["status"]


def _done(seller: Seller) -> int:
    return _run(seller)["progress"]["done"]
