"""What the processes hold, and whether a larger shop makes a worker grow."""

from collections.abc import Callable

import msgspec

from benchmarks.figures import Figure
from benchmarks.listing import CONNECTIONS, PATH
from benchmarks.load import Load
from benchmarks.plan import Plan
from benchmarks.seller import Seller, api_arguments, worker_arguments
from benchmarks.site import Site, await_answer
from benchmarks.syncs import PRODUCTS, WARM_PRODUCTS
from benchmarks.usage import pss_mib, watched_pss_mib

LARGE = 200_000
REQUESTS = 3_000
LOOK_EVERY_S = 0.05


def measure(site: Site, _: Plan, tell: Callable[[str], None]) -> dict[str, list[Figure]]:
    """An API and a worker side by side, as they are run; memory needs no rounds."""
    with site.new_database() as url:
        database = {"DATABASE_URL": url}
        api, arguments = api_arguments()
        with site.process(arguments, database) as api_pid, site.process(worker_arguments(), database) as worker_pid:
            await_answer(f"{api}/health/ready")
            api_idle = pss_mib(api_pid)
            with Seller(api, WARM_PRODUCTS) as small:
                small.give_key()
                small.await_sync()
            worker_idle = pss_mib(worker_pid)
            with Seller(api, PRODUCTS) as seller:
                seller.give_key()
                seller.await_sync()
                worker_after = pss_mib(worker_pid)
                load = site.run("benchmarks.load", {}, f"{api}/api/v1{PATH}", seller.access_token, str(REQUESTS), str(CONNECTIONS))
                api_after = pss_mib(api_pid)
            rate = msgspec.json.decode(load, type=Load).requests_per_s
            tell(f"API {api_idle:.0f} MiB idle, {api_after:.0f} after {REQUESTS:,} requests at {rate:,.0f}/s")
            tell(f"worker {worker_idle:.0f} MiB idle, {worker_after:.0f} after a sync of {PRODUCTS:,}; now one of {LARGE:,}")
            with Seller(api, LARGE) as large, watched_pss_mib(worker_pid, LOOK_EVERY_S) as peaks:
                # Orders come by the thousand, whatever the shop; the shop of 10,000 had them.
                large.ask_for("products", "prices", "stocks")
                large.await_sync()
            tell(f"worker {max(peaks):.0f} MiB at most during it")
    return {
        "memory": [
            Figure(work="memory of the API, idle", unit="MiB", ours=[api_idle], aim=67),
            Figure(work=f"memory of the API after {REQUESTS:,} requests", unit="MiB", ours=[api_after]),
            Figure(work="memory of a worker, idle", unit="MiB", ours=[worker_idle]),
            Figure(work=f"memory of a worker after a sync of {PRODUCTS:,}", unit="MiB", ours=[worker_after], aim=115),
            Figure(work=f"growth of that worker, at most, in a sync of {LARGE:,}", unit="MiB", ours=[max(peaks) - worker_after], aim=16),
        ]
    }
