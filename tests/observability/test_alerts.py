"""docs/alerts.yaml is a file of rules as Prometheus documents it, about metrics that exist, and the handbook says what to do about each."""

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta
from prometheus_client import Counter, Gauge, Histogram

import workers.sync as sync_tasks
from app.marketplaces.errors import MethodGone, UnexpectedResponse
from app.observability.metrics import registry
from app.runs.tables import RunStatus
from workers.gauges import PRIORITIES

DOCS = Path(__file__).parents[2] / "docs"
OPERATIONS = (DOCS / "operations.md").read_text()

Duration = Annotated[str, Meta(pattern=r"^(\d+(ms|[smhdwy]))+$")]


class Labels(msgspec.Struct, forbid_unknown_fields=True):
    severity: Literal["page", "ticket"]


class Annotations(msgspec.Struct, forbid_unknown_fields=True):
    summary: str


class Alert(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`<rule>` of https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/, as far as alerts go."""

    alert: Annotated[str, Meta(pattern=r"^[A-Z]\w+$")]
    expr: str
    for_: Duration = msgspec.field(name="for", default="0s")
    labels: Labels
    annotations: Annotations


class Group(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    rules: list[Alert]


class RuleFile(msgspec.Struct, forbid_unknown_fields=True):
    groups: list[Group]


ALERTS = {
    rule.alert: rule for group in msgspec.yaml.decode((DOCS / "alerts.yaml").read_bytes(), type=RuleFile).groups for rule in group.rules
}

# What a matcher may ask for, where a typing error would otherwise be silence for ever.
VALUES = {
    "priority": set(PRIORITIES),
    "status": set(RunStatus),
    "reason": {"no_connection", "connection_lost", "refused", "fault"},
    "outcome": {"failed", MethodGone.code, UnexpectedResponse.code},
}
SUFFIXES = {Counter: ("_total",), Gauge: ("",), Histogram: ("_bucket", "_count", "_sum")}


def labels_of_series() -> dict[str, set[str]]:
    """The label names of each series that the product can tell, by its name."""
    series: dict[str, set[str]] = {}
    # The registry lists no labels of a metric that has not happened yet.
    for metric in set(registry._collector_to_names):
        for suffix in SUFFIXES.get(type(metric), ()):
            series[metric._name + suffix] = set(metric._labelnames)
    return series


def test_each_alert_has_a_name_of_its_own():
    assert len(ALERTS) == len(re.findall(r"^ *- alert:", (DOCS / "alerts.yaml").read_text(), re.MULTILINE)) > 10


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_an_alert_asks_for_series_and_labels_that_exist(alert: Alert):
    known = labels_of_series()

    selectors = re.findall(r"(stock_tracker_\w+)(?:\{([^}]*)\})?", alert.expr)
    grouped = {label.strip() for labels in re.findall(r"\bby \(([^)]*)\)", alert.expr) for label in labels.split(",")}
    told = set(re.findall(r"\$labels\.(\w+)", alert.annotations.summary))

    assert selectors
    assert alert.expr.count("(") == alert.expr.count(")")
    for name, matchers in selectors:
        assert name in known
        assert grouped <= known[name]
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', matchers):
            assert label in known[name]
            assert set(values.split("|")) <= VALUES[label]
    assert told <= grouped


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_counters_are_asked_for_their_increase_and_gauges_for_what_they_are(alert: Alert):
    for name in re.findall(r"stock_tracker_\w+", alert.expr):
        increases = re.search(rf"\b(?:increase|rate)\({name}(?:\{{[^}}]*\}})?\[\w+\]\)", alert.expr) is not None

        assert increases == name.endswith(("_total", "_count"))


def test_the_handbook_says_what_to_do_about_each_alert_and_about_no_other():
    [rows] = re.findall(r"^\| alert \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", OPERATIONS, re.MULTILINE)

    assert re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE) == list(ALERTS)
    assert "(alerts.yaml)" in OPERATIONS


@pytest.mark.parametrize("marketplace", ["wildberries", "ozon"])
def test_the_first_dead_run_of_a_worker_is_an_increase(marketplace: str):
    """A series that appears with its first event was never seen at nought, so that Prometheus sees no increase."""
    assert sync_tasks.runner
    assert registry.get_sample_value("stock_tracker_dead_runs_total", {"marketplace": marketplace}) is not None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stock_tracker_scheduler_faults_total", "fault"),
        ("stock_tracker_database_unavailable_total", "no_connection"),
        ("stock_tracker_database_unavailable_total", "connection_lost"),
        ("stock_tracker_database_unavailable_total", "refused"),
    ],
)
def test_the_first_fault_of_a_process_is_an_increase(name: str, reason: str):
    assert registry.get_sample_value(name, {"reason": reason}) is not None
