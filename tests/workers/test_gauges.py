"""What a scheduler tells of the circuits, which are in Redis."""

import time

import msgspec
import pytest

from app.observability.metrics import registry
from app.redis import open_redis
from app.secret import Secret
from app.settings import get_settings
from tests.cli.commands import free_port
from workers.gauges import Gauges

pytestmark = pytest.mark.anyio

HOSTS = ("content-api.wildberries.ru", "seller-analytics-api.wildberries.ru", "api-seller.ozon.ru")


def states() -> list[float | None]:
    return [registry.get_sample_value("stock_tracker_circuit_state", {"host": host}) for host in HOSTS]


@pytest.fixture
async def open_and_half_open(clean_database: str, redis_url: str):
    """The second host is left alone for a minute, the third one's pause has just ended."""
    client = open_redis(redis_url)
    now = time.time_ns() // 1000
    for host, until in ((HOSTS[1], now + 60_000_000), (HOSTS[2], now - 1_000_000)):
        await client.hset(f"circuit:{host}", mapping={"until": until, "pause": 30_000_000, "probe": 0})
    yield
    await client.delete(*(f"circuit:{host}" for host in HOSTS))
    await client.aclose()


async def test_a_host_that_is_left_alone_shows_and_one_that_is_tried_again(open_and_half_open: None):
    gauges = Gauges(get_settings())

    await gauges.look()

    await gauges.aclose()
    assert states() == [0, 1, 2]


async def test_while_redis_is_away_no_state_is_told_and_the_queue_still_is(open_and_half_open: None):
    there = Gauges(get_settings())
    away = Gauges(msgspec.structs.replace(get_settings(), redis_url=Secret(f"redis://127.0.0.1:{free_port()}/0")))
    await there.look()
    looked_at = registry.get_sample_value("stock_tracker_queue_looked_at_timestamp_seconds")

    await away.look()

    await there.aclose()
    await away.aclose()
    assert states() == [None, None, None]
    assert registry.get_sample_value("stock_tracker_queue_looked_at_timestamp_seconds") > looked_at


async def test_a_look_within_five_seconds_of_the_last_asks_nobody(clean_database: str):
    gauges = Gauges(get_settings())
    await gauges.look()
    looked_at = registry.get_sample_value("stock_tracker_queue_looked_at_timestamp_seconds")

    await gauges.look()

    await gauges.aclose()
    assert registry.get_sample_value("stock_tracker_queue_looked_at_timestamp_seconds") == looked_at
