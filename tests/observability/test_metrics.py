"""The metrics are those that the document names, and nothing in them is anybody's."""

import re
from pathlib import Path
from uuid import UUID

import pytest
from prometheus_client import generate_latest

from app.database import system_scope
from app.marketplaces.contract import Marketplace
from app.observability.metrics import registry
from app.runs.pauses import pause_syncs, resume_syncs
from app.runs.tables import RunStatus, Stage, Trigger
from app.settings import get_settings
from tests.application import Shop
from tests.factories import claimed, create_run, create_tenant
from workers.gauges import PRIORITIES, STATES, Gauges

pytestmark = pytest.mark.anyio

DOCUMENT = Path(__file__).parents[2] / "docs/metrics.md"
MOST_SERIES = 2_000
CLOSED = {"marketplace": set(Marketplace), "stage": set(Stage), "trigger": set(Trigger), "priority": set(PRIORITIES)}


def value(name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_the_document_names_each_metric_with_its_kind_and_meaning():
    told = {tuple(row) for row in re.findall(r"^\| `(stock_tracker_\w+)` \| (\w+) \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)}

    there = {
        (metric.name + ("_total" if metric.type == "counter" else ""), metric.type, metric.documentation)
        for metric in registry.collect()
        if metric.name.startswith("stock_tracker")
    }

    assert told == there


def test_alerts_and_text_name_only_metrics_that_exist():
    samples = {metric.name + ("_total" if metric.type == "counter" else "") for metric in registry.collect()}

    assert set(re.findall(r"stock_tracker_\w+", DOCUMENT.read_text())) <= samples


async def test_the_queue_is_told_as_it_is(clean_database):
    gauges = Gauges(get_settings())
    held_up, late = await create_tenant(), await create_tenant()
    await create_run(late, Trigger.SCHEDULE)
    await create_run(held_up)
    waiting = await claimed(await create_tenant())
    await waiting.put_back(waiting.length)
    await claimed(await create_tenant())
    async with system_scope() as connection:
        await connection.execute("UPDATE sync_runs SET not_before = now() - interval '90 s' WHERE tenant_id = $1", late)
    await pause_syncs(held_up, None, "")

    await gauges.look()
    await gauges.aclose()

    assert value("stock_tracker_queued_runs", priority="scheduled", state="due") == 1
    assert value("stock_tracker_queued_runs", priority="interactive", state="paused") == 1
    assert value("stock_tracker_queued_runs", priority="interactive", state="later") == 1
    assert value("stock_tracker_queued_runs", priority="interactive", state="due") == 0
    assert value("stock_tracker_queue_lag_seconds", priority="scheduled") == pytest.approx(90, abs=10)
    assert value("stock_tracker_queue_lag_seconds", priority="interactive") == 0
    assert value("stock_tracker_running_runs", marketplace="wildberries") == 1
    assert value("stock_tracker_pauses") == 1
    await resume_syncs(held_up, None)


async def test_work_shows_in_closed_labels_and_nothing_of_a_seller_does(shop: Shop):
    before = value("stock_tracker_run_duration_seconds_count", marketplace="wildberries", trigger="credentials", status="succeeded") or 0.0
    # Other tests of this process ask marketplaces that don't exist.
    of_others = {(sample.name, *sorted(sample.labels.items())) for metric in registry.collect() for sample in metric.samples}
    await shop.give_key()
    await shop.sync()

    exposed = generate_latest(registry).decode()
    series = [sample for metric in registry.collect() for sample in metric.samples if metric.name.startswith("stock_tracker")]

    after = value("stock_tracker_run_duration_seconds_count", marketplace="wildberries", trigger="credentials", status="succeeded")
    assert after == before + 1
    assert len(series) < MOST_SERIES
    for sample in series:
        if (sample.name, *sorted(sample.labels.items())) in of_others:
            continue
        for label, allowed in CLOSED.items():
            if label in sample.labels:
                assert sample.labels[label] in allowed, sample
        if sample.name.startswith("stock_tracker_run_duration"):
            assert sample.labels["status"] in set(RunStatus), sample
        if sample.name == "stock_tracker_queued_runs":
            assert sample.labels["state"] in STATES, sample
    for secret in (str(shop.tenant_id), str(shop.seller_id), shop.key(products=5), shop.access_token):
        assert secret not in exposed
    assert not [sample for sample in series for text in sample.labels.values() if _is_uuid(text)]


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
