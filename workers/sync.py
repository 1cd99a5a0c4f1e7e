"""What workers do about syncs."""

import asyncio
import os
import socket
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from app.jobs import broker
from app.marketplaces.contract import Marketplace
from app.observability import metrics
from app.runs.jobs import WakeWorker
from app.runs.schemas import RunOut
from app.runs.service import get_run, request_run
from app.runs.tables import RunStatus, Trigger
from app.sync.runner import Runner

# Another worker has the run: its row is looked at this often.
LOOK_AGAIN_S = 0.5

runner = Runner(worker=f"{socket.gethostname()}:{os.getpid()}"[:100])

# At nought from the start: see the end of app/observability/metrics.py.
for _marketplace in Marketplace:
    metrics.dead_runs.labels(_marketplace.value)


@broker.task(WakeWorker.name)
async def wake_worker() -> None:
    """Look for work. The task ends at once: a long backlog of syncs must not keep other messages waiting."""
    runner.wake()


@broker.task("sync_tenant_products")
async def sync_tenant_products(tenant_id: str) -> dict[str, Any]:
    """Join or make the run of the tenant's marketplace account, see it through, and give the run, as `GET /sync/{id}` does.

    The run is done, unless the marketplace asked for a long wait, an operator holds it up or this worker stops: then it waits in the queue, and its `status` says so.

    Raises:
        CredentialsMissing: the tenant has no key.
    """
    tenant = UUID(tenant_id)
    run, _ = await request_run(tenant, None, Trigger.API)
    while not runner.stopping:
        # False where another worker has it, or is just taking it: its row tells how it goes on.
        await runner.carry_out_run(run.id)
        run = await get_run(tenant, run.id)
        if not _goes_on(run):
            break
        await asyncio.sleep(LOOK_AGAIN_S)
    # Many of these may have kept the doorbells behind them in the stream from being heard.
    runner.wake()
    return msgspec.to_builtins(run)


def _goes_on(run: RunOut) -> bool:
    """It is being carried out, or due. One that the marketplace asked to wait, or that an operator holds up, is neither."""
    due = run.not_before is None or run.not_before <= datetime.now(UTC)
    return run.status is RunStatus.RUNNING or (run.status is RunStatus.QUEUED and due and not run.paused)
