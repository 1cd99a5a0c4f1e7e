"""design: webhooks, what an answer leads to. Time passes by moving what is due."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from app.database import system_scope
from app.webhooks.outcome import JITTER, next_step
from app.webhooks.sender import Answer, Failure
from app.webhooks.tables import DeliveryStatus
from tests.events.events import record_event
from tests.webhooks.bots import SCHEDULE_S, attempts, deliver_due, deliveries, endpoint, has_been_failing, let_time_pass

pytestmark = pytest.mark.anyio

BUSY = Answer(status_code=503, duration_s=0.1, error=Failure.UNSUCCESSFUL_STATUS)


async def test_retries_follow_the_schedule_and_end_with_it(tenant, bot, sender):
    await record_event(tenant)
    bot.answers(503)
    waits = []

    for _ in range(len(SCHEDULE_S) + 1):
        await deliver_due(sender)
        [delivery] = await deliveries(bot)
        waits.append(delivery["wait_s"])
        assert await deliver_due(sender) == []  # nothing is due before its time
        await let_time_pass()

    assert len(bot.messages) == len(SCHEDULE_S) + 1
    for wait_s, own_s in zip(waits, SCHEDULE_S, strict=False):
        assert own_s - 1 <= wait_s <= 1.2 * own_s
    assert (delivery["status"], delivery["attempts"], delivery["next_attempt_at"]) == ("failed", 4, None)
    assert [(attempt["number"], attempt["status_code"]) for attempt in await attempts(bot)] == [(n, 503) for n in (1, 2, 3, 4)]


async def test_delays_are_spread_over_a_fifth_so_that_a_crowd_does_not_come_back_at_once():
    for number, own_s in enumerate(SCHEDULE_S, 1):
        steps = [next_step(BUSY, number, SCHEDULE_S) for _ in range(1000)]

        shares = sorted(delay.total_seconds() / own_s - 1 for _, delay in steps)
        assert {status for status, _ in steps} == {DeliveryStatus.PENDING}
        assert 0 <= shares[0] < 0.1 * JITTER
        assert 0.9 * JITTER < shares[-1] <= JITTER == 0.2


async def test_an_answer_that_is_no_text_is_logged_too(tenant, bot, sender):
    await record_event(tenant)
    bot.answers(500, body=b"\x00\xff\xf0\x9f" * 2000)

    await deliver_due(sender)

    [attempt] = await attempts(bot)
    [delivery] = await deliveries(bot)
    assert (attempt["status_code"], delivery["status"]) == (500, "pending")
    assert 0 < len(attempt["excerpt"]) <= 2048


async def test_an_attempt_without_an_answer_is_logged_with_its_error(tenant, bot, sender):
    await record_event(tenant)
    async with system_scope() as connection:
        await connection.execute("UPDATE webhook_endpoints SET url = 'http://127.0.0.1:1/'")

    await deliver_due(sender)

    [attempt] = await attempts(bot)
    [delivery] = await deliveries(bot)
    assert (attempt["error"], attempt["status_code"], attempt["excerpt"]) == ("connection_refused", None, None)
    assert delivery["status"] == "pending"


@pytest.mark.parametrize(
    ("status", "retry_after", "least_s", "most_s"),
    [(429, "8", 7, 8), (503, "8", 7, 8), (429, "3600", 9, 10), (429, "1", 4, 6), (503, "soon", 4, 6), (500, "3600", 4, 6)],
)
async def test_retry_after_is_honoured_up_to_twice_our_own_delay(tenant, bot, sender, status, retry_after, least_s, most_s):
    await record_event(tenant)
    bot.answers(status, Retry_After=retry_after)

    await deliver_due(sender)

    [delivery] = await deliveries(bot)
    assert least_s <= delivery["wait_s"] <= most_s


async def test_gone_disables_the_endpoint_at_once(tenant, bot, sender):
    await record_event(tenant)
    bot.answers(500)
    await deliver_due(sender)
    await record_event(tenant)
    bot.answers(410)

    await deliver_due(sender)
    await record_event(tenant)
    await let_time_pass()
    nothing_more = await deliver_due(sender)

    disabled = await endpoint(bot)
    assert disabled["enabled"] is False
    assert "410" in disabled["disabled_reason"]
    assert nothing_more == []
    assert [delivery["status"] for delivery in await deliveries(bot)] == ["failed", "failed"]
    assert len(bot.messages) == 2


async def test_ten_answers_of_gone_at_once_disable_it_without_a_knot(tenant, bot, sender):
    for _ in range(10):
        await record_event(tenant)
    bot.answers(410)

    with capture_logs() as logs:
        answers = await deliver_due(sender)

    assert [answer.status_code for answer in answers] == [410] * 10
    assert {delivery["status"] for delivery in await deliveries(bot)} == {"failed"}
    assert len(await attempts(bot)) == 10
    assert not [entry for entry in logs if entry["log_level"] == "error"]


async def test_a_barred_destination_fails_for_good_and_nothing_is_stored_of_it(tenant, bot, sender):
    await record_event(tenant)
    async with system_scope() as connection:
        await connection.execute("UPDATE webhook_endpoints SET url = 'http://169.254.169.254/latest/meta-data'")

    await deliver_due(sender)

    [delivery] = await deliveries(bot)
    [attempt] = await attempts(bot)
    assert delivery["status"] == "failed"
    assert (attempt["error"], attempt["status_code"], attempt["excerpt"]) == ("destination_barred", None, None)


async def test_every_attempt_is_logged_with_what_the_receiver_said(tenant, bot, sender):
    await record_event(tenant)
    bot.answers(400, body="Я не понимаю".encode())

    await deliver_due(sender)

    [attempt] = await attempts(bot)
    assert (attempt["number"], attempt["status_code"], attempt["error"]) == (1, 400, "unsuccessful_status")
    assert attempt["excerpt"] == "Я не понимаю"
    assert 0 <= attempt["duration_ms"] < 15_000


@pytest.mark.parametrize(
    ("failed", "since", "still_enabled"),
    [(19, timedelta(days=5), False), (18, timedelta(days=6), True), (40, timedelta(days=4, hours=23), True)],
)
async def test_five_days_and_twenty_attempts_without_a_break_disable_the_endpoint(tenant, bot, sender, failed, since, still_enabled):
    await record_event(tenant)
    await has_been_failing(bot, failed, since)
    bot.answers(500)

    await deliver_due(sender)

    after = await endpoint(bot)
    assert after["failed_attempts"] == failed + 1
    assert after["enabled"] is still_enabled
    assert (after["disabled_reason"] is None) is still_enabled


async def test_one_success_is_a_break(tenant, bot, sender):
    await record_event(tenant)
    await has_been_failing(bot, 30, timedelta(days=6))

    await deliver_due(sender)

    after = await endpoint(bot)
    assert (after["enabled"], after["failed_attempts"], after["failing_since"]) == (True, 0, None)


async def test_the_first_failure_begins_the_row(tenant, bot, sender):
    await record_event(tenant)
    bot.answers(500)

    await deliver_due(sender)

    after = await endpoint(bot)
    assert after["failed_attempts"] == 1
    assert after["failing_since"] is not None
