"""The sandbox runs as a process of its own, and ends when told."""

import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from app.errors import StartRefused
from app.sandbox.clock import Clock
from app.sandbox.main import create_sandbox, run, serve_in_thread

CHILD = "from app.sandbox.main import run; run('127.0.0.1', 0, on_listening=lambda url: print(url, flush=True))"


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_as_a_process_and_ends_at_a_signal_without_a_word(stop: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            url = child.stdout.readline().strip()

            answer = httpx.get(f"{url}/sandbox")
            child.send_signal(stop)
            _, complaints = child.communicate(timeout=10)
        finally:
            child.kill()

    assert answer.status_code == 200
    assert answer.json()["limits"] is True
    assert complaints == ""


def test_a_taken_port_is_refused_by_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(StartRefused, match=f"127.0.0.1:{port}"):
            run("127.0.0.1", port)


def test_several_serve_side_by_side_each_with_its_own_memory() -> None:
    with serve_in_thread(create_sandbox(default_products=3)) as first, serve_in_thread(create_sandbox(limits=False)) as second:
        behaviours = [httpx.get(f"{url}/sandbox").json() for url in (first, second)]

    assert [behaviour["default_products"] for behaviour in behaviours] == [3, 25]
    assert [behaviour["limits"] for behaviour in behaviours] == [True, False]


def test_a_clock_may_be_handed_in() -> None:
    clock = Clock()
    clock.advance(86400)

    with serve_in_thread(create_sandbox(clock=clock)) as url:
        now = httpx.get(f"{url}/sandbox").json()["now"]

    assert now[:16] == clock.now().isoformat()[:16]


def test_nothing_of_it_imports_the_product() -> None:
    listing = (
        "import sys, app.sandbox.main; "
        "print(*sorted(name for name in sys.modules if name.startswith(('app.', 'workers', 'piccolo', 'asyncpg', 'redis'))))"
    )

    loaded = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True, env=os.environ).stdout.split()

    assert {name for name in loaded if not name.startswith("app.sandbox")} <= {"app.errors", "app.secret"}
