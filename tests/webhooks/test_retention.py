"""Events and their log go when they are old, and never while one is still to be delivered; what is too late ends at once, however much it is."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from app.database import system_scope
from app.events.types import WebhookTest
from app.webhooks.dispatch import dispatch
from app.webhooks.retention import expire_deliveries, remove_old_events
from tests.ages import grow_older, id_of_age, walk_through
from tests.events.events import record_event, record_events
from tests.webhooks.bots import Bot, bot_of, deliver_due, deliveries

pytestmark = pytest.mark.anyio

KEPT = timedelta(days=30)
OLD, YOUNG = timedelta(days=31), timedelta(days=29)


async def counts() -> tuple[int, int, int]:
    """Events, deliveries and attempts."""
    async with system_scope() as connection:
        tables = ("events", "webhook_deliveries", "webhook_attempts")
        events, of_them, attempts = [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables]
    return events, of_them, attempts


async def make_old(event_id: UUID, age: timedelta) -> UUID:
    """Give the event the id and the time of long ago, and its deliveries too."""
    old_id = id_of_age(age)
    async with system_scope() as connection:
        await connection.execute("UPDATE events SET id = $2, occurred_at = now() - $3::interval WHERE id = $1", event_id, old_id, age)
    return old_id


async def remove() -> int:
    return sum(batch.removed for batch in await walk_through(partial(remove_old_events, kept=KEPT)))


@pytest.mark.parametrize("answer", [200, 410])
async def test_an_old_event_goes_with_its_deliveries_and_attempts(tenant, bot: Bot, sender, answer: int):
    event_id = await record_event(tenant)
    bot.answers(answer)
    await deliver_due(sender)
    assert await counts() == (1, 1, 1)
    await make_old(event_id, OLD)

    removed = await remove()

    assert removed == 1
    assert await counts() == (0, 0, 0)


async def test_a_younger_event_stays_with_its_log(tenant, bot: Bot, sender):
    event_id = await record_event(tenant)
    await deliver_due(sender)
    await make_old(event_id, YOUNG)

    removed = await remove()

    assert removed == 0
    assert await counts() == (1, 1, 1)


async def test_an_old_event_stays_while_one_of_its_receivers_is_still_to_get_it(tenant, bot: Bot, sender):
    async with bot_of(tenant) as second:
        event_id = await record_event(tenant)
        second.answers(500)
        await deliver_due(sender)
        await make_old(event_id, OLD)

        removed = await remove()

        assert removed == 0
        assert await counts() == (1, 2, 2)


async def test_an_old_event_that_nobody_dispatched_yet_stays(tenant):
    await make_old(await record_event(tenant), OLD)

    assert await remove() == 0


async def test_what_can_no_longer_be_delivered_in_time_expires_at_once(tenant, bot: Bot):
    await record_events(tenant, 50)
    async with system_scope() as connection:
        await dispatch(connection)
    await grow_older("UPDATE events SET occurred_at = occurred_at - interval '7 days 1 minute'")
    await grow_older("UPDATE webhook_deliveries SET next_attempt_at = next_attempt_at - interval '7 days'")

    [batch] = await walk_through(expire_deliveries)

    assert (batch.seen, batch.removed) == (50, 50)
    rows = await deliveries(bot)
    assert {row["status"] for row in rows} == {"expired"}
    assert {row["next_attempt_at"] for row in rows} == {None}
    assert all(row["finished_at"] is not None for row in rows)


async def test_each_type_of_event_has_the_lifetime_that_the_catalogue_gives_it(tenant, bot: Bot):
    short = await record_event(tenant, WebhookTest(tenant_id=tenant, message="Test"))
    await record_event(tenant)
    async with system_scope() as connection:
        await dispatch(connection)
    await grow_older("UPDATE events SET occurred_at = occurred_at - interval '1 hour'")

    await walk_through(expire_deliveries)

    status_of = {row["event_id"]: row["status"] for row in await deliveries(bot)}
    assert status_of.pop(short) == "expired"
    assert set(status_of.values()) == {"pending"}


async def test_a_delivery_whose_attempt_is_under_way_does_not_expire_below_it(tenant, bot: Bot):
    await record_event(tenant)
    async with system_scope() as connection:
        await dispatch(connection)
    await grow_older("UPDATE events SET occurred_at = occurred_at - interval '8 days'")
    await grow_older("UPDATE webhook_deliveries SET attempts = 1, next_attempt_at = now() + interval '60 seconds'")

    [batch] = await walk_through(expire_deliveries)

    assert batch.seen == 0
    assert [row["status"] for row in await deliveries(bot)] == ["pending"]
