"""`stock-tracker dev` starts everything, and however it ends, nothing of it stays behind."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.commands import children_of, processes_about, read_until, running
from tests.embedded.processes import eventually, needs_proc

pytestmark = needs_proc


@pytest.fixture
def folder() -> Iterator[Path]:
    """In a short path, since a socket's may have a hundred characters."""
    with tempfile.TemporaryDirectory(prefix="st-dev-") as name:
        yield Path(name)


def test_ctrl_c_stops_everything_and_a_kill_leaves_nothing_that_hinders_the_next_start(environment: dict[str, str], folder: Path):
    alone = {name: value for name, value in environment.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    alone |= {"DATA_DIR": str(folder), "METRICS_ADDRESS": ""}

    with running(alone, "dev", "--port", "0") as killed:
        read_until(killed, "Stock Tracker is running.")
        assert len(children_of(killed.pid)) >= 4
        killed.kill()
        eventually(lambda: not processes_about(folder))

    with running(alone, "dev", "--port", "0") as stopped:
        said = read_until(stopped, "health/ready")
        address = next(word for word in said.split() if word.endswith("/health/ready"))
        assert httpx.get(address, trust_env=False).json()["status"] == "ok"
        os.killpg(stopped.pid, signal.SIGINT)
        assert stopped.stdout is not None
        rest = stopped.stdout.read()
        assert stopped.wait(20) == 0, rest
        assert "Traceback" not in said + rest
        assert processes_about(folder) == set()
