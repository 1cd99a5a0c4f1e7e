from typing import Any

import aiohttp
import pytest

from app.marketplaces.transport import Backoff, Transport
from app.marketplaces.wildberries.client import WildberriesClient
from app.marketplaces.wildberries.hosts import WildberriesHosts
from app.secret import Secret
from tests.marketplaces.keys import make_key
from tests.marketplaces.scripted_server import ScriptedServer
from tests.marketplaces.wildberries.asking import MakeClient


@pytest.fixture
def slept_s() -> list[float]:
    return []


@pytest.fixture
def make_client(server: ScriptedServer, http: aiohttp.ClientSession, slept_s: list[float]) -> MakeClient:
    """A client whose hosts are all the scripted server, and whose pauses take no time."""

    async def sleep(seconds: float) -> None:
        slept_s.append(seconds)

    def make(key: Secret | None = None, **options: Any) -> WildberriesClient:
        hosts = WildberriesHosts(**dict.fromkeys(WildberriesHosts.__struct_fields__, server.url))
        return WildberriesClient(make_key() if key is None else key, Transport(http, backoff=Backoff(0, 0), sleep=sleep), hosts, **options)

    return make
