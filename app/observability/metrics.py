"""All metrics of the product, in one place. docs/metrics.md says what an operator does with them.

Units are Prometheus's base units: seconds, and counts whose names end in `_total`. Every label takes its values from a closed set: from our enums, from the
table of a marketplace's methods, from the settings' hosts, from the routes. Never a tenant, a run, a URL or the text of an error, so the number of series has a
bound, and nothing in them is anybody's secret. tests/observability/test_metrics.py and tests/stories/test_metrics.py hold all of this to the truth.
"""

from collections.abc import Generator
from contextlib import contextmanager
from time import perf_counter
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

# An instant of birth beside each counter would double the number of series; nobody asks for it.
disable_created_metrics()

registry: Final = CollectorRegistry()
"""Of this process. With several processes at one address see app.observability.exposition."""

ProcessCollector(registry=registry)
PlatformCollector(registry=registry)
GCCollector(registry=registry)

QUICK_S: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CALLS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
LONG_S: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0)
"""Upper bounds of the buckets, in seconds: what a caller waits for, one call over the network, and a piece of work."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# The queue, as PostgreSQL has it: any number of schedulers say the same. workers/gauges.py looks.
queue_lag = Gauge(
    "stock_tracker_queue_lag_seconds",
    "Now minus the due time of the oldest run that is due and that no worker has claimed; 0 where none waits. What an operator holds up is left out.",
    ["priority"],
    registry=registry,
    multiprocess_mode="mostrecent",
)
queued_runs = Gauge(
    "stock_tracker_queued_runs",
    "Runs in the queue: due, later (a marketplace asked for patience), or paused by an operator.",
    ["priority", "state"],
    registry=registry,
    multiprocess_mode="mostrecent",
)
running_runs = Gauge(
    "stock_tracker_running_runs",
    "Runs that a worker has, or had when it fell silent.",
    ["marketplace"],
    registry=registry,
    multiprocess_mode="mostrecent",
)
overdue_tenants = Gauge(
    "stock_tracker_overdue_tenants",
    "Tenants whose turn has come and that no scheduler has queued yet; those whose syncs are paused stay here.",
    registry=registry,
    multiprocess_mode="mostrecent",
)
pauses = Gauge(
    "stock_tracker_pauses",
    "Pauses of syncs in force: of a tenant, of a marketplace, or of all.",
    registry=registry,
    multiprocess_mode="mostrecent",
)
webhook_backlog = Gauge(
    "stock_tracker_webhook_backlog",
    "Deliveries that are due, or later (a retry); and events of which no delivery was made yet. Counted up to 100,000 each.",
    ["state"],
    registry=registry,
    multiprocess_mode="mostrecent",
)
webhook_lag = Gauge(
    "stock_tracker_webhook_lag_seconds",
    "Now minus the due time of the oldest delivery that is due; 0 where none waits.",
    registry=registry,
    multiprocess_mode="mostrecent",
)
looked_at = Gauge(
    "stock_tracker_queue_looked_at_timestamp_seconds",
    "When a scheduler last read the figures above from the database, in seconds since 1970; 0 in a process that is no scheduler.",
    registry=registry,
    multiprocess_mode="mostrecent",
)
circuit_state = Gauge(
    "stock_tracker_circuit_state",
    "Whether all workers leave a marketplace's host alone: 0 closed (in use), 1 open (left alone), 2 half open (one call at a time). Nothing while Redis is away.",
    ["host"],
    registry=registry,
    multiprocess_mode="mostrecent",
)

# The scheduler.
tick_duration = Histogram(
    "stock_tracker_scheduler_tick_duration_seconds",
    "How long one look of the scheduler took, of which there is one a second; the count is that of the looks.",
    buckets=QUICK_S,
    registry=registry,
)
scheduler_faults = Counter(
    "stock_tracker_scheduler_faults_total",
    "Parts of the scheduler's work that failed by a fault of ours, with a trace in the log; or that the database was away for.",
    ["reason"],
    registry=registry,
)
tenants_queued = Counter("stock_tracker_tenants_queued_total", "Tenants whose turn had come, and that were queued.", registry=registry)
leases_expired = Counter(
    "stock_tracker_leases_expired_total",
    "Runs that went back to the queue because their worker fell silent: it was killed, hung, or had lost the database.",
    registry=registry,
)

# The workers.
worker_places = Gauge(
    "stock_tracker_worker_places", "Runs that can be carried out at once.", registry=registry, multiprocess_mode="livesum"
)
worker_runs = Gauge("stock_tracker_worker_runs", "Runs that are being carried out now.", registry=registry, multiprocess_mode="livesum")
claims = Counter("stock_tracker_claims_total", "Runs that a worker took out of the queue.", ["priority"], registry=registry)
claim_delay = Histogram(
    "stock_tracker_claim_delay_seconds",
    "From when a run was due to when a worker took it: what a seller feels. A pause by an operator counts too.",
    ["priority"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0),
    registry=registry,
)
leases_lost = Counter(
    "stock_tracker_leases_lost_total",
    "Runs that a worker had to drop without writing, because it had them no more: it was silent for too long, or the run was cancelled or paused.",
    registry=registry,
)
heartbeats_missed = Counter(
    "stock_tracker_heartbeats_missed_total", "Renewals of a lease that failed, since the database was away.", registry=registry
)
dead_runs = Counter(
    "stock_tracker_dead_runs_total",
    "Runs that ended as `crashed`: three workers fell silent while they had them.",
    ["marketplace"],
    registry=registry,
)
run_duration = Histogram(
    "stock_tracker_run_duration_seconds",
    "From a run's first start to its end, waits in the queue in between included, pauses not.",
    ["marketplace", "trigger", "status"],
    buckets=LONG_S,
    registry=registry,
)
stage_duration = Histogram(
    "stock_tracker_stage_duration_seconds",
    "How long a worker was at a stage of a run, waits for limits included.",
    ["marketplace", "stage"],
    buckets=LONG_S,
    registry=registry,
)
stages = Counter(
    "stock_tracker_stages_total", "How stages ended; `pending` ones go on later.", ["marketplace", "stage", "status"], registry=registry
)
rows_fetched = Counter("stock_tracker_rows_fetched_total", "Items that a marketplace gave.", ["marketplace", "stage"], registry=registry)
rows = Counter(
    "stock_tracker_rows_total",
    "What became of items: created, updated, unchanged, archived, rejected (not understood).",
    ["marketplace", "stage", "outcome"],
    registry=registry,
)

# Calls to the marketplaces, by the group of methods that shares a limit.
marketplace_requests = Counter(
    "stock_tracker_marketplace_requests_total",
    "Calls to the marketplaces, each attempt by itself: `ok`, or the code of what was wrong.",
    ["marketplace", "group", "outcome"],
    registry=registry,
)
marketplace_request_duration = Histogram(
    "stock_tracker_marketplace_request_duration_seconds",
    "How long a call took, its whole answer and reading it included, the wait for limits not.",
    ["marketplace", "group"],
    buckets=CALLS_S,
    registry=registry,
)
marketplace_wait = Counter(
    "stock_tracker_marketplace_wait_seconds_total",
    "Seconds waited before calls: for our own `budget`, because of a `refusal` (429), or before a `retry`.",
    ["marketplace", "group", "reason"],
    registry=registry,
)
marketplace_postponed = Counter(
    "stock_tracker_marketplace_postponed_total",
    "Calls that were given up because their wait would have been too long to sit out: the run goes on later.",
    ["marketplace", "group"],
    registry=registry,
)
circuit_openings = Counter(
    "stock_tracker_circuit_openings_total",
    "How often this worker found that a host fails for everybody, and told all workers to leave it alone.",
    ["host"],
    registry=registry,
)
local_limits = Counter(
    "stock_tracker_local_limits_total",
    "Turns at a marketplace that were taken from this process's own budget, because Redis was away.",
    registry=registry,
)

# Webhooks.
webhook_attempts = Counter(
    "stock_tracker_webhook_attempts_total",
    "Attempts to deliver an event: `delivered`, or why not; `unsent` where nothing was to be sent (endpoint disabled, event too old, secret unreadable).",
    ["outcome"],
    registry=registry,
)
webhook_attempt_duration = Histogram(
    "stock_tracker_webhook_attempt_duration_seconds",
    "How long receivers took, from the look-up of their name to the end of their answer.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0),
    registry=registry,
)
webhook_endpoints_disabled = Counter(
    "stock_tracker_webhook_endpoints_disabled_total",
    "Endpoints that were switched off, since they are gone or have failed for days.",
    registry=registry,
)

# What everything stands on.
doorbells = Counter(
    "stock_tracker_doorbells_total",
    "Messages that wake a worker: sent, or failed because Redis was away (the scheduler makes up for those).",
    ["job", "outcome"],
    registry=registry,
)
database_connections = Gauge(
    "stock_tracker_database_connections", "Open connections of the pool.", registry=registry, multiprocess_mode="livesum"
)
database_connections_in_use = Gauge(
    "stock_tracker_database_connections_in_use",
    "Connections of the pool with a transaction on them.",
    registry=registry,
    multiprocess_mode="livesum",
)
database_wait = Histogram(
    "stock_tracker_database_connection_wait_seconds",
    "How long a transaction waited for a connection of the pool.",
    buckets=QUICK_S,
    registry=registry,
)
requests_rate_limited = Counter(
    "stock_tracker_requests_rate_limited_total",
    "Requests that were refused with 429, by what was used up: the window of a tenant, of a service key, of an address or of all together, or the tries of an account.",
    ["policy"],
    registry=registry,
)
rate_limits_local = Counter(
    "stock_tracker_rate_limits_local_total",
    "Requests whose limits one process decided alone, since Redis had no answer.",
    registry=registry,
)
database_unavailable = Counter(
    "stock_tracker_database_unavailable_total",
    "Transactions that failed because the database was away (`no_connection`, `connection_lost`) or could not do it at present (`refused`).",
    ["reason"],
    registry=registry,
)

# The API.
http_requests = Counter(
    "stock_tracker_http_requests_total",
    "Requests of the API by the route's template (`unmatched`: none) and status (`none`: the caller went away before the answer).",
    ["route", "method", "status"],
    registry=registry,
)
http_request_duration = Histogram(
    "stock_tracker_http_request_duration_seconds",
    "How long requests of the API took, to the end of the answer.",
    ["route", "method"],
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
    registry=registry,
)


# Prometheus sees no increase in a series that appears with its first event, and alerts ask for these: so they are there from the start, at nought. What is told
# of dead runs begins in workers/sync.py, which knows the marketplaces.
for _reason in ("database_unavailable", "fault"):
    scheduler_faults.labels(_reason)
for _reason in ("no_connection", "connection_lost", "refused"):
    database_unavailable.labels(_reason)


def priority_of(number: int) -> str:
    """The name of a run's priority: lower is sooner. `interactive`: somebody waits; `api`: a program asked; `scheduled`: its turn had come."""
    if number < 5:
        return "interactive"
    return "api" if number < 10 else "scheduled"


def marketplace_of(account: str) -> str:
    """Who an account's budget is at: it is named for its marketplace, a colon, and the account."""
    return account.partition(":")[0]


@contextmanager
def timing(histogram: Histogram) -> Generator[None]:
    """Observe how long the body takes, also where it fails."""
    began = perf_counter()
    try:
        yield
    finally:
        histogram.observe(perf_counter() - began)
