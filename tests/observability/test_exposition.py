"""Where metrics are asked for: one path, beside the process's work and never in its way."""

import http.client
import socket
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import structlog

from app.errors import StartRefused
from app.observability import exposition
from app.observability.exposition import serving_metrics

LOOPBACK = "127.0.0.1"


class Settings(msgspec.Struct, frozen=True):
    metrics_address: tuple[str, int | None] | None


def ask(port: int, method: str = "GET", path: str = "/metrics") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def port_of(said: list[Any]) -> int:
    [url] = [entry["url"] for entry in said if entry["event"] == "metrics.served"]
    return int(url.removesuffix("/metrics").rpartition(":")[2])


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_a_free_port_is_taken_and_told_and_given_back():
    with structlog.testing.capture_logs() as said, serving_metrics(Settings((LOOPBACK, 0)), "worker"):
        port = port_of(said)
        status, body = ask(port)

    assert status == 200
    assert b"\nstock_tracker_worker_places " in body
    assert b"\nprocess_resident_memory_bytes " in body
    with pytest.raises(ConnectionRefusedError):
        ask(port)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/metrics/", 404), ("GET", "/favicon.ico", 404), ("POST", "/metrics", 405), ("HEAD", "/metrics", 405),
     ("OPTIONS", "/metrics", 405), ("NONSENSE", "/metrics", 405)],
)  # fmt: skip
def test_nothing_else_is_answered_with_anything(method: str, path: str, status: int):
    with structlog.testing.capture_logs() as said, serving_metrics(Settings((LOOPBACK, 0)), "worker"):
        answer = ask(port_of(said), method, path)

    assert answer == (status, b"")


def test_who_connects_and_says_nothing_keeps_nobody_else_waiting():
    with (
        structlog.testing.capture_logs() as said,
        serving_metrics(Settings((LOOPBACK, 0)), "worker"),
        socket.create_connection((LOOPBACK, port_of(said))),
    ):
        began = time.monotonic()
        status, _ = ask(port_of(said))
        took_s = time.monotonic() - began

    assert status == 200
    assert took_s < exposition.LONGEST_REQUEST_S / 2


def test_a_taken_address_is_said_once_stops_nothing_and_is_taken_over_when_it_is_free(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exposition, "TRY_AGAIN_S", 0.02)
    with structlog.testing.capture_logs() as said:
        with socket.socket() as other:
            other.bind((LOOPBACK, 0))
            other.listen()
            port = other.getsockname()[1]
            second = serving_metrics(Settings((LOOPBACK, port)), "worker")
            second.__enter__()
            time.sleep(0.2)  # ten attempts
            while_taken = list(said)
        until(lambda: len(said) > len(while_taken))
        status, _ = ask(port)
        second.__exit__(None, None, None)

    assert [(entry["event"], entry["address"]) for entry in while_taken] == [("metrics.address_taken", f"{LOOPBACK}:{port}")]
    assert said[-1]["event"] == "metrics.served"
    assert status == 200


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_an_address_that_is_not_this_machines_stops_the_start(host: str):
    with pytest.raises(StartRefused, match=r"^METRICS_ADDRESS: "), serving_metrics(Settings((host, 0)), "worker"):
        pass


def test_switched_off_nothing_listens():
    with structlog.testing.capture_logs() as said, serving_metrics(Settings(None), "worker"):
        pass

    assert said == []
