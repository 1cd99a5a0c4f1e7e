"""`GET /products?limit=100` of a tenant with 10,000 products, from PostgreSQL and from the cache."""

from collections.abc import Callable

import httpx
import msgspec

from benchmarks.figures import Figure
from benchmarks.load import Load
from benchmarks.plan import Plan
from benchmarks.seller import Seller, api_arguments, worker_arguments
from benchmarks.site import Site, await_answer, free_port
from benchmarks.usage import cpu_s

PRODUCTS = 10_000
CONNECTIONS = 16
REQUESTS = {"products": 1_500, "products-cached": 4_000}
WARM_REQUESTS = 200
PATH = "/products?limit=100"


class Round(msgspec.Struct, frozen=True):
    """A load, and the server's CPU for each of its requests."""

    load: Load
    cpu_ms: float


def measure(site: Site, plan: Plan, tell: Callable[[str], None]) -> dict[str, list[Figure]]:
    """Ours and the floor in turn under the same load; the load generator is a process of its own."""
    with site.new_database() as url:
        database = {"DATABASE_URL": url}
        tell(f"copying a shop of {PRODUCTS:,} products")
        api, arguments = api_arguments()
        with site.process(arguments, {**database, "CACHE_ENABLED": "false"}) as uncached:
            await_answer(f"{api}/health/ready")
            seller = Seller(api, PRODUCTS)
            with site.process(worker_arguments(), database):
                seller.give_key()
                seller.await_sync()
            # As autovacuum does within a minute; before it, both sides are planned as if the table were nearly empty.
            site.execute(url, "ANALYZE")
            cached_api, arguments = api_arguments()
            floor_port = free_port()
            floor_arguments = ["-m", "benchmarks.floors.listing", str(floor_port), seller.tenant_id]
            with site.process(arguments, database) as cached, site.process(floor_arguments, database) as floor:
                floor_api = f"http://127.0.0.1:{floor_port}"
                await_answer(f"{cached_api}/health/ready")
                await_answer(f"{floor_api}{PATH}")
                _must_agree(floor_api, seller)
                sides = {
                    "products": ((uncached, f"{api}/api/v1{PATH}"), (floor, f"{floor_api}{PATH}")),
                    "products-cached": ((cached, f"{cached_api}/api/v1{PATH}"), (floor, f"{floor_api}/cached")),
                }
                measured = {
                    name: tuple(zip(*(_round(site, name, both, seller.access_token, tell) for _ in range(plan.rounds)), strict=True))
                    for name, both in sides.items()
                }
    return {
        "products": _figures("GET /products?limit=100, no cache", *measured["products"], cpu_aim=1.15, rate_aim=None),
        "products-cached": _figures("GET /products?limit=100, cached", *measured["products-cached"], cpu_aim=None, rate_aim=0.80),
    }


def _round(
    site: Site, name: str, sides: tuple[tuple[int, str], tuple[int, str]], token: str, tell: Callable[[str], None]
) -> tuple[Round, Round]:
    ours, floor = (_load(site, pid, url, token, REQUESTS[name]) for pid, url in sides)
    for who, one in (("ours", ours), ("floor", floor)):
        tell(f"{name}, {who}: {one.load.requests_per_s:,.0f} requests/s, {one.cpu_ms:.2f} ms CPU each, p99 {one.load.p99_ms:.1f} ms")
    return ours, floor


def _load(site: Site, pid: int, url: str, token: str, requests: int) -> Round:
    site.run("benchmarks.load", {}, url, token, str(WARM_REQUESTS), str(CONNECTIONS))
    before = cpu_s(pid)
    load = msgspec.json.decode(site.run("benchmarks.load", {}, url, token, str(requests), str(CONNECTIONS)), type=Load)
    return Round(load, (cpu_s(pid) - before) / requests * 1000)


def _must_agree(floor_api: str, seller: Seller) -> None:
    """The floor is one only if it answers the same."""
    floor, ours = httpx.get(f"{floor_api}{PATH}", trust_env=False).json(), seller.get(PATH)
    if floor["items"] != ours["items"] or not (floor["next_cursor"] and ours["next_cursor"]):
        raise RuntimeError("The floor's document is not ours.")


def _figures(
    work: str, ours: tuple[Round, ...], floor: tuple[Round, ...], *, cpu_aim: float | None, rate_aim: float | None
) -> list[Figure]:
    def both(value: Callable[[Round], float]) -> dict[str, list[float]]:
        return {"ours": [value(one) for one in ours], "floor": [value(one) for one in floor]}

    return [
        Figure(work=f"{work}: API CPU per request", unit="ms", aim=cpu_aim, **both(lambda one: one.cpu_ms)),
        Figure(work=f"{work}: rate", unit="requests/s", aim=rate_aim, more_is_better=True, **both(lambda one: one.load.requests_per_s)),
        Figure(work=f"{work}: p50 of {CONNECTIONS} at once", unit="ms", **both(lambda one: one.load.p50_ms)),
        Figure(work=f"{work}: p99 of {CONNECTIONS} at once", unit="ms", **both(lambda one: one.load.p99_ms)),
    ]
