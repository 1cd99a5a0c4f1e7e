"""The scheduler: once a second it queues what is due and finds what was lost, once a minute it looks at the sellers' keys.

Any number may run; the database gives each piece to one.
"""

import asyncio
import signal

import structlog
import uvloop

from app.credentials.expiry import BATCH as EXPIRIES
from app.credentials.expiry import look_at_expiries
from app.credentials.rechecks import ring_for_rechecks
from app.credentials.sharing import review_outdated_sharing
from app.database import database
from app.errors import Unavailable
from app.jobs import broker
from app.observability.logs import configure_logs
from app.runs.schedule import BATCH, queue_due_tenants
from app.runs.sweep import Sweep, ring_for_waiting
from app.settings import Settings, get_settings
from app.webhooks.dispatch import ring_if_due
from workers.housekeeping import Housekeeping

TICK_S = 1.0
KEYS_EVERY_S = 60.0

log = structlog.get_logger(__name__)

sweep = Sweep()


async def tick() -> None:
    """One look at everything.

    Raises:
        Unavailable: the database does not answer; the next tick tries again.
    """
    while await queue_due_tenants() == BATCH:
        pass
    await sweep.requeue_expired()
    await ring_for_waiting()
    await ring_if_due()


async def look_at_keys() -> None:
    """Which keys end soon or have ended, which shop several tenants have keys of, and whether it is time to ask a marketplace again.

    Raises:
        Unavailable: the database does not answer; the next look tries again.
    """
    while await look_at_expiries() == EXPIRIES:
        pass
    await review_outdated_sharing()
    await ring_for_rechecks()


async def _look_at_keys_if_possible() -> None:
    try:
        await look_at_keys()
    except Unavailable:
        raise
    except Exception:
        # A fault of ours about one key must not keep all sellers' syncs from being queued: it stands in the log with its traceback.
        log.exception("scheduler.look_at_keys_failed")


async def run(settings: Settings) -> None:
    """Tick until a signal comes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Longer than a worker needs to notice that the database is back, however long it hung.
    sweep.patience_s = settings.sync_lease_s / 4
    await database.open(settings.database_url, pool_size=2, production=settings.production)
    broker.connect_to(settings.redis_url.reveal())
    await broker.startup()
    log.info("scheduler.started")
    next_look_s = 0.0
    housekeeping = Housekeeping(settings)
    try:
        while not stop.is_set():
            try:
                await tick()
                if loop.time() >= next_look_s:
                    next_look_s = loop.time() + KEYS_EVERY_S
                    await _look_at_keys_if_possible()
                await housekeeping.step()
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
