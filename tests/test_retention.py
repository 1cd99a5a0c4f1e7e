"""A walk goes along an index, whatever the planner knows of the tables: here it knows nothing."""

from datetime import timedelta

import pytest

from app.auth.retention import SESSIONS
from app.database import system_scope
from app.ids import new_id
from app.products.retention import SIGHTINGS
from app.retention import FIRST, IN_ORDER, OLDER_THAN, Batch, take_batch
from app.runs.retention import LOGS, RUNS, UNCHANGED_RUNS
from app.webhooks.retention import EVENTS, EXPIRE

pytestmark = pytest.mark.anyio

BY_AGE = (FIRST, timedelta(days=30), 2000)
WALKS = {
    "runs": (RUNS, BY_AGE),
    "logs": (LOGS, BY_AGE),
    "unchanged runs": (UNCHANGED_RUNS, BY_AGE),
    "events": (EVENTS, BY_AGE),
    "sessions": (SESSIONS, BY_AGE),
    "sightings": (SIGHTINGS, BY_AGE),
    "expired deliveries": (EXPIRE, (None, ["sync.completed"], [timedelta(days=7)], timedelta(days=7))),
}


@pytest.mark.parametrize("walk", WALKS)
async def test_no_walk_looks_at_a_whole_table_or_sorts_what_is_old(clean_database, walk: str):
    statement, arguments = WALKS[walk]

    async with system_scope() as connection:
        await connection.execute(IN_ORDER)
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN (COSTS OFF) {statement}", *arguments))

    # What a batch has found is sorted in memory to say where it ended.
    of_seen = plan.partition("CTE seen")[2].partition("CTE")[0]
    assert "Index" in of_seen
    assert "Sort" not in of_seen
    assert "Seq Scan" not in plan
    assert "Bitmap" not in plan


async def test_an_id_made_now_is_older_than_nothing_and_younger_than_a_second_ago(clean_database):
    async with system_scope() as connection:
        bounds = [await connection.fetchval(f"SELECT $1::uuid < {OLDER_THAN}", new_id(), timedelta(seconds=age)) for age in (-1, 1)]

    assert bounds == [True, False]


async def test_the_settings_of_a_walk_end_with_its_transaction(clean_database):
    async with system_scope() as connection:
        batch = await take_batch(connection, RUNS, *BY_AGE)
        inside = await connection.fetchval("SHOW enable_seqscan")
    async with system_scope() as connection:
        outside = await connection.fetchval("SHOW enable_seqscan")

    assert batch == Batch(0, 0, None)
    assert (inside, outside) == ("off", "on")
