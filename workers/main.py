"""A worker process: it opens what the tasks need, listens for doorbells, and stops in good order."""

import asyncio
import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import structlog
import uvloop
from taskiq.receiver import Receiver

from app.cache import close_cache, open_cache
from app.credentials.factory import close_marketplace_connections
from app.database import database
from app.jobs import broker
from app.observability import metrics
from app.observability.logs import configure_logs
from app.settings import Settings, get_settings
from app.sync.runner import DEFAULT_CONCURRENCY
from workers import credentials, sync, webhooks
from workers.stopping import stop_on_signal

# All but `sync_tenant_products` end at once, and that ends when the runner stops.
STOP_PATIENCE_S = 3.0

log = structlog.get_logger(__name__)


async def run(settings: Settings, concurrency: int) -> None:
    """Work until a signal comes; then claim nothing more, give running syncs back at their checkpoint, and end."""
    stop = stop_on_signal()
    await database.open(settings.database_url, pool_size=settings.database_pool_size, production=settings.production)
    open_cache(settings)
    broker.connect_to(settings.redis_url.reveal())
    broker.is_worker_process = True
    await broker.startup()
    credentials.start(settings)
    webhooks.start(settings)
    sync.runner.concurrency = concurrency
    metrics.worker_places.set(concurrency)
    sync.runner.lease = timedelta(seconds=settings.sync_lease_s)
    sync.runner.wake()  # for what was left by the last process
    # What is alive now lives as long as the process: a collection need not walk it each time.
    gc.collect()
    gc.freeze()
    # A sync makes objects by the ten thousand, hardly any of them in a cycle: to look for some after every 700 costs a tenth of its time.
    gc.set_threshold(50_000, 20, 50)
    with ThreadPoolExecutor(1) as executor:
        receiver = Receiver(broker, executor=executor, max_async_tasks=concurrency, run_startup=False, wait_tasks_timeout=STOP_PATIENCE_S)
        listening = asyncio.create_task(receiver.listen(stop))
        log.info("worker.started", worker=sync.runner.worker, concurrency=concurrency)
        try:
            await stop.wait()
            # All at once: each has its own patience, and together they have ten seconds.
            await asyncio.gather(sync.runner.stop(), webhooks.stop(), listening)
        finally:
            await broker.shutdown()
            await close_marketplace_connections()
            await close_cache()
            await credentials.stop()
            await database.close()
            log.info("worker.stopped")


def main(concurrency: str = str(DEFAULT_CONCURRENCY)) -> None:
    """The process."""
    settings = get_settings()
    configure_logs(settings)
    uvloop.run(run(settings, int(concurrency)))


if __name__ == "__main__":
    main(*sys.argv[1:])
