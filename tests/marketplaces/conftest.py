from collections.abc import AsyncIterator

import aiohttp
import pytest

from app.marketplaces.exchange import make_http_client
from tests.marketplaces.scripted_server import ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with make_http_client() as http:
        yield http
