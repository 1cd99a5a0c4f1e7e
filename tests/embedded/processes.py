"""What /proc tells about the servers of a folder. They work inside it, and so do all processes that they make."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

LISTENING = "0A"
needs_proc = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="processes are counted in /proc, which is Linux's")


def processes_in(folder: Path) -> set[int]:
    """The living processes whose working folder it is."""
    found: set[int] = set()
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit() and (process / "cwd").samefile(folder):
                found.add(int(process.name))
    return found


def listens_on_tcp(pid: int) -> bool:
    sockets = set[str]()
    with suppress(OSError):  # it ended meanwhile
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                sockets.add(str(descriptor.readlink()))
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    return any(row[3] == LISTENING and f"socket:[{row[9]}]" in sockets for row in rows)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not become so"
        time.sleep(0.005)
