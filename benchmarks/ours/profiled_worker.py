"""A worker whose stack is looked at again and again. At its end it writes to the given file where its CPU time went.

Each look is after so much CPU time of the process, so that waiting does not count, and nothing gets dearer by being called often, as it does under cProfile.
What compiled code does counts for the Python function that called it; what the event loop does by itself, for `run` of asyncio/runners.py.
"""

import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

from workers.main import main

EVERY_CPU_S = 0.001
SHOWN = 40


class Looks:
    """How often a function was at work itself, and how often it or what it called was."""

    def __init__(self) -> None:
        self.looks = 0
        self.own: Counter[CodeType] = Counter()
        self.with_called: Counter[CodeType] = Counter()

    def look(self, _: int, frame: FrameType | None) -> None:
        """Called by the timer's signal."""
        if frame is None:
            return
        self.looks += 1
        self.own[frame.f_code] += 1
        stack: set[CodeType] = set()
        while frame is not None:
            stack.add(frame.f_code)
            frame = frame.f_back
        self.with_called.update(stack)

    def __str__(self) -> str:
        lines = [f"{self.looks:,} looks, one for each {EVERY_CPU_S * 1000:.0f} ms of CPU that the system's clock tells apart"]
        for title, counts in (("by their own time", self.own), ("with all they called", self.with_called)):
            lines += ["", title]
            lines += [f"{count / self.looks:7.1%}  {_name(code)}" for code, count in counts.most_common(SHOWN)]
        return "\n".join(lines)


def _name(code: CodeType) -> str:
    return f"{'/'.join(Path(code.co_filename).parts[-3:])}:{code.co_firstlineno} {code.co_qualname}"


def _run(file: Path) -> None:
    looks = Looks()
    signal.signal(signal.SIGPROF, looks.look)
    signal.setitimer(signal.ITIMER_PROF, EVERY_CPU_S, EVERY_CPU_S)
    try:
        main()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        file.write_text(str(looks))


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
