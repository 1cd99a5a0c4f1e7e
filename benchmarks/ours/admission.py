"""Two handlers that do nothing, as a process: `/bare`, which everybody may call, and `/admitted`, for whoever has a role, behind all that a request of the API passes.

As a process: port.
"""

import gc
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from litestar import Litestar, get

from app.api.bodies import StrictRequest
from app.api.headers import StandardHeaders
from app.api.parameters import StrictQuery
from app.api.roles import Role
from app.auth.authentication import Authentication
from app.auth.guards import RoleCheck
from app.database import database
from app.observability.access_log import AccessLog
from app.observability.logs import configure_logs
from app.redis import start_redis, stop_redis
from app.settings import get_settings


@get("/bare", opt={"public": True})
async def bare() -> dict[str, bool]:
    return {"ok": True}


@get("/admitted", opt={"role": Role.VIEWER})
async def admitted() -> dict[str, bool]:
    return {"ok": True}


@asynccontextmanager
async def _resources(_: Litestar) -> AsyncGenerator[None]:
    settings = get_settings()
    await database.open(settings.database_url, pool_size=2, production=False)
    start_redis(settings.redis_url.reveal())
    gc.collect()
    gc.freeze()
    yield
    await stop_redis()
    await database.close()


def make_app() -> StandardHeaders:
    app = Litestar(
        [bare, admitted],
        request_class=StrictRequest,
        middleware=[Authentication(), RoleCheck(), StrictQuery()],
        openapi_config=None,
        lifespan=[_resources],
        logging_config=None,
    )
    return StandardHeaders(AccessLog(app))


if __name__ == "__main__":
    configure_logs(get_settings())
    uvicorn.run(make_app(), port=int(sys.argv[1]), log_config=None, access_log=False, loop="uvloop", http="httptools")
