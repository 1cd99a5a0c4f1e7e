"""A claim that comes at a bad moment costs nobody a crash."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from app.database import system_scope
from app.errors import Unavailable
from app.runs.lease import claim
from app.sync import runner
from app.sync.runner import Runner
from tests.factories import create_run, create_tenant

pytestmark = pytest.mark.anyio

# A worker's own place, and the task that asks for this very run.
BOTH_WAYS = pytest.mark.parametrize(
    "take", [lambda worker, _: worker._drain(), lambda worker, run_id: worker.carry_out_run(run_id)], ids=["a place", "the task"]
)
Take = Callable[[Runner, UUID], Awaitable[object]]


async def look(run_id: UUID) -> tuple[Any, ...]:
    async with system_scope() as connection:
        return tuple(await connection.fetchrow("SELECT status, worker, crashes, lease_until FROM sync_runs WHERE id = $1", run_id))


@BOTH_WAYS
async def test_a_run_that_is_claimed_while_the_worker_begins_to_stop_goes_back_to_the_queue(
    clean_database, monkeypatch: pytest.MonkeyPatch, take: Take
):
    worker, run_id = Runner("test"), await create_run(await create_tenant())

    async def claim_and_stop(*arguments: Any, **options: Any) -> Any:
        lease = await claim(*arguments, **options)
        await worker.stop()
        return lease

    async def carry_out(_: object) -> None:
        pytest.fail("a worker that stops has begun a run")

    monkeypatch.setattr(runner, "claim", claim_and_stop)
    monkeypatch.setattr(runner, "_carry_out", carry_out)

    taken = await take(worker, run_id)

    assert not taken
    assert await look(run_id) == ("queued", None, 0, None)


@BOTH_WAYS
async def test_a_run_whose_claim_was_carried_out_and_never_answered_goes_back_to_the_queue(
    clean_database, monkeypatch: pytest.MonkeyPatch, take: Take
):
    monkeypatch.setattr(runner, "UNAVAILABLE_PAUSE_S", 0.01)
    worker, run_id = Runner("test"), await create_run(await create_tenant())

    async def lose_the_answer(*arguments: Any, **options: Any) -> Any:
        assert await claim(*arguments, **options)
        raise Unavailable("The database went away.")

    monkeypatch.setattr(runner, "claim", lose_the_answer)

    with suppress(Unavailable):  # the task tells who asked; a place waits for the next ring
        await take(worker, run_id)

    assert worker._returning
    await worker._returning
    assert await look(run_id) == ("queued", None, 0, None)
