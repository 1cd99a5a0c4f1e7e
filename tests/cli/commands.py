"""The command as an operator runs it."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "app.cli.main")


def run(environment: dict[str, str], *arguments: str, root: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *arguments], cwd=root, env=environment, capture_output=True, text=True, timeout=40, check=False)


@contextmanager
def running(environment: dict[str, str], *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that stays, in a group of its own, as a shell starts one; both outputs come through `stdout`."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        with process:
            try:
                yield process
            finally:
                process.kill()
    finally:
        process.wait()


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """An API process, and its address; wait `until_ready`."""
    port = free_port()
    with running(environment, "serve", "--port", str(port)) as process:
        yield process, f"http://127.0.0.1:{port}"


async def until_ready(api: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                if (await api.get(api.base_url.copy_with(path="/health/ready"))).is_success:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read_until(process: "subprocess.Popen[str]", words: str, times: int = 1) -> str:
    """What it prints up to the line with the words."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if said.count(words) == times:
            return said
    raise AssertionError(f"it ended without {words!r}:\n{said}")


def children_of(pid: int) -> set[int]:
    """All that it started, and what those started."""
    with suppress(OSError):
        children = {int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()}
        return children.union(*(children_of(child) for child in children))
    return set()


def processes_about(folder: Path) -> set[int]:
    """The living processes that were told of the folder, or that work in it."""
    found: set[int] = set()
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if not process.name.isdigit() or (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
            told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes() + bytes((process / "cwd").readlink())
            if bytes(folder) in told:
                found.add(int(process.name))
    return found
