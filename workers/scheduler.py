"""The scheduler: once a second it queues what is due and finds what was lost, once a minute it looks at the sellers' keys and at the clock's leaps. It also removes
the rows of tenants that are being erased.

Any number may run; the database gives each piece to one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

import structlog
import uvloop

from app.cache import close_cache, open_cache
from app.credentials.expiry import BATCH as EXPIRIES
from app.credentials.expiry import look_at_expiries
from app.credentials.rechecks import ring_for_rechecks
from app.credentials.sharing import review_outdated_sharing
from app.database import database
from app.errors import Unavailable
from app.jobs import broker
from app.observability import metrics
from app.observability.logs import configure_logs
from app.redis import start_redis, stop_redis
from app.runs.pauses import stop_strays
from app.runs.schedule import BATCH, correct_appointments, queue_due_tenants
from app.runs.sweep import Sweep, end_silent_sessions, ring_for_waiting
from app.settings import Settings, get_settings
from app.stocks.history import keep_partitions
from app.sync.cancel import tell_of_runs_called_off
from app.tenant_data.erasure import erase, pending_erasures
from app.webhooks.dispatch import ring_if_due
from workers.gauges import Gauges
from workers.housekeeping import Housekeeping
from workers.stopping import stop_on_signal

TICK_S = 1.0
LOOK_EVERY_S = 60.0

log = structlog.get_logger(__name__)

sweep = Sweep()


async def tick() -> None:
    """One look at what is due, what stands still, and what was lost. A fault in one part stands in the log with its traceback, and keeps no other from its work.

    Raises:
        Unavailable: the database does not answer; the next tick tries again.
    """
    await attempt(queue_all_due_tenants, stop_strays, sweep.requeue_expired, ring_for_waiting, tell_of_runs_called_off, ring_if_due)


async def look_at_keys() -> None:
    """Likewise at which keys end soon or have ended, which shop several tenants have keys of, and whether it is time to ask a marketplace again.

    Raises:
        Unavailable: the database does not answer; the next look tries again.
    """
    await attempt(look_at_all_expiries, review_outdated_sharing, ring_for_rechecks)


async def queue_all_due_tenants() -> None:
    """Batch after batch. Workers begin with the first one, while the others are still being queued."""
    if await queue_due_tenants() == BATCH:
        await ring_for_waiting()
        while await queue_due_tenants() == BATCH:
            pass


async def look_at_all_expiries() -> None:
    """Likewise."""
    while await look_at_expiries() == EXPIRIES:
        pass


async def attempt(*parts: Callable[[], Awaitable[object]]) -> None:
    """Each of them, whatever becomes of the others.

    Raises:
        Unavailable: the database does not answer, so none of those behind can work either.
    """
    for part in parts:
        try:
            await part()
        except Unavailable:
            metrics.scheduler_faults.labels("database_unavailable").inc()
            raise
        except Exception:
            metrics.scheduler_faults.labels("fault").inc()
            log.exception("scheduler.part_failed", part=part.__name__)


async def watch_sessions(stop: asyncio.Event) -> None:
    """Apart from the ticks: they may wait for the very locks that a frozen process holds."""
    while not stop.is_set():
        try:
            await attempt(end_silent_sessions)
        except Unavailable:
            log.debug("scheduler.sessions_not_seen")
        await wait_a_tick(stop)


async def carry_out_erasures(stop: asyncio.Event) -> None:
    """Apart from the ticks: the rows of a large shop take minutes. What a killed process left is carried on."""

    async def erase_pending() -> None:
        for tenant_id in await pending_erasures():
            async with aclosing(erase(tenant_id)) as steps:
                async for _ in steps:
                    if stop.is_set():
                        return

    while not stop.is_set():
        try:
            await attempt(erase_pending)
        except Unavailable as error:
            log.warning("scheduler.erasures_wait", detail=error.detail)
        await wait_a_tick(stop)


async def wait_a_tick(stop: asyncio.Event) -> None:
    """Or until the process is asked to stop."""
    with suppress(TimeoutError):
        async with asyncio.timeout(TICK_S):
            await stop.wait()


async def run(settings: Settings) -> None:
    """Tick until a signal comes."""
    stop, loop = stop_on_signal(), asyncio.get_running_loop()
    # Longer than a worker needs to notice that the database is back, however long it hung.
    sweep.patience_s = settings.sync_lease_s / 4
    await database.open(settings.database_url, pool_size=3, production=settings.production)
    start_redis(settings.redis_url.reveal())
    open_cache(settings)
    broker.connect_to(settings.redis_url.reveal())
    await broker.startup()
    log.info("scheduler.started")
    with suppress(Unavailable):  # the housekeeping comes to it too
        await attempt(keep_partitions)
    next_look_s = 0.0
    housekeeping = Housekeeping(settings)
    gauges = Gauges(settings)
    try:
        async with asyncio.TaskGroup() as beside:
            beside.create_task(watch_sessions(stop))
            beside.create_task(carry_out_erasures(stop))
            while not stop.is_set():
                try:
                    with metrics.timing(metrics.tick_duration):
                        await tick()
                    await attempt(gauges.look)
                    if loop.time() >= next_look_s:
                        next_look_s = loop.time() + LOOK_EVERY_S
                        await look_at_keys()
                        await attempt(correct_appointments)
                    await attempt(housekeeping.step)
                except Unavailable as error:
                    log.warning("scheduler.database_unavailable", detail=error.detail)
                await wait_a_tick(stop)
    finally:
        await gauges.aclose()
        await broker.shutdown()
        await close_cache()
        await stop_redis()
        await database.close()
        log.info("scheduler.stopped")


def main() -> None:
    """The process."""
    settings = get_settings()
    configure_logs(settings)
    uvloop.run(run(settings))


if __name__ == "__main__":
    main()
