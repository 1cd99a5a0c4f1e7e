"""An erased tenant leaves nothing behind, and no other is touched; whatever goes on meanwhile, and whatever is killed."""

import asyncio
import contextvars
from asyncio.subprocess import DEVNULL
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.audit.service import caller_address
from app.database import Connection, system_scope, tenant_scope
from app.ids import new_id
from app.marketplaces.contract import Marketplace
from app.products.store import write_products
from app.runs.lease import LeaseLost, claim
from app.runs.schedule import queue_due_tenants
from app.sync.runner import Runner
from app.tenant_data.erasure import begin_erasure, erase, pending_erasures
from app.tenant_data.rows import IN_ORDER, WALK, next_of
from tests.application import Shop, listening_worker
from tests.auth.application import PASSWORD
from tests.cli.commands import COMMAND, ROOT
from tests.factories import claimed, create_run, create_tenant, create_tenant_with_key, product
from tests.tenant_data.everything import TABLES_OF_TENANTS, found_anywhere, rows_of, use_everything
from workers.scheduler import carry_out_erasures
from workers.sync import sync_tenant_products

pytestmark = pytest.mark.anyio

# These do not go in batches: app.tenant_data.erasure says when.
OTHERWISE = {"memberships", "sync_pauses", "audit_log"}

SOMEWHERE = {
    "id": UUID(int=7), "sequence": 7, "ordered_at": datetime(2026, 11, 23, tzinfo=UTC),
    "marketplace": "ozon", "stage": "orders", "provider": "ozon", "key": "k",
}  # fmt: skip

WAITING = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"


async def erase_now(tenant_id: UUID) -> None:
    """As a scheduler does, where no request is under way."""
    caller_address.set(None)
    assert tenant_id in await pending_erasures()
    async for _ in erase(tenant_id):
        pass


async def test_every_table_of_tenants_is_erased(clean_database: str):
    async with system_scope() as connection:
        tables = {row[0] for row in await connection.fetch(TABLES_OF_TENANTS)}

    walked = {name for rows in WALK for name in (rows.table, *(table for table, _ in rows.along_with))}

    assert walked | OTHERWISE == tables


async def test_of_two_tenants_with_everything_one_is_erased_and_the_other_is_unchanged(shop: Shop, other_shop: Shop, sender: None):
    marks, rivals_marks = await use_everything(shop, "acme7f3a"), await use_everything(other_shop, "rival9c2e")
    before, rivals_before = await rows_of(shop.tenant_id), await rows_of(other_shop.tenant_id)
    assert [table for table, rows in (before | rivals_before).items() if not rows] == []

    assert (await shop.call("DELETE", "/tenants/me", json={"password": PASSWORD})).status_code == 204
    await erase_now(shop.tenant_id)

    assert await found_anywhere(marks) == set()
    assert await rows_of(other_shop.tenant_id) == rivals_before
    assert {mark for _, mark in await found_anywhere(rivals_marks)} >= {str(other_shop.tenant_id), "rival9c2e"}


async def test_what_is_left_is_who_asked_when_and_how_many_rows_there_were(shop: Shop):
    (await shop.give_key()).raise_for_status()
    await shop.sync()
    user = (await shop.expect(200, "GET", "/auth/me"))["user"]["id"]
    rows = sum(map(len, (await rows_of(shop.tenant_id)).values()))
    await shop.call("DELETE", "/tenants/me", json={"password": PASSWORD})

    await erase_now(shop.tenant_id)

    async with system_scope() as connection:
        [entry] = await connection.fetch("SELECT *, facts ->> 'rows' AS rows, facts - 'rows' - 'started_at' AS others FROM audit_log")
    assert (entry["action"], entry["tenant_id"], entry["actor"], entry["ip_address"]) == ("tenant.erased", None, f"user:{user}", None)
    # The entry of the beginning is one more, and the session goes with its user, uncounted.
    assert (int(entry["rows"]), entry["others"]) == (rows + 1 - 1, "{}")


async def test_users_of_other_tenants_stay_and_are_signed_in_there(shop: Shop, other_shop: Shop):
    await shop.expect(201, "POST", "/tenants/me/users", json={"email": "rival@example.com", "role": "viewer"})

    await begin_erasure(shop.tenant_id, "operator")
    await erase_now(shop.tenant_id)

    assert (await other_shop.expect(200, "GET", "/auth/me"))["user"]["email"] == "rival@example.com"
    async with system_scope() as connection:
        assert [row[0] for row in await connection.fetch("SELECT email FROM users")] == ["rival@example.com"]


async def test_to_begin_and_to_erase_twice_is_harmless(clean_database: str, redis: None):
    tenant, rival = await create_tenant(), await create_tenant()

    begun = [await begin_erasure(tenant, "operator"), await begin_erasure(tenant, "operator")]
    await asyncio.gather(erase_now(tenant), erase_now(tenant))
    async for _ in erase(tenant):
        pass

    assert begun == [True, False]
    assert not await begin_erasure(tenant, "operator")
    async with system_scope() as connection:
        assert [row[0] for row in await connection.fetch("SELECT id FROM tenants")] == [rival]
        assert await connection.fetchval("SELECT count(*) FROM audit_log") == 1


async def test_a_tenant_whose_erasure_nobody_asked_for_is_left_alone(shop: Shop):
    (await shop.give_key()).raise_for_status()
    before = await rows_of(shop.tenant_id)

    steps = [step async for step in erase(shop.tenant_id)]

    assert sum(step.rows for step in steps) == 0
    assert await rows_of(shop.tenant_id) == before


async def test_a_killed_process_is_followed_by_a_scheduler(clean_database: str, redis: None, environment: dict[str, str]):
    tenant, rival = await create_tenant(), await create_tenant()
    for each in (tenant, rival):
        async with tenant_scope(each) as connection:
            await write_products(connection, each, Marketplace.WILDBERRIES, [product(str(number)) for number in range(250)])
    rivals_before = await rows_of(rival)

    async with tenant_scope(tenant) as connection:
        # The last of three batches waits for this row.
        await connection.execute("SELECT FROM products WHERE id = (SELECT id FROM products ORDER BY id DESC LIMIT 1) FOR KEY SHARE")
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "tenants", "erase", str(tenant), "--yes", cwd=ROOT, env=environment, stdout=DEVNULL
        )
        await waiting(connection, 1)
        process.kill()
        await process.wait()
    left = len((await rows_of(tenant))["products"])
    await with_a_scheduler_until_erased(tenant)

    assert left == 50
    assert sum(map(len, (await rows_of(tenant)).values())) == 0
    assert await rows_of(rival) == rivals_before
    async with system_scope() as connection:
        # Of both processes together, with the tenant and the entry of the beginning.
        assert await connection.fetchval("SELECT facts ->> 'rows' FROM audit_log WHERE action = 'tenant.erased'") == str(250 + 2)


async def with_a_scheduler_until_erased(tenant_id: UUID) -> None:
    stop = asyncio.Event()
    working = asyncio.create_task(carry_out_erasures(stop))
    async with asyncio.timeout(10):
        while tenant_id in await pending_erasures():
            await asyncio.sleep(0.01)
    stop.set()
    await working


async def test_a_worker_that_has_a_run_of_it_loses_the_lease_and_writes_nothing(clean_database: str, redis: None):
    tenant = await create_tenant_with_key()
    lease = await claimed(tenant)

    await begin_erasure(tenant, "operator")
    with pytest.raises(LeaseLost):
        async with lease.writing(lease.stages[0]) as connection:
            await write_products(connection, tenant, Marketplace.WILDBERRIES, [product("1")])
    with pytest.raises(LeaseLost):
        await lease.renew()

    assert (await rows_of(tenant))["products"] == []


async def test_a_page_that_is_being_written_is_waited_for_and_goes_too(clean_database: str, redis: None):
    tenant = await create_tenant_with_key()
    lease = await claimed(tenant)

    async with lease.writing(lease.stages[0]) as connection:
        await write_products(connection, tenant, Marketplace.WILDBERRIES, [product("1")])
        beginning = beside(begin_erasure(tenant, "operator"))
        await waiting(connection, 1)
    await beginning
    await erase_now(tenant)

    assert sum(map(len, (await rows_of(tenant)).values())) == 0


async def test_a_sync_in_the_middle_of_its_pages_stops_and_leaves_nothing(shop: Shop):
    (await shop.give_key()).raise_for_status()
    run = (await shop.call("POST", "/sync", json={})).json()
    async with system_scope() as connection:
        # The first page waits for this lock, and the erasure behind it.
        await connection.execute("SELECT FROM tenants WHERE id = $1 FOR UPDATE", shop.tenant_id)
        syncing = beside(Runner("test").carry_out_run(UUID(run["id"])))
        await waiting(connection, 1)
        beginning = beside(begin_erasure(shop.tenant_id, "operator"))
        await waiting(connection, 2)
    await asyncio.gather(syncing, beginning)
    await erase_now(shop.tenant_id)

    assert sum(map(len, (await rows_of(shop.tenant_id)).values())) == 0


def beside(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """As another process would: not in the transaction of whoever asks."""
    return asyncio.create_task(work, context=contextvars.Context())


async def waiting(connection: Connection, number: int) -> None:
    """Until so many statements wait for a lock."""
    async with asyncio.timeout(10):
        while await connection.fetchval(WAITING) < number:
            await asyncio.sleep(0.005)


async def test_neither_the_schedule_nor_a_claim_comes_to_it(clean_database: str, redis: None):
    tenant = await create_tenant_with_key()
    async with system_scope() as connection:
        await connection.execute("UPDATE tenants SET next_sync_at = now() - interval '1 minute'")
    await create_run(tenant)

    await begin_erasure(tenant, "operator")
    queued = await queue_due_tenants()
    # As a request may that was under way.
    await create_run(tenant)

    assert queued == 0
    assert await claim("worker") is None


async def test_a_task_in_the_queue_ends_and_those_behind_it_go_on(clean_database: str, redis: None):
    tenant = await create_tenant_with_key()
    await begin_erasure(tenant, "operator")
    async with listening_worker():
        closed = await (await sync_tenant_products.kiq(str(tenant))).wait_result(timeout=10)
        await erase_now(tenant)
        erased = await (await sync_tenant_products.kiq(str(tenant))).wait_result(timeout=10)

    assert [outcome.error.code for outcome in (closed, erased)] == ["credentials_missing", "not_found"]
    assert sum(map(len, (await rows_of(tenant)).values())) == 0


async def test_no_batch_looks_at_a_whole_table(clean_database: str):
    plans: dict[str, list[str]] = {}
    async with tenant_scope(new_id()) as connection:
        await connection.execute(IN_ORDER)
        for rows in WALK:
            for after in (None, tuple(SOMEWHERE[name] for name in rows.order)):
                plan = await connection.fetch(f"EXPLAIN (COSTS OFF) {next_of(rows, after)}", new_id(), rows.batch, *(after or ()))
                plans[f"{rows.table} {after is None}"] = [line[0] for line in plan]
            for table, condition in (*rows.along_with, (rows.table, "id = ANY ($1)")):
                plan = await connection.fetch(f"EXPLAIN (COSTS OFF) DELETE FROM {table} WHERE {condition}", [new_id()])
                plans[f"{table} of {rows.table}"] = [line[0] for line in plan]

    assert {name: lines for name, lines in plans.items() if any("Seq Scan" in line for line in lines)} == {}
    assert all(any("Index" in line for line in lines) for lines in plans.values())
