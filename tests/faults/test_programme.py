"""The short version of the fault programme: every kind of fault once, and some more as chance has it."""

import os
import random

import pytest

from tests.faults.programme import SHORT_FLEET, Turn, at_random, each_once, run_programme

pytestmark = pytest.mark.anyio

LASTING_S = 1.5
AT_RANDOM = 3


def plan(chance: random.Random) -> list[Turn]:
    return [*each_once(chance, LASTING_S), *at_random(chance, AT_RANDOM, LASTING_S)]


async def test_whatever_happens_nothing_is_lost_doubled_or_stuck():
    seed = int(os.environ.get("FAULTS_SEED") or random.randrange(2**32))

    report = await run_programme(seed, plan, SHORT_FLEET)

    print(report)
    assert not report.violations, f"repeat it with FAULTS_SEED={seed}"
    assert report.runs.total() > len(SHORT_FLEET)
