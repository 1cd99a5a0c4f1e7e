"""A run that was begun while the database's clock was years ahead goes on when the clock is put back."""

from datetime import timedelta

import pytest

from app.database import system_scope
from app.marketplaces.errors import RateLimited
from app.runs.lease import claim
from app.runs.schedule import correct_appointments
from app.runs.service import get_run
from app.runs.tables import RunStatus
from app.sync.runner import Runner
from tests.scripted_client import order
from tests.scripted_shop import PlayShop, ScriptedShop, play_shop, stages

__all__ = ["play_shop"]

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
LEAP = timedelta(days=400)


async def go_on(shop: ScriptedShop) -> bool:
    """Whether the run was due, by the clock as it is."""
    await correct_appointments()
    return await Runner("test").carry_out_run(shop.run_id)


async def test_a_wait_that_a_leaping_clock_made_years_long_ends_when_the_clock_is_put_back(play_shop: PlayShop):
    shop = await play_shop(orders=[RateLimited(3 * HOUR), [order("A")]])
    await shop.start()
    await shop.let_time_pass(-LEAP)
    assert await claim("test") is None

    was_due = await go_on(shop)

    run = await get_run(shop.tenant_id, shop.run_id)
    assert (was_due, run.status, stages(run)["orders"].created) == (True, RunStatus.SUCCEEDED, 1)
    assert (await shop.event())["duration_s"] >= 0


@pytest.mark.parametrize("hours", [3, 23.9])
async def test_a_wait_as_long_as_a_marketplace_may_ask_for_is_kept(play_shop: PlayShop, hours: float):
    shop = await play_shop(orders=[RateLimited(hours * HOUR), [order("A")]])
    waiting = await shop.start()

    was_due = await go_on(shop)

    assert (was_due, waiting.status) == (False, RunStatus.QUEUED)
    assert (await get_run(shop.tenant_id, shop.run_id)).not_before == waiting.not_before


async def test_a_run_from_a_leap_does_not_ask_a_marketplace_that_wants_more_than_a_day_again_and_again(play_shop: PlayShop):
    shop = await play_shop(orders=[RateLimited(HOUR), RateLimited(30 * HOUR), [order("A")]])
    await shop.start()
    await shop.let_time_pass(-LEAP)

    await go_on(shop)

    run = await get_run(shop.tenant_id, shop.run_id)
    assert (run.status, stages(run)["orders"].status) == (RunStatus.PARTIAL, "failed")


async def test_no_run_has_lasted_less_than_no_time(play_shop: PlayShop):
    shop = await play_shop()

    async def put_the_clock_back() -> None:
        async with system_scope() as connection:
            await connection.execute("UPDATE sync_runs SET started_at = started_at + interval '1 hour'")

    shop.client.pages["orders"] = [put_the_clock_back, [order("A")]]

    await shop.start()

    assert (await shop.event())["duration_s"] == 0
