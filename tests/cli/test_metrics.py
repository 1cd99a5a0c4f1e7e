"""One command with several processes has one address of metrics, which shows their sum."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.cli.commands import children_of, free_port, read_until, running
from tests.cli.test_serve import answers
from tests.embedded.processes import eventually, needs_proc


def figure(url: str, series: str) -> float:
    try:
        lines = httpx.get(url, trust_env=False).text.splitlines()
    except httpx.TransportError:
        return 0.0
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} "))


def shows(url: str, series: str, value: float) -> Callable[[], bool]:
    return lambda: figure(url, series) == value


@needs_proc
def test_workers_tell_their_sum_and_one_that_was_killed_is_replaced_and_no_part_of_what_is_now(environment: dict[str, str], tmp_path: Path):
    address = f"127.0.0.1:{free_port()}"
    url = f"http://{address}/metrics"

    with running(
        environment | {"METRICS_ADDRESS": address, "TMPDIR": str(tmp_path)}, "worker", "--processes", "2", "--concurrency", "10"
    ) as working:
        read_until(working, "worker.started", 2)
        eventually(shows(url, "stock_tracker_worker_places", 20))
        waited = figure(url, "stock_tracker_database_connection_wait_seconds_count")
        killed = min(children_of(working.pid))
        os.kill(killed, signal.SIGKILL)
        said = read_until(working, "worker.started")
        eventually(shows(url, "stock_tracker_worker_places", 20))

        assert f'"pid":{killed}' in said
        assert len(children_of(working.pid) - {killed}) == 2
        assert figure(url, "stock_tracker_database_connection_wait_seconds_count") >= waited > 0
        working.send_signal(signal.SIGTERM)
        assert working.stdout is not None
        working.stdout.read()
        working.wait(20)

    assert list(tmp_path.glob("stock-tracker-metrics-*")) == []


@needs_proc
def test_two_processes_of_the_api_count_requests_together(environment: dict[str, str]):
    port, address = free_port(), f"127.0.0.1:{free_port()}"
    health = f"http://127.0.0.1:{port}/health"
    series = 'stock_tracker_http_requests_total{method="GET",route="/health/live",status="200"}'

    with running(environment | {"METRICS_ADDRESS": address}, "serve", "--workers", "2", "--port", str(port)) as serving:
        eventually(lambda: answers(f"{health}/ready"))
        for _ in range(40):
            # A new connection each time, so that both get some.
            assert answers(f"{health}/live")

        eventually(shows(f"http://{address}/metrics", series, 40))
        serving.send_signal(signal.SIGTERM)
        assert serving.stdout is not None
        said = serving.stdout.read()

    assert "metrics.address_taken" not in said
    assert "Traceback" not in said
