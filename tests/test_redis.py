import asyncio
import time

import pytest
from redis.exceptions import TimeoutError

from app.redis import get_redis, open_blocking_redis, open_redis, start_redis, stop_redis
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio


async def test_the_process_has_one_client_from_start_to_stop(redis_url: str) -> None:
    with pytest.raises(RuntimeError, match="not open"):
        get_redis()

    started = start_redis(redis_url)
    try:
        assert get_redis() is started
        assert await get_redis().execute_command("PING")
        with pytest.raises(RuntimeError, match="already open"):
            start_redis(redis_url)
    finally:
        await stop_redis()

    with pytest.raises(RuntimeError, match="not open"):
        get_redis()


async def test_a_server_that_hangs_costs_a_moment_and_not_the_five_seconds_of_the_library() -> None:
    with RedisServer() as server:
        client = open_redis(server.url)
        await client.set("k", "v")
        server.freeze()

        began_at = time.monotonic()
        with pytest.raises(TimeoutError):
            await client.get("k")
        took_s = time.monotonic() - began_at

        assert took_s < 2
        await client.aclose()


async def test_a_connection_that_a_restart_had_closed_is_replaced_without_an_error() -> None:
    with RedisServer(durable=True) as server:
        client = open_redis(server.url)
        await client.set("k", "v")
        server.kill()
        server.start()

        value = await client.get("k")

        assert value == b"v"
        await client.aclose()


async def test_more_callers_than_connections_wait_for_their_turn(redis_url: str) -> None:
    client = open_redis(redis_url, max_connections=2)

    answers = await asyncio.gather(*(client.execute_command("PING") for _ in range(50)))

    assert len(answers) == 50
    await client.aclose()


async def test_a_blocking_read_may_wait_longer_than_a_request_would(redis_url: str) -> None:
    client = open_blocking_redis(redis_url, longest_wait_s=0.5)

    nothing = await client.blpop(["no-such-list"], timeout=0.5)

    assert nothing is None
    await client.aclose()


@pytest.mark.parametrize(
    ("url", "connection"),
    [
        ("redis://host:6379/0", "Connection"),
        ("rediss://user:password@host:6380/1", "SSLConnection"),
        ("unix:///run/redis.sock", "UnixDomainSocketConnection"),
    ],
)
async def test_each_form_of_address_makes_its_kind_of_connection(url: str, connection: str) -> None:
    client = open_redis(url)

    assert client.connection_pool.connection_class.__name__ == connection

    await client.aclose()


async def test_another_form_of_address_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme"):
        open_redis("http://host")
