"""The example that follows a sync comes to its end, also when the service is restarted meanwhile."""

import importlib.util
import itertools
from types import ModuleType

import httpx
import pytest

from tests.examples.conftest import EXAMPLES
from tests.stories.product import Product
from tests.stories.test_live_progress import Api, api, syncing_slowly

__all__ = ["api"]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("follow_sync", EXAMPLES / "follow_sync.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_the_example_follows_a_sync_through_a_restart(example: ModuleType, product: Product, api: Api):
    states = []
    with syncing_slowly(product) as (bot, sync_id):
        async with httpx.AsyncClient(base_url=f"{api.url}/api/v1", headers=bot.http.headers, trust_env=False) as http:
            async for sync in example.follow(http, sync_id):
                states.append(sync)
                if len(states) == 2:
                    api.kill_and_restart()

    assert len(states) >= 3
    assert {sync["status"] for sync in states[:-1]} <= {"queued", "running"}
    assert states[-1] == bot.expect(200, "GET", f"/sync/{sync_id}")
    assert states[-1]["status"] == "succeeded"
    assert all(before != after for before, after in itertools.pairwise(states))
