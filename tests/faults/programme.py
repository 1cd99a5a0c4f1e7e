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
from tests.faults.invariants import INVARIANTS, changes_of, crashes, recent_changes, sentence
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
        lines = [f"FAULTS_SEED={self.seed}, {self.duration_s:.0f} s; runs: {dict(self.runs)}; answers of the API: {dict(self.calls)}"]
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
    return [Turn(chance.uniform(0.1, 0.5), name, lasting_s, chance.randrange(2**32)) for name in FAULTS]


def at_random(chance: random.Random, count: int, longest_s: float) -> list[Turn]:
    """So many faults as chance has it, at moments that it chooses; most are short, and few last as long as they may."""
    names = list(FAULTS)
    return [
        Turn(chance.uniform(0.0, 3.0), chance.choice(names), 0.5 + (longest_s - 0.5) * chance.random() ** 3, chance.randrange(2**32))
        for _ in range(count)
    ]


# Of each seller: the marketplaces, with the number of products at first, and whether the schedule has his syncs or a button.
Shape = tuple[tuple[tuple[Marketplace, int], ...], bool]

SMALL: tuple[Shape, ...] = (
    *[(((WB, 30),), False), (((OZON, 20),), False), (((WB, 25), (OZON, 15)), False)] * 3,
    *[(((WB, 40),), True), (((OZON, 30),), True), (((WB, 20), (OZON, 20)), True)] * 2,
)
SHORT_FLEET: tuple[Shape, ...] = (*SMALL, (((WB, 2_500),), False), (((OZON, 2_000),), True))
LONG_FLEET: tuple[Shape, ...] = (*SMALL * 3, (((WB, 6_000),), False), (((WB, 3_000), (OZON, 3_000)), True), (((OZON, 4_000),), False))


async def run_programme(seed: int, plan: Callable[[random.Random], Sequence[Turn]], shapes: Sequence[Shape], tell: Tell = print) -> Report:
    """Carry the schedule out on an installation of its own, and look at all that must hold. The seed gives the schedule and the shops; what happens within a
    millisecond is the machine's own chance."""
    chance = random.Random(seed)
    report, began = Report(seed), time.monotonic()

    def say(what: str) -> None:
        tell(f"{time.monotonic() - began:7.1f} s  {what}")

    tell(f"FAULTS_SEED={seed}")
    turns = plan(chance)
    for turn in turns:
        tell(f"    {turn}")
    with _kept_if(report, say) as folder, Receiver() as receiver:
        async with running_installation(folder) as installation:
            fleet = Fleet(installation, receiver, random.Random(chance.randrange(2**32)))
            try:
                await fleet.open(shapes)
                say(f"{len(fleet.sellers)} sellers have joined")
                await fleet.live()
                await _carry_out(fleet, turns, report, say)
                await fleet.rest()
                say("the faults are over")
                await _look(fleet, report, say)
            finally:
                await fleet.close()
            report.calls = fleet.calls
            rows = await installation.database.rows("SELECT status, count(*) FROM sync_runs GROUP BY 1")
            report.runs = Counter({row["status"]: row["count"] for row in rows})
    report.duration_s = time.monotonic() - began
    return report


async def _carry_out(fleet: Fleet, turns: Sequence[Turn], report: Report, say: Tell) -> None:
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
        for process in fleet.installation.processes.values():
            process.start_if_refused()
        try:
            await _recover(fleet)
        except AssertionError as error:
            report.violated(f"after this the system recovers: {turn.fault}", [str(error)])
            say(f"    VIOLATED: {error}")
        now = await crashes(fleet)
        if not fault.crashes:
            new = [run_id for run_id in now if now[run_id] > counted.get(run_id, 0)]
            report.violated(f"no crash is counted for it: {turn.fault}", (f"run {run_id} of {now[run_id]} crashes" for run_id in new))
        counted = now


async def _recover(fleet: Fleet) -> None:
    """Until every run that is said to be running has a worker that lives and has said so a moment ago."""
    await fleet.installation.database.until(
        "SELECT WHERE NOT EXISTS (SELECT FROM sync_runs WHERE status = 'running' AND (worker <> ALL($1) OR lease_until < now() + $2))",
        [worker.worker for worker in fleet.installation.workers], timedelta(seconds=LEASE_S / 4),
        within_s=RECOVERED_WITHIN_S, what="all running runs got a live lease again",
    )  # fmt: skip


async def _look(fleet: Fleet, report: Report, say: Tell) -> None:
    """One more run of each account, which makes up for what was missed; then the invariants; then a full run, which finds that nothing was."""
    # What waits for a minute or more, a delivery whose worker was killed or a run that lost its worker twice, need not be waited for here.
    await leap_ahead(fleet.installation, random.Random(0), 0)
    try:
        await _all_ended(fleet)
        await fleet.ask_all(full=False)
        await _all_ended(fleet)
        await _all_heard(fleet)
    except AssertionError as error:
        report.violated("the system recovers", [str(error)])
    for holds in INVARIANTS:
        report.violated(sentence(holds), await holds(fleet))
    before = await fleet.installation.database.value("SELECT now()")
    try:
        await fleet.ask_all(full=True)
        await _all_ended(fleet)
        report.violated("a full run finds nothing that the runs before it missed", await recent_changes(fleet, before))
        last = await fleet.ask_all(full=False)
        await _all_ended(fleet)
        report.violated("a run after a full one finds nothing to change", await changes_of(fleet, last))
    except AssertionError as error:
        report.violated("the system recovers", [str(error)])
    for what, how in report.violations.items():
        say(f"VIOLATED: {what}: {len(how)}")
    if not report.violations:
        say(f"all {len(INVARIANTS) + 2} invariants hold")


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
