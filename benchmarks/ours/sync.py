"""Our sync, as a process: it opens what a worker opens, and carries out a queued run."""

import gc
import os
from hashlib import blake2b
from uuid import UUID

import uvloop

from app.cache import close_cache, open_cache
from app.credentials.factory import close_marketplace_connections
from app.credentials.store import update_wildberries_credentials
from app.database import database, tenant_scope
from app.jobs import broker
from app.marketplaces.contract import Marketplace
from app.observability.logs import configure_logs
from app.runs.service import get_run, request_run
from app.runs.tables import RunStatus, Stage, Trigger
from app.secret import Secret
from app.settings import Settings, get_settings
from app.sync.runner import Runner
from benchmarks.shops import SHOP_IN_DATABASE
from benchmarks.usage import Meter, report


async def _main(settings: Settings) -> None:
    await database.open(settings.database_url, pool_size=settings.database_pool_size, production=settings.production)
    open_cache(settings)
    broker.connect_to(settings.redis_url.reveal())
    await broker.startup()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    idle = Meter()
    runner = Runner("benchmark")
    for token in (os.environ["BENCHMARK_WARM_TOKEN"], os.environ["BENCHMARK_TOKEN"]):
        # The same seller is the same tenant in the next process.
        tenant_id = UUID(bytes=blake2b(token.encode(), digest_size=16).digest())
        async with tenant_scope(tenant_id) as connection:
            await connection.execute(SHOP_IN_DATABASE, tenant_id)
            await update_wildberries_credentials(tenant_id, Secret(token), connection)
        run, _ = await request_run(tenant_id, Marketplace.WILDBERRIES, Trigger.API, scopes=(Stage.PRODUCTS, Stage.STOCKS), full=True)
        meter = Meter()
        await runner.carry_out_run(run.id)
        used = meter.read()
        done = await get_run(tenant_id, run.id)
        if done.status is not RunStatus.SUCCEEDED:
            raise SystemExit(f"The run is {done.status}: {done.stages}")
    await broker.shutdown()
    await close_marketplace_connections()
    await close_cache()
    await database.close()
    report(used, idle_pss_mib=idle.pss_mib)


if __name__ == "__main__":
    configure_logs(get_settings())
    uvloop.run(_main(get_settings()))
