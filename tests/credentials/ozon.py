"""An Ozon that answers `/v1/roles`, and sellers who have keys of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from app.settings import Settings, get_settings
from tests.application import Shop
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply, scripted_server

CLIENT_ID = "1234567"
KEY = "7c1f0d2e-1111-4222-8333-000000009fQ2"
NEW_KEY = "9a2b3c4d-1111-4222-8333-00000000aaaa"

WRONG_KEY = json_reply({"code": 5, "message": "Invalid Api-Key, please check the key and try again", "details": []}, 404)
DOWN = json_reply({"code": 13, "message": "Internal error", "details": []}, 500)

ALL = (
    "/v1/product",
    "/v2/product",
    "/v3/product",
    "/v4/product",
    "/v5/product",
    "/v1/warehouse",
    "/v3/posting",
    "/v4/posting",
    "/v1/roles",
)


def roles(*methods: str, expires_in: timedelta = timedelta(days=90)) -> Reply:
    """What Ozon says of a key with these methods."""
    expires_at = (datetime.now(UTC) + expires_in).isoformat().replace("+00:00", "Z")
    return json_reply({"expires_at": expires_at, "roles": [{"name": "Admin read only", "methods": list(methods)}]})


ALL = (
    "/v1/product",
    "/v2/product",
    "/v3/product",
    "/v4/product",
    "/v5/product",
    "/v1/warehouse",
    "/v3/posting",
    "/v4/posting",
    "/v1/roles",
)


@pytest.fixture
async def ozon(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        server.replies = (roles(*ALL),)
        monkeypatch.setenv("OZON_API_URL", server.url)
        get_settings.cache_clear()
        yield server


async def give(shop: Shop, **keys: str) -> httpx.Response:
    return await shop.call("PATCH", "/tenants/me/credentials", json=keys)


async def give_ozon(shop: Shop, key: str = KEY, client_id: str = CLIENT_ID) -> httpx.Response:
    return await give(shop, ozon_client_id=client_id, ozon_api_key=key)
