import os
import signal
from pathlib import Path

import pytest
import redis
import redis.asyncio

from app.embedded.redis import Redis
from app.errors import StartRefused
from tests.embedded.owner import Owner
from tests.embedded.processes import needs_proc, processes_in

pytestmark = pytest.mark.anyio


async def test_the_url_suits_the_asynchronous_client_with_and_without_a_database(new_folder: Path) -> None:
    with Redis(new_folder) as url:
        async with redis.asyncio.Redis.from_url(url) as first, redis.asyncio.Redis.from_url(f"{url}?db=1") as second:
            await second.set("place", "second")

            assert await first.get("place") is None
            assert await second.get("place") == b"second"


def test_data_outlives_a_stop(new_folder: Path) -> None:
    with Redis(new_folder) as url, redis.Redis.from_url(url) as client:
        client.xadd("stream", {"kept": "yes"})

    with Redis(new_folder) as url, redis.Redis.from_url(url) as client:
        assert client.xlen("stream") == 1


@needs_proc
def test_data_outlives_a_killed_server(new_folder: Path) -> None:
    embedded = Redis(new_folder)
    with redis.Redis.from_url(embedded.start()) as client:
        client.set("kept", "yes")
        client.execute_command("WAITAOF", 1, 0, 5000)  # it is written once a second
        pid = client.info("server")["process_id"]
    assert processes_in(new_folder) == {pid}

    os.kill(pid, signal.SIGKILL)
    embedded.stop()

    with Redis(new_folder) as url, redis.Redis.from_url(url) as client:
        assert client.get("kept") == b"yes"


def test_data_outlives_a_killed_owner(new_folder: Path) -> None:
    with Owner("redis", new_folder) as owner, redis.Redis.from_url(owner.url) as client:
        client.set("kept", "yes")
        owner.process.kill()
        owner.process.wait()

        with Redis(new_folder) as url, redis.Redis.from_url(url) as next_client:
            assert next_client.get("kept") == b"yes"


def test_it_never_throws_a_key_away_to_make_room(new_folder: Path) -> None:
    with Redis(new_folder) as url, redis.Redis.from_url(url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_broken_file_is_refused_with_the_servers_own_reason(new_folder: Path) -> None:
    with Redis(new_folder):
        pass
    log = next((new_folder / "appendonlydir").glob("*.incr.aof"))
    log.write_bytes(b"not what it writes\r\n" * 10)

    with pytest.raises(StartRefused, match=r"Redis did not start: .*format.* \(see .*server\.log\)"):
        Redis(new_folder).start()
