"""A copy that follows the example is what the service has."""

import importlib.util
import json
import sqlite3
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests.application import Shop, client, redis, sandbox, sandbox_url, settings, shop
from tests.examples.conftest import EXAMPLES

__all__ = ["client", "redis", "sandbox", "sandbox_url", "settings", "shop"]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("catalogue_copy", EXAMPLES / "catalogue_copy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    yield connection
    connection.close()


@pytest.fixture
async def api(shop: Shop, client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.headers["Authorization"] = f"Bearer {shop.access_token}"
    return client


def copied(copy: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    return {product_id: json.loads(product) for product_id, product in copy.execute("SELECT id, product FROM products")}


async def test_the_copy_of_the_example_follows_the_syncs(
    example: ModuleType, copy: sqlite3.Connection, api: httpx.AsyncClient, shop: Shop, sandbox: httpx.AsyncClient
):
    await shop.give_key(shop.key(products=250))
    await shop.sync()
    first = await example.catch_up(api, copy)
    again = await example.catch_up(api, copy)
    renamed, archived = list(copied(copy).values())[:2]
    await sandbox.patch(f"/shops/{shop.seller_id}/products/{renamed['external_id']}", json={"title": "Renamed"})
    await sandbox.delete(f"/shops/{shop.seller_id}/products/{archived['external_id']}")
    await shop.sync(full=True)

    later = await example.catch_up(api, copy)

    assert (first, again, later) == (250, 0, 2)
    assert (copied(copy)[renamed["id"]]["title"], copied(copy)[archived["id"]]["archived"]) == ("Renamed", True)
    for product_id in (renamed["id"], archived["id"]):
        assert copied(copy)[product_id] == await shop.expect(200, "GET", f"/products/{product_id}")
