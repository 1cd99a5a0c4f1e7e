"""A worker under cProfile. At its end it writes to the given file the functions that took most, by their own time and with all they called.

The profiler makes small functions look dearer than they are: it tells where to look, not what it costs.
"""

import cProfile
import pstats
import sys
from pathlib import Path

from workers.main import main

SHOWN = 40


def _run(file: Path) -> None:
    profile = cProfile.Profile()
    try:
        profile.runcall(main)
    finally:
        with file.open("w") as output:
            for order in ("tottime", "cumtime"):
                pstats.Stats(profile, stream=output).sort_stats(order).print_stats(SHOWN)


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
