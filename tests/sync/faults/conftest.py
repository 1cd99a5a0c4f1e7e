"""Two shops that a whole module of tests goes on with, each after the other's troubles; and shops of a test's own."""

import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest

from app.cache import close_cache, open_cache
from app.credentials import factory
from app.credentials.factory import close_marketplace_connections
from app.database import system_scope
from app.jobs import broker
from app.main import create_app
from app.marketplaces.contract import Marketplace
from app.marketplaces.ozon.client import OzonClient
from app.marketplaces.transport import Backoff, Transport
from app.redis import get_redis, start_redis, stop_redis
from app.sandbox.control import environment as marketplaces_at
from app.settings import Settings, get_settings
from tests.application import Shop, sandbox_url
from tests.auth.application import forget_sessions
from tests.sync.faults.seller import PRODUCTS, REDRAWN_EVERY, OpenShop, SandboxClock, Seller

__all__ = ["sandbox_url"]


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def slept(monkeypatch_module: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the product would have slept, in seconds; nobody sleeps."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch_module.setattr(factory, "Transport", partial(Transport, backoff=Backoff(base_s=0.001), sleep=sleep))
    return pauses


@pytest.fixture(scope="module")
async def settings(open_database: str, redis_url: str, sandbox_url: str, monkeypatch_module: pytest.MonkeyPatch) -> AsyncIterator[Settings]:
    monkeypatch_module.setenv("DATABASE_URL", open_database)
    monkeypatch_module.setenv("REDIS_URL", redis_url)
    for name, url in marketplaces_at(sandbox_url).items():
        monkeypatch_module.setenv(name, url)
    get_settings.cache_clear()
    broker.connect_to(redis_url)
    yield get_settings()
    await broker.shutdown()
    async with system_scope() as connection:
        await connection.execute("DELETE FROM tenants")
        await connection.execute("DELETE FROM users")
    get_settings.cache_clear()


@pytest.fixture(scope="module")
async def sandbox(sandbox_url: str, anyio_backend: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{sandbox_url}/sandbox", trust_env=False) as control:
        await control.delete("")
        await control.patch("", json={"limits": False, "report_s": 0})
        yield control
        await control.delete("")


@pytest.fixture(scope="module")
async def client(settings: Settings, sandbox: httpx.AsyncClient, slept: list[float]) -> AsyncIterator[httpx.AsyncClient]:
    start_redis(settings.redis_url.reveal())
    await get_redis().flushdb()
    open_cache(settings)
    transport = httpx.ASGITransport(app=create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as client:
        yield client
    await close_marketplace_connections()
    await forget_sessions()
    await close_cache()
    await stop_redis()


@pytest.fixture(scope="module")
async def clock(sandbox: httpx.AsyncClient) -> SandboxClock:
    """A whole half hour of the day before yesterday, so that there is time to pass."""
    now = datetime.now(UTC) - timedelta(days=2)
    clock = SandboxClock(sandbox, now - (now - datetime.min.replace(tzinfo=UTC)) % REDRAWN_EVERY)
    await clock.move()
    return clock


@pytest.fixture(scope="module")
async def open_shop(
    client: httpx.AsyncClient, sandbox: httpx.AsyncClient, clock: SandboxClock, monkeypatch_module: pytest.MonkeyPatch
) -> OpenShop:
    """Register a seller, who has no key yet."""
    # Ozon is asked for what changed by our clock.
    monkeypatch_module.setattr(factory, "OzonClient", partial(OzonClient, now=lambda: clock.now))
    numbers = itertools.count()

    async def open_shop(marketplace: Marketplace, products: int = PRODUCTS) -> Seller:
        return Seller(await Shop.register(client, f"tg{next(numbers)}@example.com"), sandbox, clock, marketplace, products)

    return open_shop


@pytest.fixture(scope="module")
async def wildberries(open_shop: OpenShop) -> Seller:
    """A shop that was copied whole."""
    seller = await open_shop(Marketplace.WILDBERRIES)
    await seller.copy()
    return seller


@pytest.fixture(scope="module")
async def ozon(open_shop: OpenShop) -> Seller:
    """Likewise."""
    seller = await open_shop(Marketplace.OZON)
    await seller.copy()
    return seller
