"""Of runs that ended long ago only the last one of each account stays; of those that found nothing, of some days ago."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import asyncpg
import msgspec
import pytest

from app import retention
from app.database import system_scope
from app.marketplaces.contract import Marketplace
from app.runs.retention import remove_old_logs, remove_old_runs, remove_unchanged_runs
from app.runs.schemas import StageReport
from app.runs.tables import Stage, Trigger
from tests.ages import add_ended_run, walk_through
from tests.factories import create_tenant, product
from tests.scripted_shop import PlayShop, play_shop

__all__ = ["play_shop"]

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


LATELY = timedelta(days=2)
FOUND_NOTHING = StageReport(Stage.PRODUCTS, status="succeeded", fetched=50, unchanged=50, requests=2)


async def remove_unchanged() -> int:
    return sum(batch.removed for batch in await walk_through(partial(remove_unchanged_runs, kept=LATELY)))


def as_json(report: StageReport) -> str:
    return msgspec.json.encode([FOUND_NOTHING, report]).decode()


async def test_a_run_of_the_schedule_that_found_nothing_goes_sooner_with_its_logs(clean_database):
    tenant = await create_tenant()
    await add_ended_run(tenant, timedelta(days=3), stages=as_json(FOUND_NOTHING))
    young = await add_ended_run(tenant, timedelta(days=1), stages=as_json(FOUND_NOTHING))

    removed = await remove_unchanged()

    assert removed == 1
    assert await runs_of(tenant) == {young}
    assert await logs_of(tenant) == 1


@pytest.mark.parametrize("count", ["created", "updated", "archived", "rejected"])
async def test_a_run_that_found_anything_in_any_stage_stays_as_long_as_others(clean_database, count: str):
    tenant = await create_tenant()
    told = await add_ended_run(tenant, timedelta(days=3), stages=as_json(StageReport(Stage.STOCKS, status="succeeded", **{count: 1})))
    later = await add_ended_run(tenant, timedelta(days=1))

    assert await remove_unchanged() == 0
    assert await runs_of(tenant) == {told, later}
    assert await logs_of(tenant) == 2


@pytest.mark.parametrize("status", ["partial", "failed", "cancelled", "queued"])
async def test_a_run_that_did_not_succeed_stays_as_long_as_others_though_it_found_nothing(clean_database, status: str):
    tenant = await create_tenant()
    troubled = await add_ended_run(tenant, timedelta(days=3), status=status, stages=as_json(FOUND_NOTHING))
    later = await add_ended_run(tenant, timedelta(days=1))

    assert await remove_unchanged() == 0
    assert await runs_of(tenant) == {troubled, later}


@pytest.mark.parametrize("trigger", [Trigger.MANUAL, Trigger.API, Trigger.CREDENTIALS])
async def test_a_run_that_somebody_asked_for_stays_as_long_as_others_though_it_found_nothing(clean_database, trigger: Trigger):
    tenant = await create_tenant()
    asked_for = await add_ended_run(tenant, timedelta(days=3), trigger=trigger, stages=as_json(FOUND_NOTHING))
    later = await add_ended_run(tenant, timedelta(days=1))

    assert await remove_unchanged() == 0
    assert await runs_of(tenant) == {asked_for, later}


async def test_the_last_run_of_an_account_stays_with_its_logs_though_it_found_nothing(clean_database):
    tenant = await create_tenant()
    last = await add_ended_run(tenant, timedelta(days=3), stages=as_json(FOUND_NOTHING))

    assert await remove_unchanged() == 0
    assert await runs_of(tenant) == {last}
    assert await logs_of(tenant) == 1


async def test_what_lies_further_back_is_not_walked_through_again_and_goes_with_the_others(clean_database):
    tenant = await create_tenant()
    left = await add_ended_run(tenant, timedelta(days=5), stages=as_json(FOUND_NOTHING))
    young = await add_ended_run(tenant, timedelta(days=1))

    [batch] = await walk_through(partial(remove_unchanged_runs, kept=LATELY))

    assert batch == retention.Batch(0, 0, None)
    assert await runs_of(tenant) == {left, young}


async def test_of_real_syncs_the_one_that_wrote_the_catalogue_stays_and_the_ones_that_found_nothing_go(play_shop: PlayShop):
    shop = await play_shop(products=[[product("1"), product("2")]])
    first, _, last = await shop.start(), await shop.start(full=True), await shop.start(full=True)
    await shop.rows("UPDATE sync_runs SET priority = 10 RETURNING id")

    await walk_through(partial(remove_unchanged_runs, kept=timedelta(seconds=-1)))

    assert await runs_of(shop.tenant_id) == {first.id, last.id}
    assert await shop.rows("SELECT count(*) FROM sync_logs WHERE run_id IS NULL") == [(0,)]
