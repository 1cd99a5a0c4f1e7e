"""A seller calls a run off: it ends at once, whoever has it writes nothing more, and what it had stored and noted counts."""

import asyncio
from uuid import UUID, uuid4

import httpx
import pytest

from app.api.roles import Caller, Role
from app.auth.tokens import issue_access_token
from app.cache import get_cache
from app.database import tenant_scope
from app.ids import new_id
from app.runs.lease import LeaseLost, claim
from app.runs.tables import RunStatus
from app.sandbox.tokens import issue_token
from app.settings import get_settings
from app.sync import runner
from app.sync.cancel import tell_of_runs_called_off
from app.sync.runner import Runner
from tests.application import Shop
from tests.factories import create_run

pytestmark = pytest.mark.anyio

AUDITED = "SELECT facts::json ->> 'sync_id' FROM audit_log WHERE tenant_id = $1 AND action = 'sync.cancelled'"


async def cancel(shop: Shop, run_id: UUID) -> httpx.Response:
    return await shop.call("POST", f"/sync/{run_id}/cancel")


async def test_a_run_that_waits_is_cancelled_and_no_worker_takes_it(shop: Shop):
    run_id = await create_run(shop.tenant_id)

    answer = await cancel(shop, run_id)

    assert answer.status_code == 202
    run = answer.json()
    assert (run["id"], run["status"], run["error"]) == (str(run_id), "cancelled", None)
    assert run["finished_at"]
    assert run == await shop.expect(200, "GET", f"/sync/{run_id}")
    assert await claim("test", run_id) is None
    assert await shop.rows(AUDITED) == [(str(run_id),)]


async def test_the_worker_that_has_a_cancelled_run_writes_nothing_more(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.runs.lease.TELL_EVERY_S", 0.0)
    lease = await claim("test", await create_run(shop.tenant_id))
    assert lease
    report = lease.stages[0]
    report.status = "running"
    async with lease.writing(report, total=20):
        report.fetched = 10

    run = (await cancel(shop, lease.run_id)).json()

    with pytest.raises(LeaseLost):
        async with lease.writing(report) as connection:
            await connection.execute("UPDATE tenants SET name = 'written after all' WHERE id = $1", shop.tenant_id)
    for write in (lease.renew, lease.put_back):
        with pytest.raises(LeaseLost):
            await write()
    assert (await shop.expect(200, "GET", "/tenants/me"))["name"] == "Romashka"
    assert await shop.expect(200, "GET", f"/sync/{lease.run_id}") == run
    assert run["progress"]["stage"] is None
    assert next((stage["status"], stage["fetched"]) for stage in run["stages"]) == ("pending", 10)


async def test_a_worker_that_waits_for_the_marketplace_gives_up_at_its_next_heartbeat(shop: Shop, sandbox: httpx.AsyncClient, monkeypatch):
    monkeypatch.setattr(runner, "HEARTBEATS_PER_LEASE", 300)
    await shop.give_key()
    await shop.sync()
    await sandbox.patch("", json={"delay_ms": 20_000})
    run_id = await create_run(shop.tenant_id)
    at_work = asyncio.create_task(Runner("test").carry_out_run(run_id))
    async with asyncio.timeout(5):
        while (await shop.expect(200, "GET", f"/sync/{run_id}"))["status"] == "queued":
            await asyncio.sleep(0.01)

    assert (await cancel(shop, run_id)).status_code == 202

    async with asyncio.timeout(5):
        await at_work
    assert (await shop.expect(200, "GET", f"/sync/{run_id}"))["status"] == "cancelled"


async def test_what_a_cancelled_run_stored_stays_and_the_next_one_goes_on(shop: Shop):
    await shop.give_key()
    first = await shop.sync()
    lease = await claim("test", await create_run(shop.tenant_id))
    assert lease
    await cancel(shop, lease.run_id)

    again = await shop.sync()

    assert again["id"] not in (first["id"], str(lease.run_id))
    assert again["status"] == "succeeded"
    assert len((await shop.expect(200, "GET", "/products"))["items"]) == 5


async def run_that_noted_two_products(shop: Shop) -> UUID:
    """One that a worker has, of a shop that was copied before."""
    await shop.give_key()
    await shop.sync()
    lease = await claim("test", await create_run(shop.tenant_id))
    assert lease
    async with lease.writing(lease.stages[0]) as connection:
        rows = await connection.fetch("UPDATE products SET stock_level = 'out', stock_total = 0 RETURNING id")
        lease.note("stock.out", [row["id"] for row in rows[:2]])
    return lease.run_id


TOLD = "SELECT body::json -> 'data' ->> 'sync_id', body::json -> 'data' ->> 'total' FROM events WHERE tenant_id = $1 AND type = 'stock.out'"


async def test_what_a_cancelled_run_noted_is_told_once(shop: Shop):
    run_id = await run_that_noted_two_products(shop)

    for _ in range(2):
        await cancel(shop, run_id)
    await tell_of_runs_called_off()

    assert await shop.rows(TOLD) == [(str(run_id), "2")]


@pytest.mark.parametrize("how", ["replaced", "taken back"])
async def test_what_a_run_noted_whose_key_is_gone_is_told_once(shop: Shop, how: str):
    run_id = await run_that_noted_two_products(shop)
    if how == "replaced":
        await shop.give_key(issue_token(new_id(), products=1))
    else:
        await shop.expect(204, "DELETE", "/tenants/me/credentials/wildberries")

    first, *later = await asyncio.gather(*(tell_of_runs_called_off() for _ in range(3)))
    again = await tell_of_runs_called_off()

    assert (await shop.expect(200, "GET", f"/sync/{run_id}"))["status"] == "cancelled"
    assert await shop.rows(TOLD) == [(str(run_id), "2")]
    assert (max(first, *later), again) == (1, 0)


@pytest.mark.parametrize(("updated", "kept"), [(1, None), (0, "of before")])
async def test_who_hears_what_a_cancelled_run_stored_reads_no_list_of_before(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, updated: int, kept: str | None
):
    """Its worker may be dead, or notice in 20 s."""
    monkeypatch.setattr("app.runs.lease.TELL_EVERY_S", 0.0)
    await get_cache().set(shop.tenant_id, "products:list:x", "of before")
    lease = await claim("test", await create_run(shop.tenant_id))
    assert lease
    async with lease.writing(lease.stages[0]):
        lease.stages[0].updated += updated

    await cancel(shop, lease.run_id)

    assert await get_cache().get(shop.tenant_id, "products:list:x") == kept


async def test_cancelling_again_gives_the_cancelled_run(shop: Shop):
    run_id = await create_run(shop.tenant_id)
    first = await cancel(shop, run_id)

    again = await cancel(shop, run_id)

    assert (again.status_code, again.json()) == (200, first.json())
    assert len(await shop.rows(AUDITED)) == 1


async def test_of_many_who_cancel_at_once_one_does_it(shop: Shop):
    run_id = await create_run(shop.tenant_id)

    answers = await asyncio.gather(*(cancel(shop, run_id) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [202]
    assert len(await shop.rows(AUDITED)) == 1


@pytest.mark.parametrize("status", [RunStatus.SUCCEEDED, RunStatus.PARTIAL, RunStatus.FAILED])
async def test_what_has_finished_by_itself_can_not_be_cancelled(shop: Shop, status: RunStatus):
    lease = await claim("test", await create_run(shop.tenant_id))
    assert lease
    async with tenant_scope(shop.tenant_id) as connection:
        await lease.finish(connection, status)

    answer = await cancel(shop, lease.run_id)

    assert (answer.status_code, answer.json()["code"]) == (409, "sync_already_finished")
    assert (await shop.expect(200, "GET", f"/sync/{lease.run_id}"))["status"] == status
    assert await shop.rows(AUDITED) == []


async def test_anothers_run_is_as_absent_as_a_missing_one_and_goes_on(shop: Shop, other_shop: Shop):
    theirs = await create_run(other_shop.tenant_id)

    answers = [await cancel(shop, run_id) for run_id in (theirs, uuid4())]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not_found")] * 2
    assert (await other_shop.expect(200, "GET", f"/sync/{theirs}"))["status"] == "queued"


async def test_who_only_looks_cancels_nothing(shop: Shop):
    run_id = await create_run(shop.tenant_id)
    [[user_id, session_id]] = await shop.rows("SELECT user_id, id FROM login_sessions WHERE tenant_id = $1")
    token = issue_access_token(Caller(user_id, shop.tenant_id, session_id, Role.VIEWER), get_settings().jwt_secrets)

    answer = await shop.client.post(f"/sync/{run_id}/cancel", headers={"Authorization": f"Bearer {token}"})

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await shop.expect(200, "GET", f"/sync/{run_id}"))["status"] == "queued"
