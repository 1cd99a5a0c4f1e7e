import asyncio

import pytest

from app.database import system_scope
from app.webhooks.delivery import CLAIM
from app.webhooks.dispatch import DISPATCH, EVENTS_PER_BATCH, dispatch, ring_if_due
from tests.events.events import record_event, record_events, sync_failed
from tests.factories import create_tenant
from tests.webhooks.bots import bot_of, deliver_due, deliveries, let_time_pass

pytestmark = pytest.mark.anyio


async def _dispatch() -> int:
    async with system_scope() as connection:
        return await dispatch(connection)


async def test_each_endpoint_that_wants_the_event_gets_a_delivery_and_no_other(tenant, bot):
    rival = await create_tenant("Rival")
    async with (
        bot_of(tenant, "sync.failed", "credentials.invalid") as of_failures,
        bot_of(tenant, "sync.completed") as of_successes,
        bot_of(tenant) as disabled,
        bot_of(rival) as rivals,
    ):
        async with system_scope() as connection:
            await connection.execute("UPDATE webhook_endpoints SET enabled = false WHERE id = $1", disabled.endpoint_id)
        event_id = await record_event(tenant, sync_failed(tenant))

        assert await _dispatch() == 1

        counts = [len(await deliveries(each)) for each in (bot, of_failures, of_successes, disabled, rivals)]
        [delivery] = await deliveries(bot)
    assert counts == [1, 1, 0, 0, 0]
    assert delivery["event_id"] == event_id
    assert delivery["tenant_id"] == tenant
    assert (delivery["status"], delivery["attempts"]) == ("pending", 0)


async def test_an_event_that_nobody_wants_is_done_with(tenant):
    await record_event(tenant)

    assert await _dispatch() == 1
    assert await _dispatch() == 0


async def test_dispatching_again_makes_nothing_twice(tenant, bot):
    await record_event(tenant)
    await _dispatch()
    async with system_scope() as connection:
        await connection.execute("UPDATE events SET dispatched_at = NULL")

    await _dispatch()

    assert len(await deliveries(bot)) == 1


async def test_many_dispatchers_at_once_make_each_delivery_once(tenant, bot):
    for _ in range(40):
        await record_event(tenant)

    dispatched = await asyncio.gather(*(_dispatch() for _ in range(8)))

    assert sum(dispatched) == 40
    assert len(await deliveries(bot)) == 40


async def test_the_log_has_the_order_of_the_events(tenant, bot):
    events = [await record_event(tenant) for _ in range(20)]

    await _dispatch()

    made = await deliveries(bot)  # sorted by their own ids
    assert [delivery["event_id"] for delivery in made] == events
    assert {delivery["id"].version for delivery in made} == {7}


async def test_a_backlog_is_dispatched_in_batches(tenant):
    await record_events(tenant, EVENTS_PER_BATCH + 7)

    assert [await _dispatch() for _ in range(3)] == [EVENTS_PER_BATCH, 7, 0]


async def test_the_sweep_rings_exactly_while_something_is_due(tenant, bot, sender):
    nothing = await ring_if_due()
    await record_event(tenant)
    undispatched = await ring_if_due()
    bot.answers(500)
    await deliver_due(sender)
    waiting = await ring_if_due()
    await let_time_pass()
    due = await ring_if_due()
    bot.answers(200)
    await deliver_due(sender)
    delivered = await ring_if_due()

    assert (nothing, undispatched, waiting, due, delivered) == (False, True, False, True, False)


@pytest.mark.parametrize(
    ("query", "arguments", "indexes"),
    [(DISPATCH, (200,), {"events_not_dispatched"}), (CLAIM, (100, [], []), {"webhook_deliveries_due", "webhook_deliveries_waiting"})],
    ids=["dispatch", "claim"],
)
async def test_dispatcher_and_claim_look_only_at_what_waits(tenant, bot, query, arguments, indexes):
    await record_events(tenant, 20)
    await _dispatch()

    async with system_scope() as connection:
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}", *arguments))

    assert [index for index in indexes if f" {index} " not in plan] == [], plan
