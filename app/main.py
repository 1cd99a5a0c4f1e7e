"""create_app(): every router, middleware, handler and resource on one page."""

import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from litestar import Litestar, Router

from app.api.bodies import MAX_BODY_BYTES, StrictRequest
from app.api.conditional import ConditionalReads
from app.api.headers import StandardHeaders
from app.api.openapi.router import create_schema_router
from app.api.parameters import StrictQuery
from app.api.problem_details import EXCEPTION_HANDLERS
from app.api.stop_signal import at_stop_signal
from app.audit.controllers import AuditController
from app.auth.authentication import CALLER_DEPENDENCIES, Authentication
from app.auth.bot_controllers import ServiceLinkController, TelegramController
from app.auth.controllers import AuthController
from app.auth.guards import RoleCheck, refuse_handlers_that_name_nobody
from app.auth.member_controllers import MemberController, TenancyController
from app.auth.session_controllers import SessionController
from app.cache import close_cache, open_cache
from app.credentials.connect.controllers import ConnectController
from app.credentials.controllers import CredentialController
from app.credentials.factory import close_marketplace_connections
from app.database import database
from app.errors import Unavailable
from app.idempotency.middleware import IdempotentRequests
from app.jobs import broker
from app.migrations import pending
from app.observability.access_log import AccessLog
from app.observability.health import create_health_router
from app.observability.logs import configure_logs
from app.orders.controllers import OrderController
from app.products.controllers import ChangeController, ProductController
from app.redis import get_redis, start_redis, stop_redis
from app.runs.controllers import SyncController
from app.runs.progress import watcher
from app.settings import Settings, get_settings
from app.stocks.controllers import StockController
from app.sync.controllers import SyncCancelController
from app.tenant_data.controllers import TenantDataController
from app.tenants.controllers import TenantController
from app.webhooks.controllers import WebhookController
from app.webhooks.sender import close_sender, open_sender

API_PATH = "/api/v1"


def create_app(settings: Settings | None = None) -> Litestar:
    """The API as an ASGI application. Resources are opened when it starts and closed when it stops."""
    settings = settings or get_settings()
    configure_logs(settings)

    @asynccontextmanager
    async def resources(_: Litestar) -> AsyncGenerator[None]:
        await database.open(settings.database_url, pool_size=settings.database_pool_size, production=settings.production)
        start_redis(settings.redis_url.reveal())
        open_cache(settings)
        broker.connect_to(settings.redis_url.reveal())
        await broker.startup()
        open_sender(settings)
        watcher.open()
        # What is alive now lives as long as the process: a collection need not walk it each time.
        gc.collect()
        gc.freeze()
        try:
            with at_stop_signal(watcher.stop):
                yield
        finally:
            await watcher.close()
            await close_sender()
            await broker.shutdown()
            await close_marketplace_connections()
            await close_cache()
            await stop_redis()
            await database.close()

    api = Router(
        API_PATH,
        route_handlers=[
            AuthController,
            SessionController,
            TelegramController,
            TenancyController,
            MemberController,
            TenantController,
            TenantDataController,
            AuditController,
            ServiceLinkController,
            CredentialController,
            SyncController,
            SyncCancelController,
            ProductController,
            StockController,
            ChangeController,
            OrderController,
            WebhookController,
        ],
        dependencies=CALLER_DEPENDENCIES,
    )
    app = Litestar(
        [
            api,
            ConnectController,
            create_health_router({"database": _check_database, "redis": _check_redis, "migrations": _check_migrations}),
            create_schema_router(settings.public_url),
        ],
        request_class=StrictRequest,
        request_max_body_size=MAX_BODY_BYTES,
        middleware=[Authentication(), RoleCheck(), StrictQuery(), IdempotentRequests(), ConditionalReads()],
        exception_handlers={**EXCEPTION_HANDLERS},
        openapi_config=None,
        lifespan=[resources],
        logging_config=None,
    )
    refuse_handlers_that_name_nobody(app)
    app.asgi_handler = StandardHeaders(AccessLog(app.asgi_handler))
    return app


async def _check_database() -> None:
    connection = await database.acquire()
    try:
        await connection.fetchval("SELECT 1")
    finally:
        await database.release(connection)


async def _check_redis() -> None:
    await get_redis().execute_command("PING")


async def _check_migrations() -> None:
    connection = await database.acquire()
    try:
        missing = await pending(connection)
    finally:
        await database.release(connection)
    if missing:
        raise Unavailable(f"{len(missing)} migrations are missing; run `stock-tracker migrate`.")
