"""How work ends before it is done: the section on stopping of the sync engine's design."""

import asyncio
import contextvars
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from app.database import system_scope
from app.runs.lease import claim
from app.runs.sweep import requeue_expired
from app.runs.tables import RunStatus
from app.sync import runner
from app.sync.cancel import cancel_run
from app.sync.runner import Runner
from tests.ages import grow_older
from tests.application import Shop
from tests.factories import create_run, expire_lease, product
from tests.scripted_client import order
from tests.scripted_shop import PlayShop, ScriptedShop
from workers import stopping

pytestmark = pytest.mark.anyio

PRODUCTS = "SELECT external_id FROM products ORDER BY external_id"


async def look(statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    async with system_scope() as connection:
        return [tuple(row) for row in await connection.fetch(statement, *arguments)]


async def test_a_worker_that_stops_takes_no_new_work(play_shop: PlayShop):
    """“SIGTERM: no new work, …”"""
    shop = await play_shop()
    run_id = await create_run(shop.tenant_id)
    worker = Runner("test")

    await worker.stop()
    worker.wake()
    taken = await worker.carry_out_run(run_id)

    assert (taken, worker._drains) == (False, set())
    assert await look("SELECT status, attempt FROM sync_runs") == [("queued", 0)]


async def test_a_run_that_is_fetching_when_its_worker_stops_goes_back_to_the_queue_behind_its_last_page(play_shop: PlayShop):
    """“… running runs finish their page, checkpoint, go back to the queue, …” A page that is only on its way is fetched by the next worker: the marketplace may
    take longer than ten seconds. It is no crash, and due at once."""
    fetching = asyncio.Event()

    async def take_for_ever() -> None:
        async with asyncio.timeout(10):
            while not await shop.rows(PRODUCTS):
                await asyncio.sleep(0.01)
        fetching.set()
        await asyncio.Event().wait()

    shop = await play_shop(products=[[product("1")], take_for_ever, [product("2")]], orders=[[order("A")]])
    worker = Runner("test")
    run_id = await create_run(shop.tenant_id)
    running = asyncio.create_task(worker.carry_out_run(run_id))
    async with asyncio.timeout(10):
        await fetching.wait()

    await worker.stop()
    await running

    assert await look("SELECT status, crashes, lease_until, not_before <= now() FROM sync_runs") == [("queued", 0, None, True)]
    assert await shop.rows(PRODUCTS) == [("1",)]
    shop.run_id = run_id
    run = await shop.go_on()
    assert (run.status, run.stages[0].created) == (RunStatus.SUCCEEDED, 2)
    assert [asked for asked in shop.client.asked if asked[0] == "products"] == [("products", b""), ("products", b"1")]


@asynccontextmanager
async def writing(shop: ScriptedShop, worker: Runner, waiting_for: str) -> AsyncIterator["asyncio.Task[bool]"]:
    """A run in the middle of writing its first page, which waits for that row until the end of the block."""
    claimed, locked = asyncio.Event(), asyncio.Event()

    async def meet() -> None:
        claimed.set()
        await locked.wait()

    async def take_for_ever() -> None:
        await asyncio.Event().wait()

    # What a full pass writes before its first page is written by then.
    shop.client.pages["products"] = [meet, [product("1")], take_for_ever, [product("2")]]
    running = asyncio.create_task(worker.carry_out_run(await create_run(shop.tenant_id)), context=contextvars.Context())
    async with asyncio.timeout(10):
        await claimed.wait()
    async with system_scope() as connection:
        await connection.execute(f"SELECT FROM {waiting_for} FOR UPDATE")
        locked.set()
        async with asyncio.timeout(10):
            while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
        yield running


async def test_a_run_that_is_writing_when_its_worker_stops_finishes_that_page_and_its_checkpoint(play_shop: PlayShop):
    """“… running runs finish their page, checkpoint, go back to the queue, …”"""
    shop, worker = await play_shop(), Runner("test")

    async with writing(shop, worker, "sync_runs") as running:
        stopping = asyncio.create_task(worker.stop())
        while not worker.stopping:
            await asyncio.sleep(0)
    await stopping
    await running

    assert await look("SELECT status, crashes, lease_until FROM sync_runs") == [("queued", 0, None)]
    assert await shop.rows(PRODUCTS) == [("1",)]
    assert await shop.rows("SELECT stage, cursor FROM checkpoints") == [("products", b"1")]


async def test_a_page_whose_writing_hangs_is_cut_off_and_its_run_given_back_all_the_same(
    play_shop: PlayShop, monkeypatch: pytest.MonkeyPatch
):
    """What is promised of a stop holds for a page that can't be finished too: nothing of it stays, and the run is in the queue."""
    monkeypatch.setattr(runner, "WRITE_PATIENCE_S", 0.1)
    shop, worker = await play_shop(), Runner("test")

    async with writing(shop, worker, "tenants") as running:
        async with asyncio.timeout(2):
            await asyncio.create_task(worker.stop(), context=contextvars.Context())
            await running

    assert await look("SELECT status, crashes, lease_until FROM sync_runs") == [("queued", 0, None)]
    assert (await shop.rows(PRODUCTS), await shop.rows("SELECT cursor FROM checkpoints")) == ([], [(b"",)])


async def test_a_worker_exits_within_10_s_whatever_hangs(play_shop: PlayShop, monkeypatch: pytest.MonkeyPatch):
    """“… and the process exits within 10 s.” The process itself: tests/stories/test_original_flow.py, and tests/faults while its database hangs."""
    assert runner.WRITE_PATIENCE_S < runner.STOP_PATIENCE_S < stopping.STOP_WITHIN_S < 10
    monkeypatch.setattr(runner, "WRITE_PATIENCE_S", 0.1)
    monkeypatch.setattr(runner, "STOP_PATIENCE_S", 0.3)
    shop, worker = await play_shop(), Runner("test")

    async with writing(shop, worker, "sync_runs") as running:
        async with asyncio.timeout(2):
            await asyncio.create_task(worker.stop(), context=contextvars.Context())
        hung = not running.done()
    await running

    assert hung
    # Its run is found when its lease runs out, unless it can be given back in the last moment.
    assert await look("SELECT status, crashes FROM sync_runs") == [("queued", 0)]


async def test_a_cancel_takes_effect_at_the_next_page(play_shop: PlayShop):
    """“A cancel takes effect at the next page.” Through the API, and while the worker waits for the marketplace: tests/sync/test_cancel.py."""

    async def cancel() -> None:
        async with asyncio.timeout(10):
            while not await shop.rows(PRODUCTS):
                await asyncio.sleep(0.01)
        [[run_id]] = await look("SELECT id FROM sync_runs")
        await cancel_run(shop.tenant_id, "the seller", run_id)

    shop = await play_shop(products=[[product("1")], cancel, [product("2")], [product("3")]], orders=[[order("A")]])

    run = await shop.start()

    assert (run.status, run.error) == (RunStatus.CANCELLED, None)
    assert (await shop.rows(PRODUCTS), await shop.rows("SELECT FROM orders")) == ([("1",)], [])
    assert [stage for stage, _ in shop.client.asked] == ["products"]


async def test_a_run_that_crashed_its_worker_three_times_is_failed_and_visible_and_can_be_asked_for_again(shop: Shop):
    """“A run that crashed its worker three times is `failed` with `error.code = "crashed"` and stays visible; it can be asked for again.” By processes that are killed:
    tests/faults."""
    await shop.give_key(shop.key(products=3))
    asked = await shop.expect(200, "POST", "/sync", json={})
    run_id = UUID(asked["id"])
    seen: list[str] = []
    for _ in range(3):
        await grow_older("UPDATE sync_runs SET not_before = now()")
        assert await claim("a worker that dies of it", run_id)
        await expire_lease(run_id)
        await requeue_expired()
        seen.append((await shop.expect(200, "GET", f"/sync/{run_id}"))["status"])
    await grow_older("UPDATE sync_runs SET not_before = now()")

    assert await Runner("test").carry_out_run(run_id)

    crashed = await shop.expect(200, "GET", f"/sync/{run_id}")
    assert seen == ["queued"] * 3
    assert (crashed["status"], crashed["error"]["code"]) == ("failed", "crashed")
    assert run_id in [UUID(run["id"]) for run in (await shop.expect(200, "GET", "/sync", params={"status": "failed"}))["items"]]
    assert await shop.rows("SELECT type FROM events WHERE tenant_id = $1") == [("sync.failed",)]
    again = await shop.sync()
    assert (again["id"] != crashed["id"], again["status"], again["stages"][0]["created"]) == (True, "succeeded", 3)
