"""What it costs to know who calls, whether the session lives, and whether the request is one too many; and whether sign-ins hold others up."""

import subprocess
import sys
from collections.abc import Callable

import msgspec

from benchmarks.figures import Figure
from benchmarks.load import Load
from benchmarks.plan import Plan
from benchmarks.seller import Seller, api_arguments
from benchmarks.site import ROOT, Site, await_answer, free_port
from benchmarks.usage import cpu_s

CONNECTIONS, REQUESTS, WARM_REQUESTS = 16, 6_000, 500
AIM = 1.15
SIGN_INS, BESIDE_REQUESTS = 20, 400
P99_AIM_MS = 50.0
# Of everything but the sign-ins: high enough to refuse nothing here, so that all is counted.
LIMITS = {"RATE_LIMIT_TENANT_PER_MINUTE": "10000000", "RATE_LIMIT_GLOBAL_PER_MINUTE": "10000000", "RATE_LIMIT_AUTH_PER_MINUTE": "0"}


def measure(site: Site, plan: Plan, tell: Callable[[str], None]) -> dict[str, list[Figure]]:
    """The same empty handler, and `GET /tenants/me`, with and without; then one API process while twenty people sign in."""
    with site.new_database() as url:
        environment = {"DATABASE_URL": url, **LIMITS}
        api, arguments = api_arguments()
        port = free_port()
        empty = f"http://127.0.0.1:{port}"
        with (
            site.process(arguments, environment) as serving,
            site.process(["-m", "benchmarks.ours.admission", str(port)], environment) as empties,
        ):
            await_answer(f"{api}/health/ready")
            await_answer(f"{empty}/bare")
            seller = Seller(api, 1)
            admitted, bare, tenant = list[float](), list[float](), list[float]()
            for _ in range(plan.rounds):
                admitted.append(_cpu_ms(site, empties, f"{empty}/admitted", seller.access_token))
                bare.append(_cpu_ms(site, empties, f"{empty}/bare", seller.access_token))
                tenant.append(_cpu_ms(site, serving, f"{api}/api/v1/tenants/me", seller.access_token))
                tell(f"admission: {admitted[-1]:.3f} ms, bare {bare[-1]:.3f} ms, GET /tenants/me {tenant[-1]:.3f} ms of CPU per request")
            beside = [_beside_sign_ins(site, api, seller) for _ in range(plan.rounds)]
            tell(f"beside {SIGN_INS} sign-ins: p99 {', '.join(f'{load.p99_ms:.1f}' for load in beside)} ms")
    cost = [one - other for one, other in zip(admitted, bare, strict=True)]
    return {
        "admission": [
            Figure(work="an empty handler behind authentication, revocation, limits and guard: CPU", unit="ms", ours=admitted, floor=bare, aim=AIM),
            Figure(
                work="GET /tenants/me with all of that, beside it without: CPU", unit="ms", ours=tenant,
                floor=[whole - part for whole, part in zip(tenant, cost, strict=True)], aim=AIM,
            ),
            Figure(
                work=f"other requests while {SIGN_INS} people sign in at once: p99", unit="ms", ours=[load.p99_ms for load in beside], aim=P99_AIM_MS
            ),
        ]
    }  # fmt: skip


def _cpu_ms(site: Site, pid: int, url: str, token: str) -> float:
    site.run("benchmarks.load", {}, url, token, str(WARM_REQUESTS), str(CONNECTIONS))
    before = cpu_s(pid)
    site.run("benchmarks.load", {}, url, token, str(REQUESTS), str(CONNECTIONS))
    return (cpu_s(pid) - before) / REQUESTS * 1000


def _beside_sign_ins(site: Site, api: str, seller: Seller) -> Load:
    """The load of one caller, one request after the other, while twenty wrong passwords are looked at."""
    sign_ins = subprocess.Popen([sys.executable, "-m", "benchmarks.ours.sign_ins", api, str(SIGN_INS)], cwd=ROOT)
    try:
        measured = site.run("benchmarks.load", {}, f"{api}/api/v1/tenants/me", seller.access_token, str(BESIDE_REQUESTS), "1")
    finally:
        sign_ins.terminate()
        sign_ins.wait()
    return msgspec.json.decode(measured, type=Load)
