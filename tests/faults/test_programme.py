"""The short version of the fault programme: every kind of fault once, and one schedule as chance has it."""

import os
import random
from collections.abc import Iterator, Sequence

import pytest

from tests.faults.programme import SHORT_FLEET, Turn, at_random, each_once, run_programme

pytestmark = pytest.mark.anyio

LASTING_S = 2.0
AT_RANDOM = 6


async def test_whatever_happens_nothing_is_lost_doubled_or_stuck():
    def schedules(chance: random.Random) -> Iterator[Sequence[Turn]]:
        yield each_once(chance, LASTING_S)
        yield at_random(chance, AT_RANDOM, LASTING_S)

    seed = int(os.environ.get("FAULTS_SEED") or random.randrange(2**32))
    report = await run_programme(seed, schedules, SHORT_FLEET)

    print(report)
    assert not report.violations, str(report)
    assert report.runs.keys() <= {"succeeded", "partial", "failed", "cancelled"}
