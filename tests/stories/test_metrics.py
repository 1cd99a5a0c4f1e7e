"""What an operator sees of the whole product at work: three kinds of processes, each with figures of its own, and nothing of a seller in any."""

import re
import time
from collections.abc import Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from app.cli.demo import Receiver
from app.events.jobs import DeliverEvents
from app.main import create_app
from app.marketplaces.contract import Marketplace
from app.marketplaces.errors import MarketplaceError
from app.marketplaces.ozon import methods as ozon
from app.marketplaces.wildberries import methods as wildberries
from app.observability.metrics import METHODS
from app.runs.jobs import WakeWorker
from app.runs.tables import RunStatus, Stage, Trigger
from app.settings import load_settings
from app.webhooks.sender import Failure
from tests.cli.commands import free_port
from tests.stories.product import PATIENCE_S, Product

# In all of its processes together. Buckets of histograms are series, too.
MOST_SERIES = 2_000
STAGE_STATUSES = {"pending", "running", "succeeded", "partial", "skipped", "failed"}
STATUS_OF_HTTP = r"[1-5]\d\d|none"


def errors_of(kind: type[MarketplaceError]) -> set[str]:
    return {kind.code}.union(*(errors_of(child) for child in kind.__subclasses__()))


def groups() -> set[str]:
    return {ozon.GROUP} | {method.group for method in vars(wildberries).values() if isinstance(method, wildberries.Method)}


def closed_sets(product: Product) -> dict[str, set[str]]:
    """All that a label may ever say, beside bounds of buckets and statuses of HTTP."""
    routes = create_app(load_settings(product.environment)).routes
    return {
        "route": {route.path_format for route in routes} | {"unmatched"},
        "marketplace": set(Marketplace),
        "stage": set(Stage),
        "trigger": set(Trigger),
        "priority": {"interactive", "api", "scheduled"},
        "policy": {"tenant", "address", "global", "account", "service"},
        "state": {"due", "later", "paused", "undispatched"},
        "group": groups(),
        "host": {product.parts.sandbox.removeprefix("http://")},
        "method": METHODS | {"other"},
        "job": {WakeWorker.name, DeliverEvents.name, "credentials.check"},
        "outcome": {"created", "updated", "unchanged", "archived", "rejected", "ok", "sent", "failed", "delivered", "unsent"}
        | errors_of(MarketplaceError)
        | set(Failure),
        "reason": {"budget", "refusal", "retry", "no_connection", "connection_lost", "refused", "database_unavailable", "fault"},
    }


@pytest.fixture
def worker_metrics(product: Product) -> str:
    """A worker whose metrics begin with this test, and that is the only one; gives their address."""
    product.stop_workers()
    address = f"127.0.0.1:{free_port()}"
    # Short, so that a killed worker is missed soon.
    product.start_worker(METRICS_ADDRESS=address, SYNC_LEASE_S="10")
    url = f"http://{address}/metrics"
    until(lambda: answers(url))
    return url


def test_a_sync_shows_at_the_worker_the_scheduler_and_the_api_and_nothing_of_the_seller_does(product: Product, worker_metrics: str):
    bot = product.seller()
    with Receiver() as receiver:
        secret = bot.hear(receiver, "sync.completed")
        bot.give_key(products=30)
        run = bot.wait_for_sync()
        until(lambda: value(worker_metrics, "stock_tracker_webhook_attempts_total", outcome="delivered"))

    finished = {"marketplace": "wildberries", "trigger": "credentials", "status": "succeeded"}
    products = {"marketplace": "wildberries", "stage": "products"}
    assert run["status"] == "succeeded"
    assert value(worker_metrics, "stock_tracker_run_duration_seconds_count", **finished) == 1
    assert value(worker_metrics, "stock_tracker_rows_total", **products, outcome="created") == 30
    assert value(worker_metrics, "stock_tracker_stages_total", **products, status="succeeded") == 1
    assert value(worker_metrics, "stock_tracker_claims_total", priority="interactive") == 1
    assert value(worker_metrics, "stock_tracker_marketplace_requests_total", marketplace="wildberries", group="content", outcome="ok") > 0
    assert value(worker_metrics, "stock_tracker_worker_places") == 64
    assert value(worker_metrics, "stock_tracker_database_connections_in_use") <= value(worker_metrics, "stock_tracker_database_connections")
    scheduler, api = product.parts.metrics["scheduler"], product.parts.metrics["serve"]
    assert value(scheduler, "stock_tracker_scheduler_tick_duration_seconds_count") > 0
    until(lambda: value(scheduler, "stock_tracker_queue_lag_seconds", priority="interactive") == 0)
    assert value(scheduler, "stock_tracker_circuit_state", host=product.parts.sandbox.removeprefix("http://")) == 0
    posted = {"route": "/api/v1/webhooks", "method": "POST", "status": "201"}
    assert value(api, "stock_tracker_http_requests_total", **posted) > 0

    texts = {url: httpx.get(url, trust_env=False).text for url in (worker_metrics, scheduler, api)}
    for text in texts.values():
        for private in (bot.tenant_id, str(bot.seller_id), run["id"], secret, receiver.url, bot.http.headers["Authorization"].split()[1]):
            assert private not in text
    series = [sample for text in texts.values() for sample in samples(text) if sample.name.startswith("stock_tracker")]
    assert len(series) < MOST_SERIES
    allowed = closed_sets(product)
    assert [sample for sample in series if not is_closed(sample, allowed)] == []


def test_a_run_that_waits_is_lag_and_one_whose_worker_was_killed_is_a_lease_that_ran_out(product: Product, worker_metrics: str):
    scheduler = product.parts.metrics["scheduler"]
    before = value(scheduler, "stock_tracker_leases_expired_total")
    bot = product.seller()
    with product.slow_marketplace(2000):
        bot.give_key(products=30)
        bot.wait_for_sync(lambda run: run["status"] == "running")
        until(lambda: value(worker_metrics, "stock_tracker_worker_runs") == 1)
        product.kill_workers()
        waiting = product.seller()
        waiting.give_key(products=1)

        until(lambda: value(scheduler, "stock_tracker_queue_lag_seconds", priority="interactive") > 1)
        assert value(scheduler, "stock_tracker_queued_runs", priority="interactive", state="due") >= 1
        until(lambda: value(scheduler, "stock_tracker_leases_expired_total") == before + 1)

    product.start_worker()
    assert bot.wait_for_sync()["status"] == waiting.wait_for_sync()["status"] == "succeeded"
    until(lambda: value(scheduler, "stock_tracker_queue_lag_seconds", priority="interactive") == 0)


def is_closed(sample: Sample, allowed: dict[str, set[str]]) -> bool:
    """Whether each of its labels says something that is known before anybody uses the product."""
    said = dict(sample.labels)
    said.pop("le", None)
    status = said.pop("status", "succeeded")
    known = status in STAGE_STATUSES | set(RunStatus) or re.fullmatch(STATUS_OF_HTTP, status) is not None
    return known and all(value in allowed[label] for label, value in said.items())


def samples(text: str) -> list[Sample]:
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def value(url: str, name: str, **labels: str) -> float:
    """0 where there is no such series yet."""
    found = [sample.value for sample in samples(httpx.get(url, trust_env=False).text) if (sample.name, sample.labels) == (name, labels)]
    return found[0] if found else 0.0


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
