"""The long version of the fault programme: one schedule after the other, each on a fresh installation, until the time is up.

FAULTS_MINUTES says how long, 10 by default; FAULTS_SEED repeats the schedule of that seed, and nothing else.
"""

import asyncio
import os
import random
import sys
import time

from tests.faults.faults import FAULTS
from tests.faults.programme import LONG_FLEET, Report, Turn, at_random, run_programme

FAULTS_PER_SCHEDULE = 16
LONGEST_S = 60.0


def plan(chance: random.Random) -> list[Turn]:
    return at_random(chance, FAULTS_PER_SCHEDULE, LONGEST_S)


def main() -> int:
    """Gives the exit code: 0 where everything held."""
    ends_at = time.monotonic() + 60 * float(os.environ.get("FAULTS_MINUTES") or 10)
    chosen = os.environ.get("FAULTS_SEED")
    reports: list[Report] = []
    while not reports or (not chosen and time.monotonic() < ends_at):
        seed = int(chosen) if chosen else random.randrange(2**32)
        reports.append(asyncio.run(run_programme(seed, plan, LONG_FLEET)))
        print(reports[-1], flush=True)
    print(_table(reports))
    return 1 if any(report.violations for report in reports) else 0


def _table(reports: list[Report]) -> str:
    lines = [f"\n{'fault':<60}{'happened':>9}{'violated':>9}"]
    for name in FAULTS:
        happened = sum(report.happened[name] for report in reports)
        violated = sum(len(how) for report in reports for what, how in report.violations.items() if name in what)
        impossible = next((f"   {report.impossible[name]}" for report in reports if name in report.impossible), "")
        lines.append(f"{name:<60}{happened:>9}{violated:>9}{impossible}")
    runs = sum(report.runs.total() for report in reports)
    seeds = [str(report.seed) for report in reports if report.violations]
    lines.append(
        f"\n{len(reports)} schedules, {runs} runs; " + (f"VIOLATED with FAULTS_SEED {', '.join(seeds)}" if seeds else "all invariants held")
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
