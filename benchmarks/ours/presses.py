"""Sellers who press "sync" one after the other, as a process, until it is stopped.

Arguments: seconds between two presses. The tenants' ids come as JSON on the first line of the standard input. Asking is what the API does for
`POST /sync`; what came of it stands in the runs' rows.
"""

import asyncio
import itertools
import sys
from uuid import UUID

import msgspec
import uvloop

from app.database import database
from app.jobs import broker
from app.marketplaces.contract import Marketplace
from app.observability.logs import configure_logs
from app.runs.service import request_run
from app.runs.tables import Trigger
from app.settings import Settings, get_settings


async def _press(settings: Settings, tenants: list[UUID], every_s: float) -> None:
    await database.open(settings.database_url, pool_size=2, production=settings.production)
    broker.connect_to(settings.redis_url.reveal())
    await broker.startup()
    for tenant_id in itertools.cycle(tenants):
        await request_run(tenant_id, Marketplace.WILDBERRIES, Trigger.MANUAL)
        await asyncio.sleep(every_s)


if __name__ == "__main__":
    configure_logs(get_settings())
    uvloop.run(_press(get_settings(), msgspec.json.decode(sys.stdin.readline(), type=list[UUID]), float(sys.argv[1])))
