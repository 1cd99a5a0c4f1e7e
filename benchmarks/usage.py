"""What a process has used, as the kernel counts it."""

import os
import re
import resource
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Used(msgspec.Struct, frozen=True):
    """What a piece of work cost. `cpu_s` is user and system time of all threads; `pss_mib` is what the process holds after it."""

    wall_s: float
    cpu_s: float
    pss_mib: float
    idle_pss_mib: float = 0.0


class Meter:
    """Measures this very process from now on."""

    def __init__(self) -> None:
        self.pss_mib = pss_mib(os.getpid())
        self._wall_s, self._cpu_s = time.perf_counter(), _own_cpu_s()

    def read(self) -> Used:
        wall_s, cpu_s = time.perf_counter() - self._wall_s, _own_cpu_s() - self._cpu_s
        return Used(wall_s, cpu_s, pss_mib(os.getpid()))


def report(used: Used, *, idle_pss_mib: float) -> None:
    """Tell the process that started this one, as the last line of the output."""
    sys.stdout.buffer.write(msgspec.json.encode(msgspec.structs.replace(used, idle_pss_mib=idle_pss_mib)) + b"\n")


def cpu_s(pid: int) -> float:
    """User and system time of a process so far, all its threads. In steps of a hundredth of a second (proc_pid_stat(5))."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / TICKS_PER_S


def family_cpu_s(pid: int) -> float:
    """Of a process and its children, those that have ended included: what a PostgreSQL server and all its sessions have used."""
    waited_for = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[13:15]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    used_s = cpu_s(pid) + sum(map(int, waited_for)) / TICKS_PER_S
    for child in children:
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            used_s += cpu_s(int(child))
    return used_s


def pss_mib(pid: int) -> float:
    """Memory of a process; a page that several share counts in parts (proc_pid_smaps(5))."""
    match = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert match is not None  # the kernel always writes it
    return int(match[1]) / 1024


@contextmanager
def watched_pss_mib(pid: int, every_s: float) -> Generator[list[float]]:
    """Look at a process's memory again and again while the context lasts."""
    seen: list[float] = [pss_mib(pid)]
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(every_s):
            seen.append(pss_mib(pid))

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield seen
    finally:
        ended.set()
        watching.join()


def _own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
