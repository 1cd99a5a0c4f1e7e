"""An application that has accounts and tenants and a few doors to knock on, against real servers."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Self
from uuid import UUID

import asyncpg
import httpx
import jwt
import msgspec
import pytest
from litestar import Litestar, get
from litestar.di import NamedDependency

from app.api.bodies import MAX_BODY_BYTES, StrictRequest
from app.api.headers import StandardHeaders
from app.api.parameters import StrictQuery
from app.api.problem_details import EXCEPTION_HANDLERS
from app.api.roles import Caller, Role
from app.auth import liveness
from app.auth.authentication import CALLER_DEPENDENCIES, Authentication
from app.auth.bot_controllers import ServiceLinkController, TelegramController
from app.auth.controllers import AuthController
from app.auth.guards import RoleCheck
from app.auth.member_controllers import MemberController, TenancyController
from app.auth.service_keys import create_service_key
from app.auth.session_controllers import SessionController
from app.cache import close_cache, open_cache
from app.database import system_scope
from app.rate_limits import sliding_window
from app.redis import get_redis, start_redis, stop_redis
from app.secret import Secret
from app.settings import Settings, get_settings
from app.tenants.controllers import TenantController

PASSWORD = "correct horse battery staple"
ADDRESS = "203.0.113.7"


class Seller(msgspec.Struct, frozen=True):
    """A registered seller: the answer to the registration, and a client that carries the access token."""

    client: httpx.AsyncClient
    email: str
    access_token: str
    refresh_token: str
    tenant_id: UUID
    user_id: UUID

    @classmethod
    async def register(cls, client: httpx.AsyncClient, email: str = "tg12345@example.com") -> Self:
        answer = await client.post(
            "/auth/register", json={"email": email, "password": PASSWORD, "company_name": "Romashka", "marketplace_type": "wildberries"}
        )
        assert answer.status_code == 201, answer.text
        return cls.of(client, email, answer.json())

    @classmethod
    def of(cls, client: httpx.AsyncClient, email: str, answer: dict[str, Any]) -> Self:
        return cls(client, email, answer["access_token"], answer["refresh_token"], UUID(answer["tenant"]["id"]), UUID(answer["user"]["id"]))

    @property
    def session_id(self) -> UUID:
        return UUID(jwt.decode(self.access_token, options={"verify_signature": False})["sid"])

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path, headers={"Authorization": f"Bearer {self.access_token}"})

    async def post(self, path: str, body: object) -> httpx.Response:
        return await self.client.post(path, json=body, headers={"Authorization": f"Bearer {self.access_token}"})

    async def delete(self, path: str) -> httpx.Response:
        return await self.client.delete(path, headers={"Authorization": f"Bearer {self.access_token}"})

    async def patch(self, path: str, changes: object) -> httpx.Response:
        return await self.client.patch(path, json=changes, headers={"Authorization": f"Bearer {self.access_token}"})

    async def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        return await self.client.request(method, path, json=body, headers={"Authorization": f"Bearer {self.access_token}"})

    async def refresh(self, refresh_token: str | None = None) -> httpx.Response:
        return await self.client.post("/auth/refresh", json={"refresh_token": refresh_token or self.refresh_token})

    async def logout(self) -> httpx.Response:
        return await self.client.post("/auth/logout", json={"refresh_token": self.refresh_token})


class Bot(msgspec.Struct, frozen=True):
    """A bot with a service key, which brings sellers."""

    client: httpx.AsyncClient
    key: Secret

    @classmethod
    async def make(cls, client: httpx.AsyncClient, name: str = "shop-bot") -> Self:
        return cls(client, await create_service_key(name))

    @property
    def id(self) -> UUID:
        return UUID(self.key.reveal().split("_")[1])

    async def ask(self, telegram_user_id: object, **body: object) -> httpx.Response:
        return await self.client.post(
            "/auth/telegram", json={"telegram_user_id": telegram_user_id, **body}, headers={"Authorization": f"Bearer {self.key.reveal()}"}
        )

    async def bring(self, telegram_user_id: int = 12345, status: int = 201) -> Seller:
        answer = await self.ask(telegram_user_id, company_name="Romashka", marketplace_type="wildberries")
        assert answer.status_code == status, answer.text
        return Seller.of(self.client, "", answer.json())


@asynccontextmanager
async def held_sign_ins(url: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Whoever opens a login session waits in the middle of it, until told to go on."""
    holder = await asyncpg.connect(url)
    await holder.execute("SELECT pg_advisory_lock(1)")
    await holder.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END'"
    )
    await holder.execute("CREATE TRIGGER wait BEFORE INSERT ON login_sessions FOR EACH ROW EXECUTE FUNCTION wait()")

    async def go_on() -> None:
        await holder.execute("SELECT pg_advisory_unlock(1)")

    try:
        yield go_on
    finally:
        await holder.execute("DROP FUNCTION wait CASCADE")
        await holder.close()


async def waiting_for_locks(number: int) -> None:
    """Until so many do."""
    async with asyncio.timeout(10):
        while True:
            async with system_scope() as connection:
                if await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") == number:
                    return
            await asyncio.sleep(0.01)


@get("/open", opt={"public": True})
async def open_to_all() -> None:
    return None


@get("/closed")
async def closed_to_all() -> None:
    return None


@get("/misspelt", opt={"role": "viewer", "public": "yes"})
async def misspelt() -> None:
    return None


@get("/viewers", opt={"role": Role.VIEWER})
async def for_viewers(caller: NamedDependency[Caller], tenant_id: NamedDependency[UUID]) -> dict[str, Any]:
    return {"user_id": caller.user_id, "tenant_id": tenant_id, "role": caller.role}


@get("/owners", opt={"role": Role.OWNER})
async def for_owners() -> None:
    return None


@pytest.fixture
def settings(clean_database: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("DATABASE_URL", clean_database)
    monkeypatch.setenv("REDIS_URL", redis_url)
    get_settings.cache_clear()
    yield get_settings()
    get_settings.cache_clear()


@pytest.fixture
def more_jwt_secrets(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Call it with other values of JWT_SECRET; `{}` stands for the present one."""

    def change(form: str) -> None:
        monkeypatch.setenv("JWT_SECRET", form.format(os.environ["JWT_SECRET"]))
        get_settings.cache_clear()

    yield change
    get_settings.cache_clear()


@pytest.fixture
async def redis(settings: Settings, anyio_backend: str) -> AsyncIterator[None]:
    """Redis and the cache, open and empty."""
    start_redis(settings.redis_url.reveal())
    await get_redis().flushdb()
    open_cache(settings)
    yield
    await forget_sessions()
    await close_cache()
    await stop_redis()


async def forget_sessions() -> None:
    """What this process knows of login sessions besides Redis and PostgreSQL."""
    liveness._away_until = sliding_window._away_until = 0.0
    liveness._untold.clear()
    if liveness._telling is not None:
        await liveness._telling


def make_app() -> Litestar:
    app = Litestar(
        [
            AuthController,
            TelegramController,
            SessionController,
            TenancyController,
            MemberController,
            TenantController,
            ServiceLinkController,
            open_to_all,
            closed_to_all,
            misspelt,
            for_viewers,
            for_owners,
        ],
        path="/api/v1",
        request_class=StrictRequest,
        request_max_body_size=MAX_BODY_BYTES,
        dependencies=CALLER_DEPENDENCIES,
        middleware=[Authentication(), RoleCheck(), StrictQuery()],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
    )
    app.asgi_handler = StandardHeaders(app.asgi_handler)
    return app


@pytest.fixture
async def client(redis: None) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=make_app(), client=(ADDRESS, 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as client:
        yield client


@pytest.fixture
async def seller(client: httpx.AsyncClient) -> Seller:
    return await Seller.register(client)


@pytest.fixture
async def bot(client: httpx.AsyncClient) -> Bot:
    return await Bot.make(client)


@pytest.fixture
async def rival(client: httpx.AsyncClient) -> Seller:
    return await Seller.register(client, "rival@example.com")
