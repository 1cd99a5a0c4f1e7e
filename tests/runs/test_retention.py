"""Of runs that ended long ago only the last one of each account stays."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import asyncpg
import pytest

from app import retention
from app.database import system_scope
from app.marketplaces.contract import Marketplace
from app.runs.retention import remove_old_logs, remove_old_runs
from tests.ages import add_ended_run, walk_through
from tests.factories import create_tenant

pytestmark = pytest.mark.anyio

KEPT = timedelta(days=30)
OLD, YOUNG = timedelta(days=31), timedelta(days=29)


async def runs_of(tenant_id: UUID) -> set[UUID]:
    async with system_scope() as connection:
        return {row["id"] for row in await connection.fetch("SELECT id FROM sync_runs WHERE tenant_id = $1", tenant_id)}


async def logs_of(tenant_id: UUID) -> int:
    async with system_scope() as connection:
        return await connection.fetchval("SELECT count(*) FROM sync_logs WHERE tenant_id = $1", tenant_id)


async def remove() -> int:
    await walk_through(partial(remove_old_logs, kept=KEPT))
    return sum(batch.removed for batch in await walk_through(partial(remove_old_runs, kept=KEPT)))


@pytest.mark.parametrize("status", ["succeeded", "partial", "failed", "cancelled"])
async def test_a_run_that_ended_long_ago_goes_with_its_logs(clean_database, status: str):
    tenant = await create_tenant()
    await add_ended_run(tenant, OLD, status=status)
    young = await add_ended_run(tenant, YOUNG, status=status)

    removed = await remove()

    assert removed == 1
    assert await runs_of(tenant) == {young}
    assert await logs_of(tenant) == 1


async def test_the_last_run_of_each_account_stays_however_old(clean_database):
    tenant, other = await create_tenant(), await create_tenant()
    await add_ended_run(tenant, OLD + timedelta(days=2))
    last_of_one = await add_ended_run(tenant, OLD + timedelta(days=1), Marketplace.OZON)
    last_of_the_other = await add_ended_run(tenant, OLD)
    of_another_tenant = await add_ended_run(other, OLD)

    await remove()

    assert await runs_of(tenant) == {last_of_one, last_of_the_other}
    assert await runs_of(other) == {of_another_tenant}


@pytest.mark.parametrize("status", ["queued", "running"])
async def test_a_run_that_did_not_end_stays_however_old(clean_database, status: str):
    tenant = await create_tenant()
    waiting = await add_ended_run(tenant, OLD, status=status)
    later = await add_ended_run(tenant, YOUNG)

    await remove()

    assert await runs_of(tenant) == {waiting, later}


async def test_a_run_that_ended_lately_stays_whatever_its_id_says(clean_database):
    tenant = await create_tenant()
    long_on_its_way = await add_ended_run(tenant, OLD)
    async with system_scope() as connection:
        await connection.execute("UPDATE sync_runs SET finished_at = now() - interval '1 day'")
    later = await add_ended_run(tenant, YOUNG)

    await remove()

    assert await runs_of(tenant) == {long_on_its_way, later}


async def test_runs_that_stay_do_not_hide_those_behind_them(clean_database, monkeypatch: pytest.MonkeyPatch):
    stay = [await add_ended_run(await create_tenant(), OLD + timedelta(days=3)) for _ in range(5)]
    tenant = await create_tenant()
    for days in (2, 1):
        await add_ended_run(tenant, OLD + timedelta(days=days))
    young = await add_ended_run(tenant, YOUNG)
    monkeypatch.setattr(retention, "BATCH", 2)

    batches = await walk_through(partial(remove_old_runs, kept=KEPT))

    assert [batch.seen for batch in batches] == [2, 2, 2, 1]
    assert await runs_of(tenant) == {young}
    async with system_scope() as connection:
        assert await connection.fetchval("SELECT count(*) FROM sync_runs") == len(stay) + 1


async def test_a_run_that_somebody_has_locked_is_left_for_the_next_time(clean_database, open_database: str):
    tenant = await create_tenant()
    old = await add_ended_run(tenant, OLD)
    young = await add_ended_run(tenant, YOUNG)
    other = await asyncpg.connect(open_database)
    async with other.transaction():
        await other.execute("SET LOCAL app.scope = 'system'")
        await other.execute("SELECT FROM sync_runs WHERE id = $1 FOR UPDATE", old)

        removed_meanwhile = await remove()

    assert removed_meanwhile == 0
    assert await remove() == 1
    assert await runs_of(tenant) == {young}
    await other.close()
