"""The scheduler: once a second it queues what is due and finds what was lost. Any number may run; the database gives each piece to one."""

import asyncio
import signal

import structlog
import uvloop

from app.database import database
from app.errors import Unavailable
from app.jobs import broker
from app.observability.logs import configure_logs
from app.runs.schedule import BATCH, queue_due_tenants
from app.runs.sweep import requeue_expired, ring_for_waiting
from app.settings import Settings, get_settings
from app.webhooks.dispatch import ring_if_due

TICK_S = 1.0

log = structlog.get_logger(__name__)


async def tick() -> None:
    """One look at everything.

    Raises:
        Unavailable: the database does not answer; the next tick tries again.
    """
    while await queue_due_tenants() == BATCH:
        pass
    await requeue_expired()
    await ring_for_waiting()
    await ring_if_due()


async def run(settings: Settings) -> None:
    """Tick until a signal comes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await database.open(settings.database_url, pool_size=2, production=settings.production)
    broker.connect_to(settings.redis_url.reveal())
    await broker.startup()
    log.info("scheduler.started")
    try:
        while not stop.is_set():
            try:
                await tick()
            except Unavailable as error:
                log.warning("scheduler.database_unavailable", detail=error.detail)
            try:
                async with asyncio.timeout(TICK_S):
                    await stop.wait()
            except TimeoutError:
                continue
    finally:
        await broker.shutdown()
        await database.close()
        log.info("scheduler.stopped")


def main() -> None:
    """The process."""
    settings = get_settings()
    configure_logs(settings)
    uvloop.run(run(settings))


if __name__ == "__main__":
    main()
