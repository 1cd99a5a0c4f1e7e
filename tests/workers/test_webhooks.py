"""The worker's side of webhooks, with real messages and real processes."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from app.events.jobs import DeliverEvents
from app.jobs import broker, enqueue
from app.settings import get_settings
from app.webhooks.dispatch import ring_if_due
from tests.events.events import record_event
from tests.factories import create_tenant
from tests.webhooks.bots import Bot, attempted, bot_of, deliveries, let_time_pass, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bot(clean_database: str) -> AsyncIterator[Bot]:
    async with bot_of(await create_tenant()) as bot:
        yield bot


@contextmanager
def worker_process() -> Iterator["subprocess.Popen[bytes]"]:
    settings = get_settings()
    environment = {**os.environ, "DATABASE_URL": settings.database_url.reveal(), "REDIS_URL": settings.redis_url.reveal()}
    process = subprocess.Popen([sys.executable, "-m", "workers.main"], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_a_ring_delivers_what_happened_since_the_worker_began(bot):
    await record_event(bot.tenant_id)
    with worker_process():
        await bot.heard(1, patience_s=30)  # left by the last process

        await record_event(bot.tenant_id)
        assert await enqueue(DeliverEvents())
        await bot.heard(2)

    assert [message["sequence"] for message in bot.messages] == [1, 2]


async def test_the_sweep_brings_what_nobody_rang_for(bot):
    await record_event(bot.tenant_id)
    bot.answers(500)
    with worker_process():
        await attempted(bot, 1, patience_s=30)
        bot.answers(200)

        await let_time_pass()
        assert await ring_if_due()
        await bot.heard(2)

    assert len(set(bot.message_ids)) == 1


async def test_what_a_killed_worker_had_sent_is_delivered_again_by_another(bot):
    await record_event(bot.tenant_id)
    hold = bot.holds()
    with worker_process() as worker:
        await bot.heard(1, patience_s=30)
        worker.kill()
        worker.wait()
    hold.release()
    bot.answers(200)

    await let_time_pass()
    with worker_process():
        await attempted(bot, 1, patience_s=30)

    [delivery] = await deliveries(bot)
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 2)
    assert len(bot.message_ids) == 2
    assert len(set(bot.message_ids)) == 1


async def test_a_worker_that_is_told_to_stop_waits_for_the_answer_and_ends_well(bot):
    await record_event(bot.tenant_id)
    hold = bot.holds()
    with worker_process() as worker:
        await bot.heard(1, patience_s=30)
        worker.terminate()
        hold.release()
        await until(lambda: worker.poll() is not None)

        assert worker.returncode == 0
    [delivery] = await deliveries(bot)
    assert delivery["status"] == "delivered"


async def test_the_name_of_the_doorbell_never_changes():
    import workers.webhooks  # noqa: F401 - it binds the task

    assert DeliverEvents.name == "webhooks.deliver"
    assert broker.find_task("webhooks.deliver") is not None
