"""What a process has used, as the kernel counts it."""

import os
import re
import resource
import sys
import time
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


def pss_mib(pid: int) -> float:
    """Memory of a process; a page that several share counts in parts (proc_pid_smaps(5))."""
    match = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert match is not None  # the kernel always writes it
    return int(match[1]) / 1024


def _own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
