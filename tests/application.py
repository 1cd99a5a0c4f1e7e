"""The whole application in this process, against real servers and the sandbox, and a seller who uses it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from taskiq.receiver import Receiver

from app.credentials.factory import close_marketplace_connections
from app.database import system_scope
from app.jobs import broker
from app.main import create_app
from app.redis import get_redis
from app.sandbox.control import environment as marketplaces_at
from app.sandbox.main import serve_in_thread
from app.sandbox.tokens import issue_token
from app.settings import Settings, get_settings
from app.sync.runner import Runner
from tests.auth.application import PASSWORD, redis

__all__ = ["client", "other_shop", "redis", "sandbox", "sandbox_url", "settings", "shop"]


class Shop(msgspec.Struct, frozen=True):
    """A registered seller with a shop at the sandbox marketplace."""

    client: httpx.AsyncClient
    tenant_id: UUID
    seller_id: UUID
    access_token: str

    @classmethod
    async def register(cls, client: httpx.AsyncClient, email: str) -> "Shop":
        answer = await client.post(
            "/auth/register", json={"email": email, "password": PASSWORD, "company_name": "Romashka", "marketplace_type": "wildberries"}
        )
        assert answer.status_code == 201, answer.text
        return cls(client, UUID(answer.json()["tenant"]["id"]), uuid4(), answer.json()["access_token"])

    async def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return await self.client.request(method, path, headers={"Authorization": f"Bearer {self.access_token}"}, **arguments)

    async def send(self, method: str, path: str, content: bytes, media_type: str = "application/json") -> httpx.Response:
        """A body as it is."""
        headers = {"Authorization": f"Bearer {self.access_token}", "Content-Type": media_type}
        return await self.client.request(method, path, content=content, headers=headers)

    async def expect(self, status: int, method: str, path: str, **arguments: Any) -> Any:
        answer = await self.call(method, path, **arguments)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def key(self, **token: Any) -> str:
        return issue_token(self.seller_id, **token)

    async def give_key(self, key: str | None = None, **query: Any) -> httpx.Response:
        body = {"wildberries_api_key": self.key(products=5) if key is None else key}
        return await self.call("PATCH", "/tenants/me/credentials", json=body, params=query)

    async def sync(self, **wanted: Any) -> Any:
        """Ask for a run, carry it out here and now, and give it."""
        run = (await self.call("POST", "/sync", json=wanted)).json()
        assert await Runner("test").carry_out_run(UUID(run["id"]))
        return await self.expect(200, "GET", f"/sync/{run['id']}")

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Look into the database, where `$1` is the tenant."""
        async with system_scope() as connection:
            return [tuple(row) for row in await connection.fetch(statement, self.tenant_id)]


@asynccontextmanager
async def listening_worker() -> AsyncIterator[None]:
    """As workers.main listens, in this process."""
    stop = asyncio.Event()
    broker.is_worker_process = True
    await broker.startup()
    listening = asyncio.create_task(Receiver(broker, max_async_tasks=20, run_startup=False).listen(stop))
    yield
    stop.set()
    await listening
    broker.is_worker_process = False


async def all_runs_ended() -> None:
    """Wait until no run is queued or running."""
    async with asyncio.timeout(30):
        while True:
            async with system_scope() as connection:
                if not await connection.fetchval("SELECT EXISTS (SELECT FROM sync_runs WHERE status IN ('queued', 'running'))"):
                    return
            await asyncio.sleep(0.01)


async def everything_in_redis() -> bytes:
    """Names and values, as they were written."""
    redis, seen = get_redis(), b""
    for name in await redis.keys("*"):
        match await redis.type(name):
            case b"string":
                value = await redis.get(name)
            case b"zset":
                value = await redis.zrange(name, 0, -1)
            case b"hash":
                value = await redis.hgetall(name)
            case b"stream":
                value = await redis.xrange(name)
            case other:
                raise AssertionError(f"{name} is a {other}, which nobody looks into")
        seen += name + (value if isinstance(value, bytes) else repr(value).encode())
    return seen


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    with serve_in_thread() as url:
        yield url


@pytest.fixture
async def sandbox(sandbox_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The controls of the sandbox, which is as new and sets no limits."""
    async with httpx.AsyncClient(base_url=f"{sandbox_url}/sandbox", trust_env=False) as control:
        await control.delete("")
        await control.patch("", json={"limits": False})
        yield control


@pytest.fixture
def settings(clean_database: str, redis_url: str, sandbox_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("DATABASE_URL", clean_database)
    monkeypatch.setenv("REDIS_URL", redis_url)
    for name, url in marketplaces_at(sandbox_url).items():
        monkeypatch.setenv(name, url)
    get_settings.cache_clear()
    yield get_settings()
    get_settings.cache_clear()


@pytest.fixture
async def client(settings: Settings, redis: None, sandbox: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """What the application needs is open already, so it is not started."""
    transport = httpx.ASGITransport(app=create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as client:
        yield client
    await close_marketplace_connections()


@pytest.fixture
async def shop(client: httpx.AsyncClient) -> Shop:
    return await Shop.register(client, "tg12345@example.com")


@pytest.fixture
async def other_shop(client: httpx.AsyncClient) -> Shop:
    return await Shop.register(client, "rival@example.com")
