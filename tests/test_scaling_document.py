"""docs/scaling.md says what benchmarks/scaling.py computes."""

import pytest

from benchmarks.scaling import BEGIN, DOCUMENT, END, LOADS, MEASURED, Load, UnitCosts, markdown, needs


def test_the_document_has_the_tables_that_the_unit_costs_lead_to():
    told = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0].strip()

    assert told == markdown(MEASURED, LOADS), "python -m benchmarks.scaling --write-docs"


def test_the_arithmetic_by_hand():
    costs = UnitCosts(
        worker_ms_per_sync=30.0, postgres_ms_per_sync=6.0, worker_ms_per_1000_products=86.4, rows_per_sync=8, run_bytes_per_sync=3_000,
        event_bytes_per_sync=2_000, wal_bytes_per_sync=10_000, bytes_per_product=1_000, redis_bytes_per_tenant=1_000, redis_bytes_per_reader=100_000, requests_per_sync=7,
    )  # fmt: skip

    needed = needs(
        costs,
        Load(
            tenants=18_000,
            products=100,
            interval_minutes=30,
            changed=0.2,
            retention_days=10,
            unchanged_days=5,
            readers=0.01,
            busy=0.5,
            pool_size=10,
            api_processes=2,
        ),
    )

    # 10 syncs a second; 1.8 million products a day are 1.8 ms of CPU a second.
    assert needed["syncs per second"] == "10.0"
    assert needed["cores of workers"] == "0.6"
    assert needed["cores of PostgreSQL"] == "0.1"
    assert needed["connections to PostgreSQL"] == "36"
    assert needed["rows per day"] == "6.9 million"
    assert needed["stored per day"] == "4.32 GB"
    # A fifth of the runs is there for 10 days, the others for 5: 6 on average; all events for 10.
    assert needed["stored in all, as long as it is kept"] == "32.8 GB"
    assert needed["products and shelves"] == "1.8 GB"
    assert needed["write-ahead log per second"] == "100 kB"
    assert needed["Redis"] == "36 MB"
    assert needed["requests to marketplaces per second"] == "70"


@pytest.mark.parametrize("load", LOADS, ids=lambda load: str(load.tenants))
def test_what_was_not_measured_is_a_dash_and_no_guess(load: Load):
    assert needs(UnitCosts(worker_ms_per_sync=None), load)["cores of workers"] == "–"
