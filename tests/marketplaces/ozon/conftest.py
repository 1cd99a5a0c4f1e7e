from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
import pytest

from app.marketplaces.contract import KnownSize, KnownSizes, Page
from app.marketplaces.ozon.client import OzonClient
from app.marketplaces.ozon.keys import OzonCredentials, OzonKey
from app.marketplaces.transport import Backoff, Transport
from app.secret import Secret
from tests.marketplaces.scripted_server import ScriptedServer

KEY = OzonCredentials("123456", Secret("7c1f0d2e-1f3a-4a5b-8c6d-000000000001"))
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

MakeClient = Callable[..., OzonClient]


@pytest.fixture
def make_client(server: ScriptedServer, http: aiohttp.ClientSession) -> MakeClient:
    """A client that doesn't sleep, at `now`."""

    async def sleep(seconds: float) -> None:
        del seconds

    def make(key: OzonKey = KEY, now: datetime = NOW) -> OzonClient:
        return OzonClient(key, Transport(http, backoff=Backoff(0, 0), sleep=sleep), server.url, now=lambda: now)

    return make


@pytest.fixture
def client(make_client: MakeClient) -> OzonClient:
    return make_client()


async def all_pages(pages: AsyncIterator[Page[Any]]) -> list[Page[Any]]:
    return [page async for page in pages]


async def collect(pages: AsyncIterator[Page[Any]], into: list[Page[Any]]) -> None:
    """So that what came before an error is there."""
    async for page in pages:
        into += [page]


def questions(server: ScriptedServer) -> list[tuple[str, Any]]:
    """The path and the body of each call."""
    return [(request.path, msgspec.json.decode(request.body) if request.body else None) for request in server.requests]


def known(*sizes: tuple[str, str]) -> KnownSizes:
    """Product ids and SKUs."""

    async def walk() -> AsyncIterator[list[KnownSize]]:
        if sizes:
            yield [KnownSize(product, sku, "", ()) for product, sku in sizes]

    return walk
