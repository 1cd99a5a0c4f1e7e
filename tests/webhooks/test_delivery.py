"""design: webhooks. Real receivers that verify with the public library, and a real database; time passes by moving what is due."""

import asyncio
import contextvars
import time
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from app.database import system_scope, tenant_scope
from app.events.outbox import record
from app.events.types import WebhookTest
from app.secret import Secret
from app.settings import new_master_key
from app.vault import Vault, get_vault
from app.webhooks import delivery as delivery_module
from app.webhooks.delivery import MOST_IN_FLIGHT_PER_ENDPOINT, Claimed, Deliverer, claim, deliver
from app.webhooks.dispatch import dispatch
from app.webhooks.service import delete_webhook
from tests.events.events import record_event, record_events, sync_completed, sync_failed
from tests.factories import create_tenant
from tests.webhooks.bots import SCHEDULE_S, attempts, bot_of, deliver_due, deliveries, endpoint, has_been_failing, let_time_pass, until

pytestmark = pytest.mark.anyio


async def test_an_event_arrives_in_a_form_that_the_public_library_verifies(tenant, bot, sender):
    event_id = await record_event(tenant)

    [answer] = await deliver_due(sender)

    [message] = bot.messages
    [request] = bot.receiver.requests
    assert answer.delivered
    assert message["type"] == "sync.completed"
    assert message["sequence"] == 1
    assert request.headers["webhook-id"] == f"msg_{event_id.hex}"
    assert request.headers["content-type"] == "application/json"
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 5
    [delivery] = await deliveries(bot)
    assert (delivery["status"], delivery["attempts"], delivery["next_attempt_at"]) == ("delivered", 1, None)
    assert delivery["finished_at"] is not None


async def test_each_attempt_has_the_same_bytes_and_id_and_a_time_and_signature_of_its_own(tenant, bot, sender):
    await record_event(tenant)
    bot.answers(500)

    await deliver_due(sender)
    sent_at = int(bot.receiver.requests[0].headers["webhook-timestamp"])
    await until(lambda: int(time.time()) > sent_at)
    await let_time_pass()
    await deliver_due(sender)

    first, second = bot.receiver.requests
    assert len(bot.messages) == 2  # both verify
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) > sent_at
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


async def test_a_redirect_is_a_failure_and_is_not_followed(tenant, bot, sender):
    async with bot_of(await create_tenant()) as elsewhere:
        await record_event(tenant)
        bot.answers(302, Location=f"http://127.0.0.1:{elsewhere.receiver.port}/")

        await deliver_due(sender)

        assert elsewhere.receiver.requests == []
    [delivery] = await deliveries(bot)
    [attempt] = await attempts(bot)
    assert delivery["status"] == "pending"
    assert (attempt["status_code"], attempt["error"]) == (302, "redirect")


async def test_an_event_of_a_transaction_that_rolls_back_is_never_delivered(tenant, bot, sender):
    with pytest.raises(ZeroDivisionError):
        async with tenant_scope(tenant) as connection:
            await record(connection, tenant, sync_completed(tenant, "never"))
            raise ZeroDivisionError
    await record_event(tenant)

    await deliver_due(sender)

    [message] = bot.messages
    assert message["data"]["message"] != "never"
    assert message["sequence"] == 1


async def test_one_claim_takes_some_of_each_endpoint_however_long_one_queue_is(tenant, bot):
    await record_events(tenant, 500)
    neighbour = await create_tenant("Neighbour")
    async with bot_of(neighbour) as quick:
        await record_event(neighbour)
        async with system_scope() as connection:
            while await dispatch(connection):
                pass

            claimed, may_be_more = await claim(connection, 100, {})

    endpoints = [delivery.endpoint_id for delivery in claimed]
    assert endpoints.count(bot.endpoint_id) == MOST_IN_FLIGHT_PER_ENDPOINT
    assert endpoints.count(quick.endpoint_id) == 1
    assert not may_be_more


async def test_each_type_has_a_lifetime_of_its_own(tenant, bot, sender):
    await record_event(tenant)
    await record_event(tenant, WebhookTest(tenant_id=tenant, message="too late"))
    async with system_scope() as connection:
        await connection.execute("UPDATE events SET occurred_at = now() - interval '6 minutes'")

    await deliver_due(sender)

    assert [delivery["status"] for delivery in await deliveries(bot)] == ["delivered", "expired"]
    assert [message["type"] for message in bot.messages] == ["sync.completed"]


async def test_an_event_that_nobody_took_within_its_lifetime_expires_unsent(tenant, bot, sender):
    await record_event(tenant)
    async with system_scope() as connection:
        await connection.execute("UPDATE events SET occurred_at = now() - interval '7 days 1 minute'")

    assert await deliver_due(sender) == [None]

    [delivery] = await deliveries(bot)
    assert (delivery["status"], delivery["next_attempt_at"]) == ("expired", None)
    assert bot.receiver.requests == []


async def test_events_of_another_tenant_never_reach_an_endpoint(tenant, bot, sender):
    rival = await create_tenant("Rival")
    async with bot_of(rival) as rivals_bot:
        await record_event(rival)
        await record_event(tenant)

        await deliver_due(sender)

        [ours], [theirs] = bot.messages, rivals_bot.messages
    assert ours["data"]["tenant_id"] == str(tenant)
    assert theirs["data"]["tenant_id"] == str(rival)


async def test_a_worker_that_vanishes_between_sending_and_writing_is_replaced_after_its_lease(tenant, bot, sender):
    await record_event(tenant)
    async with system_scope() as connection:
        await dispatch(connection)
        [claimed], _ = await claim(connection, 100, {})
    hold = bot.holds()
    killed = asyncio.create_task(deliver(sender, claimed, SCHEDULE_S))
    await bot.heard(1)
    killed.cancel()
    await asyncio.wait([killed])
    hold.release()

    before_the_lease_ends = await deliver_due(sender)
    [leased] = await deliveries(bot)
    await let_time_pass()
    [answer] = await deliver_due(sender)

    assert before_the_lease_ends == []
    assert 50 < leased["wait_s"] <= 60
    assert answer.delivered
    assert len(set(bot.message_ids)) == 1
    assert len(bot.messages) == 2
    [delivery] = await deliveries(bot)
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 2)


@pytest.mark.parametrize(("status", "outcome"), [(200, "delivered"), (500, "pending"), (410, "failed")])
async def test_who_lost_the_lease_no_longer_says_when_to_try_again(tenant, bot, sender, status, outcome):
    await record_event(tenant)
    async with system_scope() as connection:
        await dispatch(connection)
        [late], _ = await claim(connection, 100, {})
    await let_time_pass()
    async with system_scope() as connection:
        [successor], _ = await claim(connection, 100, {})
    bot.answers(status)

    await deliver(sender, late, SCHEDULE_S)

    [delivery] = await deliveries(bot)
    assert successor.number == 2
    assert delivery["status"] == outcome
    assert [attempt["number"] for attempt in await attempts(bot)] == [1]
    if outcome == "pending":
        assert delivery["wait_s"] > 50  # the successor's lease


async def test_what_another_worker_is_about_to_take_is_stepped_over(tenant, bot):
    await record_events(tenant, 15)
    async with system_scope() as connection:
        await dispatch(connection)

    async def take() -> list[Claimed]:
        async with system_scope() as connection:
            return (await claim(connection, 100, {}))[0]

    async with system_scope() as connection:
        first, _ = await claim(connection, 100, {})
        # Another process: it doesn't know of our transaction.
        second = await asyncio.wait_for(asyncio.create_task(take(), context=contextvars.Context()), 10)

    assert (len(first), len(second)) == (10, 5)
    assert len({delivery.id for delivery in first + second}) == 15


async def test_two_workers_at_once_deliver_each_event_once(tenant, bot, sender):
    async with bot_of(tenant, "sync.failed") as other:
        for _ in range(30):
            await record_event(tenant)
            await record_event(tenant, sync_failed(tenant))
        workers = [Deliverer(sender, SCHEDULE_S) for _ in range(2)]
        for worker in workers:
            worker.start()
            worker.wake()

        await bot.heard(60)
        await other.heard(30)
        for worker in workers:
            await worker.stop()

        assert len(set(bot.message_ids)) == len(bot.message_ids) == 60
        assert len(set(other.message_ids)) == len(other.message_ids) == 30
    assert {delivery["status"] for delivery in await deliveries(bot)} == {"delivered"}


async def test_a_slow_endpoint_delays_only_itself_and_has_ten_at_most(tenant, bot, sender):
    hold = bot.holds()
    for _ in range(25):
        await record_event(tenant)
    worker = Deliverer(sender, SCHEDULE_S)
    worker.start()
    worker.wake()
    await bot.heard(MOST_IN_FLIGHT_PER_ENDPOINT)

    neighbour = await create_tenant("Neighbour")
    async with bot_of(neighbour) as quick:
        for _ in range(25):
            await record_event(neighbour)
        worker.wake()
        await quick.heard(25)
        held = len(bot.receiver.requests)
    hold.release()
    await bot.heard(25)
    await worker.stop()

    assert held == MOST_IN_FLIGHT_PER_ENDPOINT
    assert len(set(bot.message_ids)) == len(bot.message_ids) == 25


async def test_thousands_that_wait_for_one_endpoint_do_not_hide_anothers(tenant, bot, sender):
    hold = bot.holds()
    await record_events(tenant, 3000)
    neighbour = await create_tenant("Neighbour")
    async with bot_of(neighbour) as quick:
        await record_event(neighbour)
        worker = Deliverer(sender, SCHEDULE_S)
        worker.start()
        worker.wake()
        await quick.heard(1)
        held = len(bot.receiver.requests)
        stopping = asyncio.create_task(worker.stop())
        hold.release()
        await stopping

    assert held <= MOST_IN_FLIGHT_PER_ENDPOINT


async def test_one_ring_is_enough_for_a_backlog(tenant, bot, sender):
    await record_events(tenant, 500)
    worker = Deliverer(sender, SCHEDULE_S)
    worker.start()

    worker.wake()
    await bot.heard(500, patience_s=30)
    await worker.stop()

    assert len(set(bot.message_ids)) == len(bot.message_ids) == 500


async def test_one_ring_is_enough_also_when_all_places_of_the_process_are_taken(tenant, bot, sender, monkeypatch):
    monkeypatch.setattr(delivery_module, "MOST_IN_FLIGHT", 12)
    async with bot_of(await create_tenant()) as second, bot_of(await create_tenant()) as third:
        for each in (bot, second, third):
            await record_events(each.tenant_id, 100)
        worker = Deliverer(sender, SCHEDULE_S)
        worker.start()

        worker.wake()
        for each in (bot, second, third):
            await each.heard(100, patience_s=30)
        await worker.stop()

        assert {len(each.message_ids) for each in (bot, second, third)} == {100}


async def test_a_failing_endpoint_gets_one_attempt_at_a_time_until_it_is_back(tenant, bot, sender):
    await has_been_failing(bot, 3, timedelta(hours=1))
    for _ in range(5):
        await record_event(tenant)

    [probe] = await deliver_due(sender)
    then = await deliver_due(sender)

    assert probe.delivered
    assert len(then) == 4


async def test_a_disabled_endpoint_gets_nothing_that_was_made_for_it_before(tenant, bot, sender):
    await record_event(tenant)
    async with system_scope() as connection:
        await dispatch(connection)
        await connection.execute("UPDATE webhook_endpoints SET enabled = false")

    assert await deliver_due(sender) == [None]

    [delivery] = await deliveries(bot)
    assert delivery["status"] == "failed"
    assert bot.receiver.requests == []


async def test_an_endpoint_may_be_removed_while_an_attempt_is_under_way(tenant, bot, sender):
    await record_event(tenant)
    hold = bot.holds()
    attempt = asyncio.create_task(deliver_due(sender))
    await bot.heard(1)

    await delete_webhook(tenant, "user:1", bot.endpoint_id)
    hold.release()
    [answer] = await attempt

    assert answer.delivered
    assert await endpoint(bot) is None


async def test_a_secret_that_cannot_be_read_costs_neither_the_event_nor_the_endpoint(tenant, bot, sender, monkeypatch):
    await record_event(tenant)
    monkeypatch.setattr(delivery_module, "get_vault", lambda: Vault([Secret(new_master_key())]))

    with capture_logs() as logs:
        unsent = await deliver_due(sender)
    monkeypatch.setattr(delivery_module, "get_vault", get_vault)
    await let_time_pass()
    [answer] = await deliver_due(sender)

    assert unsent == [None]
    assert "webhooks.secret_unreadable" in [entry["event"] for entry in logs]
    assert answer.delivered
    assert (await endpoint(bot))["failed_attempts"] == 0


async def test_a_stop_cuts_off_what_gets_no_answer_and_leaves_it_to_the_next_worker(tenant, bot, sender, monkeypatch):
    monkeypatch.setattr(delivery_module, "STOP_PATIENCE_S", 0.05)
    await record_event(tenant)
    hold = bot.holds()
    worker = Deliverer(sender, SCHEDULE_S)
    worker.start()
    worker.wake()
    await bot.heard(1)

    await worker.stop()
    hold.release()
    await let_time_pass()
    [answer] = await deliver_due(sender)

    assert answer.delivered
    assert len(set(bot.message_ids)) == 1


async def test_a_stop_waits_for_the_answers_that_come(tenant, bot, sender):
    await record_event(tenant)
    hold = bot.holds()
    worker = Deliverer(sender, SCHEDULE_S)
    worker.start()
    worker.wake()
    await bot.heard(1)

    stopping = asyncio.create_task(worker.stop())
    hold.release()
    await stopping

    [delivery] = await deliveries(bot)
    assert delivery["status"] == "delivered"


async def test_the_deliverer_outlives_a_claim_that_crashes(tenant, bot, sender):
    await record_event(tenant)
    worker = Deliverer(sender, SCHEDULE_S)
    worker.start()

    with capture_logs() as logs:
        await _rename_table("webhook_deliveries", "elsewhere")
        try:
            worker.wake()
            await until(lambda: "webhooks.claim_crashed" in [entry["event"] for entry in logs])
        finally:
            await _rename_table("elsewhere", "webhook_deliveries")
    worker.wake()
    await bot.heard(1)
    await worker.stop()

    [delivery] = await deliveries(bot)
    assert delivery["status"] == "delivered"


async def _rename_table(old: str, new: str) -> None:
    async with system_scope() as connection:
        await connection.execute(f"ALTER TABLE {old} RENAME TO {new}")
