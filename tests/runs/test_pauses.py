"""What an operator holds up stands still, loses nothing, and goes on when it may."""

import asyncio
import contextvars
from datetime import timedelta
from uuid import UUID

import httpx
import msgspec
import pytest

from app.database import system_scope, tenant_scope
from app.errors import NotFound
from app.ids import new_id
from app.marketplaces.contract import Marketplace
from app.products.store import note_sightings
from app.runs.lease import Lease, LeaseLost, claim
from app.runs.pauses import Pause, list_pauses, pause_syncs, resume_syncs, stop_strays
from app.runs.service import add_run, get_run, request_run
from app.runs.sweep import requeue_expired, ring_for_waiting
from app.runs.tables import RunStatus, Stage, Trigger
from app.sync.runner import Runner
from tests.application import Shop
from tests.factories import create_run, create_tenant, create_tenant_with_key

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("clean_database")]

WB, OZON = Marketplace.WILDBERRIES, Marketplace.OZON


async def queued(tenant_id: UUID, marketplace: Marketplace) -> UUID:
    async with tenant_scope(tenant_id) as connection:
        run, _ = await add_run(connection, tenant_id, marketplace, Trigger.MANUAL)
    return run.id


async def claim_all() -> set[UUID]:
    found: set[UUID] = set()
    while (lease := await claim("test")) is not None:
        found.add(lease.run_id)
    return found


async def pauses_now() -> list[Pause]:
    async with system_scope() as connection:
        return await list_pauses(connection)


async def revision(run_id: UUID) -> int:
    async with system_scope() as connection:
        return await connection.fetchval("SELECT revision FROM sync_runs WHERE id = $1", run_id)


async def writing(lease: Lease, fetched: int) -> None:
    report = next(stage for stage in lease.stages if stage.name is Stage.PRODUCTS)
    async with lease.writing(report) as connection:
        await note_sightings(connection, lease.tenant_id, lease.marketplace, [str(fetched)])
        report.fetched += fetched


@pytest.mark.parametrize(
    ("whose", "where", "left"),
    [("own", None, {"other wb", "other ozon"}), ("own", WB, {"own ozon", "other wb", "other ozon"}),
     ("all", WB, {"own ozon", "other ozon"}), ("all", None, set())],
    ids=["a tenant", "a tenant's account", "a marketplace", "everything"],
)  # fmt: skip
async def test_a_pause_of_a_tenant_a_marketplace_or_all_keeps_just_those_runs_from_being_claimed(whose, where, left):
    own, other = await create_tenant(), await create_tenant()
    runs = {"own wb": (own, WB), "own ozon": (own, OZON), "other wb": (other, WB), "other ozon": (other, OZON)}
    ids = {name: await queued(*run) for name, run in runs.items()}

    held = await pause_syncs(own if whose == "own" else None, where, "the marketplace asked us to")
    claimed = await claim_all()

    assert held == 4 - len(left)
    assert claimed == {ids[name] for name in left}
    for name, run_id in ids.items():
        assert (await get_run(runs[name][0], run_id)).paused is (name not in left)


async def test_a_running_run_stops_at_its_next_write_and_goes_on_behind_its_last_page():
    tenant = await create_tenant_with_key()
    run_id = await create_run(tenant)
    first = await claim("first")
    assert first is not None
    await writing(first, 100)

    await pause_syncs(tenant, None)
    with pytest.raises(LeaseLost):
        await writing(first, 100)
    with pytest.raises(LeaseLost):
        await first.renew()
    held = await get_run(tenant, run_id)
    swept = await requeue_expired()
    await resume_syncs(tenant, None)
    second = await claim("second")

    assert (held.status, held.paused, swept) == (RunStatus.QUEUED, True, 0)
    assert second is not None
    assert (second.run_id, second.attempt, second.crashes) == (run_id, 2, 0)
    assert [stage.fetched for stage in second.stages if stage.name is Stage.PRODUCTS] == [100]


async def test_a_run_that_was_being_claimed_at_the_moment_of_its_pause_is_stopped_all_the_same():
    paused, other = await create_tenant(), await create_tenant()
    await queued(paused, WB)
    await queued(other, WB)
    leases = {lease.tenant_id: lease for lease in [await claim("test"), await claim("test")] if lease}
    async with system_scope() as connection:
        # As the claim's commit behind the pause's leaves it.
        await connection.execute(
            "INSERT INTO sync_pauses (id, tenant_id, marketplace, reason, paused_at) VALUES ($1, $2, NULL, '', now())", new_id(), paused
        )

    stopped = await stop_strays()

    assert stopped == 1
    with pytest.raises(LeaseLost):
        await leases[paused].renew()
    await leases[other].renew()


async def test_nobody_is_woken_for_what_is_held_up_and_at_its_end_somebody_is_at_once():
    tenant = await create_tenant()
    await queued(tenant, WB)
    await pause_syncs(tenant, None)

    while_paused = await ring_for_waiting()
    await resume_syncs(tenant, None)
    afterwards = await ring_for_waiting()

    assert (while_paused, afterwards) == (0, 1)


async def test_who_asks_during_a_pause_is_queued_and_told_of_it():
    tenant = await create_tenant_with_key()
    await pause_syncs(None, WB, "maintenance")

    run, created = await request_run(tenant, None, Trigger.MANUAL)
    before = await revision(run.id)
    await resume_syncs(None, None)

    assert (created, run.status, run.paused) == (True, RunStatus.QUEUED, True)
    assert not (await get_run(tenant, run.id)).paused
    # Who looks on hears of it.
    assert await revision(run.id) == before + 1


async def test_what_two_pauses_hold_up_goes_on_when_both_are_over():
    tenant = await create_tenant()
    run_id = await queued(tenant, WB)
    await pause_syncs(tenant, None, "the seller asked")
    await pause_syncs(None, WB, "maintenance")

    [lifted] = await resume_syncs(None, None)
    still = await claim("test")
    [left] = await pauses_now()
    await resume_syncs(tenant, None)

    assert (lifted.tenant_id, lifted.marketplace, lifted.reason) == (None, WB, "maintenance")
    assert still is None
    assert (left.tenant_id, left.marketplace, left.reason) == (tenant, None, "the seller asked")
    assert await claim_all() == {run_id}


async def test_pausing_twice_is_one_pause_with_the_newest_reason_and_resuming_twice_is_no_error():
    tenant = await create_tenant()

    await asyncio.gather(*(pause_syncs(tenant, OZON, "first") for _ in range(4)))
    await pause_syncs(tenant, OZON, "second")
    pauses = await pauses_now()
    lifted = [len(await resume_syncs(tenant, OZON)) for _ in range(2)]

    assert [(pause.tenant_id, pause.marketplace, pause.reason) for pause in pauses] == [(tenant, OZON, "second")]
    assert lifted == [1, 0]


async def test_a_tenants_log_tells_who_held_it_up_and_for_how_long():
    tenant = await create_tenant()

    await pause_syncs(tenant, WB, "the seller asked")
    await resume_syncs(tenant, None)

    async with tenant_scope(tenant) as connection:
        entries = await connection.fetch("SELECT actor, action, facts FROM audit_log ORDER BY id")
    assert [(entry["actor"], entry["action"], msgspec.json.decode(entry["facts"])) for entry in entries] == [
        ("operator", "sync.paused", {"marketplace": "wildberries", "reason": "the seller asked"}),
        ("operator", "sync.resumed", {"marketplace": "wildberries"}),
    ]


async def test_a_tenant_that_is_none_is_not_found():
    with pytest.raises(NotFound):
        await pause_syncs(new_id(), None)
    with pytest.raises(NotFound):
        await resume_syncs(new_id(), None)


async def test_no_tenant_lifts_its_own_pause_or_sees_anothers():
    own, other = await create_tenant(), await create_tenant()
    await pause_syncs(own, None)
    await pause_syncs(other, None)

    async with tenant_scope(own) as connection:
        seen = [row["tenant_id"] for row in await connection.fetch("SELECT tenant_id FROM sync_pauses")]
        lifted = await connection.execute("DELETE FROM sync_pauses")

    assert seen == [own]
    assert lifted == "DELETE 0"


async def test_a_sync_that_is_paused_in_the_middle_is_told_of_and_loses_nothing(shop: Shop, sandbox: httpx.AsyncClient):
    await shop.give_key(shop.key(products=250))
    [(run_id,)] = await shop.rows("SELECT id FROM sync_runs WHERE tenant_id = $1")
    slow = {"kind": "slow", "path": "/content/v2/get/cards/list", "delay_ms": 20_000, "skip": 2}
    (await sandbox.post("/faults", json=slow)).raise_for_status()
    working = asyncio.create_task(Runner("first", lease=timedelta(seconds=2)).carry_out_run(run_id), context=contextvars.Context())
    async with asyncio.timeout(15):
        while (await shop.expect(200, "GET", f"/sync/{run_id}"))["progress"]["done"] < 200:
            await asyncio.sleep(0.05)

    await pause_syncs(shop.tenant_id, None)
    async with asyncio.timeout(5):
        # Its heartbeat tells the worker, who waits for the marketplace.
        await working
    asked = await shop.call("POST", "/sync", json={})
    tenant = await shop.expect(200, "GET", "/tenants/me")
    refused = await Runner("second").carry_out_run(run_id)
    await resume_syncs(shop.tenant_id, None)
    assert await Runner("second").carry_out_run(run_id)

    assert (asked.status_code, asked.json()["id"], asked.json()["status"], asked.json()["paused"]) == (200, str(run_id), "queued", True)
    assert (tenant["sync_paused"], refused) == (True, False)
    done = await shop.expect(200, "GET", f"/sync/{run_id}")
    assert (done["status"], done["paused"], done["stages"][0]["created"]) == ("succeeded", False, 250)
    assert await shop.rows("SELECT crashes FROM sync_runs WHERE tenant_id = $1") == [(0,)]


async def test_a_new_sync_that_is_asked_for_during_a_pause_is_accepted_and_says_so(shop: Shop):
    await shop.give_key()
    await shop.sync()
    await pause_syncs(None, None, "maintenance")

    answer = await shop.call("POST", "/sync", json={})

    assert (answer.status_code, answer.json()["status"], answer.json()["paused"]) == (202, "queued", True)
