"""The fault programme: a fleet syncs again and again while things happen by a schedule, and then all that must hold is looked at."""

import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from app.marketplaces.contract import Marketplace
from tests.faults.faults import FAULTS, Impossible, leap_ahead
from tests.faults.fleet import Fleet
from tests.faults.installation import LEASE_S, running_installation
from tests.faults.invariants import INVARIANTS, crashes, ended_runs_changed_nothing, sentence
from tests.faults.receiver import Receiver

RECOVERED_WITHIN_S = 60.0
DONE_WITHIN_S = 90.0
# Of what does not hold.
MOST_SHOWN = 5
MOST_SHOWN_CHARACTERS = 1_500

WB, OZON = Marketplace.WILDBERRIES, Marketplace.OZON

Tell = Callable[[str], object]


class Turn(NamedTuple):
    """A fault of the schedule: how long after the one before, which, how long it lasts, and the seed of its chances."""

    pause_s: float
    fault: str
    lasting_s: float
    seed: int

    def __str__(self) -> str:
        return f"after {self.pause_s:.1f} s: {self.fault}, {self.lasting_s:.1f} s (seed {self.seed})"


@dataclass
class Report:
    """What happened, and what does not hold: by the sentence of the invariant, or the name of the fault."""

    seed: int
    happened: Counter[str] = field(default_factory=Counter[str])
    impossible: dict[str, str] = field(default_factory=dict[str, str])
    violations: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    runs: Counter[str] = field(default_factory=Counter[str])
    calls: Counter[str] = field(default_factory=Counter[str])
    duration_s: float = 0.0

    def __str__(self) -> str:
        lines = [f"FAULTS_SEED={self.seed}, {self.duration_s:.0f} s; runs: {dict(self.runs)}; answers to POST /sync: {dict(self.calls)}"]
        lines += [f"{count:>5} × {name}" for name, count in self.happened.items()]
        lines += [f"  not possible here: {name}: {why}" for name, why in self.impossible.items()]
        for what, how in self.violations.items():
            lines += [f"VIOLATED {len(how)} ×: {what}", *(f"    {line[:MOST_SHOWN_CHARACTERS]}" for line in how[:MOST_SHOWN])]
        return "\n".join(lines)

    def violated(self, what: str, how: Iterable[str]) -> None:
        if lines := list(how):
            self.violations.setdefault(what, []).extend(lines)


def each_once(chance: random.Random, lasting_s: float) -> list[Turn]:
    """Every kind of fault, in the order in which they are defined."""
    return [Turn(0.3, name, lasting_s, chance.randrange(2**32)) for name in FAULTS]


def at_random(chance: random.Random, count: int, longest_s: float) -> list[Turn]:
    """So many faults as chance has it, at moments that it chooses."""
    names = list(FAULTS)
    return [
        Turn(chance.uniform(0.0, 3.0), chance.choice(names), chance.uniform(0.5, longest_s), chance.randrange(2**32)) for _ in range(count)
    ]


SHORT_FLEET = (
    *[(((WB, 30),), False), (((OZON, 20),), False), (((WB, 25), (OZON, 15)), False)] * 3,
    *[(((WB, 40),), True), (((OZON, 30),), True), (((WB, 20), (OZON, 20)), True)] * 2,
    (((WB, 2_500),), False),
    (((OZON, 2_000),), True),
)
LONG_FLEET = SHORT_FLEET * 3 + ((((WB, 5_000), (OZON, 3_000)), True),)


async def run_programme(
    seed: int, schedules: Callable[[random.Random], Iterable[Sequence[Turn]]], fleet_shape: Sequence[tuple[tuple[tuple[Marketplace, int], ...], bool]], tell: Tell = print
) -> Report:  # fmt: skip
    """Carry schedules out one after the other on one installation; after each all is looked at. Stops at the first that leaves something wrong."""
    chance = random.Random(seed)
    report, began = Report(seed), time.monotonic()
    tell(f"FAULTS_SEED={seed}")

    def say(what: str) -> None:
        tell(f"{time.monotonic() - began:7.1f} s  {what}")

    with _kept_if(report, say) as folder, Receiver() as receiver:
        async with running_installation(folder) as installation:
            fleet = Fleet(installation, receiver, random.Random(chance.randrange(2**32)))
            try:
                await installation.sandbox("POST", "/clock", advance_s=-1800)
                for shapes, scheduled in fleet_shape:
                    await fleet.join(*shapes, scheduled=scheduled)
                say(f"{len(fleet.sellers)} sellers have joined")
                for turns in schedules(chance):
                    await _carry_out(fleet, turns, report, say)
                    if report.violations:
                        break
            finally:
                await fleet.close()
            report.calls = fleet.calls
            report.runs = Counter(
                {
                    row["status"]: row["count"]
                    for row in await installation.database.rows("SELECT status, count(*) FROM sync_runs GROUP BY 1")
                }
            )
    report.duration_s = time.monotonic() - began
    return report


async def _carry_out(fleet: Fleet, turns: Sequence[Turn], report: Report, say: Tell) -> None:
    for turn in turns:
        say(f"    planned: {turn}")
    await fleet.live()
    counted = await crashes(fleet)
    for turn in turns:
        await asyncio.sleep(turn.pause_s)
        say(turn.fault)
        fault = FAULTS[turn.fault]
        try:
            await fault.happen(fleet.installation, random.Random(turn.seed), turn.lasting_s)
        except Impossible as error:
            report.impossible[turn.fault] = str(error)
            say(f"    impossible here: {error}")
            continue
        except AssertionError as error:
            report.violated(turn.fault, [str(error)])
            say(f"    VIOLATED: {error}")
        report.happened[turn.fault] += 1
        await _recover(fleet)
        now = await crashes(fleet)
        if not fault.crashes:
            report.violated(
                f"{turn.fault}: no crash is counted for it", (f"run {run_id}: {now[run_id]}" for run_id in now.keys() - counted.keys())
            )
        counted = now
    await fleet.rest()
    say("the faults are over")
    await _look(fleet, report, say)


async def _recover(fleet: Fleet) -> None:
    """Until every run that is said to be running has a worker that lives and has said so a moment ago."""
    await fleet.installation.database.until(
        "SELECT WHERE NOT EXISTS (SELECT FROM sync_runs WHERE status = 'running' AND (worker <> ALL($1) OR lease_until < now() + $2))",
        [worker.worker for worker in fleet.installation.workers], timedelta(seconds=LEASE_S / 4),
        within_s=RECOVERED_WITHIN_S, what="all running runs got a live lease again",
    )  # fmt: skip


async def _look(fleet: Fleet, report: Report, say: Tell) -> None:
    """A last full run of everything, one more that must find nothing, and the invariants."""
    # What waits for an hour now and then, a delivery whose worker was killed or a run that was lost twice, need not be waited for here.
    await leap_ahead(fleet.installation, random.Random(0), 0)
    try:
        await _all_ended(fleet)
        for full in (True, True):
            last = [
                run_id for seller in fleet.sellers for account in seller.accounts if (run_id := await fleet.ask(seller, account, full=full))
            ]
            await _all_ended(fleet)
        report.violated("a run after all has been copied finds nothing to change", await ended_runs_changed_nothing(fleet, last))
        await _all_heard(fleet)
    except AssertionError as error:
        report.violated("the system recovers", [str(error)])
    for holds in INVARIANTS:
        report.violated(sentence(holds), await holds(fleet))
    for what, how in report.violations.items():
        say(f"VIOLATED: {what}: {len(how)}")
    if not report.violations:
        say(f"all {len(INVARIANTS)} invariants hold")


async def _all_ended(fleet: Fleet) -> None:
    await fleet.installation.database.until(
        "SELECT WHERE NOT EXISTS (SELECT FROM sync_runs WHERE status IN ('queued', 'running'))",
        within_s=DONE_WITHIN_S,
        what="all runs ended",
    )


async def _all_heard(fleet: Fleet) -> None:
    await fleet.installation.database.until(
        "SELECT WHERE NOT EXISTS (SELECT FROM events WHERE dispatched_at IS NULL) AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE status = 'pending')",
        within_s=DONE_WITHIN_S, what="all events were delivered",
    )  # fmt: skip


@contextmanager
def _kept_if(report: Report, say: Tell) -> Iterator[Path]:
    """A folder for an installation, whose logs are kept where something was wrong."""
    folder, right = Path(tempfile.mkdtemp(prefix="st-faults-")), False
    try:
        yield folder
        right = not report.violations
    finally:
        if not right:
            kept = Path(tempfile.mkdtemp(prefix="st-faults-logs-"))
            for log in folder.glob("*.log"):
                log.rename(kept / log.name)
            say(f"the logs are kept in {kept}")
        shutil.rmtree(folder)
