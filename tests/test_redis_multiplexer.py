"""One connection for the commands of many: each gets its own answer, and a Redis in trouble costs a moment."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

from app.redis import REDIS_ERRORS, get_multiplexer, get_redis, open_redis, start_redis, stop_redis
from app.redis_multiplexer import Multiplexer, Script
from tests.redis_server import RedisServer
from tests.webhooks.receiver import Certificate

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(durable=True) as server:
        yield server


@pytest.fixture
async def multiplexer(server: RedisServer) -> AsyncIterator[Multiplexer]:
    start_redis(server.url)
    yield get_multiplexer()
    await stop_redis()


@asynccontextmanager
async def multiplexer_at(url: str) -> AsyncIterator[Multiplexer]:
    """One of the test's own."""
    multiplexer = Multiplexer(url)
    yield multiplexer
    await multiplexer.close()
    # asyncio closes a socket in the turn behind.
    await asyncio.sleep(0)


async def hang(multiplexer: Multiplexer, server: RedisServer) -> None:
    await multiplexer.execute("PING")
    server.freeze()


async def connections(server: RedisServer) -> int:
    """Besides the one that asks."""
    async with open_redis(server.url) as client:
        return len(await client.client_list()) - 1


async def test_each_of_many_gets_its_own_answer_over_one_connection(multiplexer: Multiplexer, server: RedisServer):
    answers = await asyncio.gather(*(multiplexer.execute("ECHO", f"{number}") for number in range(2000)))

    assert answers == [b"%d" % number for number in range(2000)]
    assert await connections(server) == 1


async def test_a_refused_command_is_an_error_of_who_asked_and_of_nobody_else(multiplexer: Multiplexer):
    await multiplexer.execute("SET", "text", "abc")

    before, refused, after = await asyncio.gather(
        multiplexer.execute("GET", "text"), multiplexer.execute("INCR", "text"), multiplexer.execute("GET", "text"), return_exceptions=True
    )

    assert (before, after) == (b"abc", b"abc")
    assert isinstance(refused, ResponseError)


async def test_who_goes_away_before_the_answer_leaves_the_others_theirs(multiplexer: Multiplexer, server: RedisServer):
    await hang(multiplexer, server)
    asked = [asyncio.create_task(multiplexer.execute("ECHO", f"{number}")) for number in range(3)]
    await asyncio.sleep(0)

    asked[1].cancel()
    server.thaw()

    assert (await asked[0], await asked[2]) == (b"0", b"2")


async def test_a_script_that_redis_forgot_is_sent_again(multiplexer: Multiplexer):
    double = Script("return tonumber(ARGV[1]) * 2")
    assert await multiplexer.run(double, [], [4]) == 8
    await get_redis().script_flush()

    assert await multiplexer.run(double, [], [5]) == 10


async def test_a_script_that_redis_knows_is_sent_by_its_name(multiplexer: Multiplexer):
    double = Script("return tonumber(ARGV[1]) * 2")
    await multiplexer.run(double, [], [4])
    await get_redis().config_resetstat()

    await multiplexer.run(double, [], [5])

    statistics = await get_redis().info("commandstats")
    assert "cmdstat_evalsha" in statistics
    assert "cmdstat_eval" not in statistics


async def test_a_restart_is_not_noticed_by_who_asks_after_it(multiplexer: Multiplexer, server: RedisServer):
    await multiplexer.execute("SET", "k", "v")
    # Beside the loop, which hears of the end.
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)

    assert await multiplexer.execute("GET", "k") == b"v"


async def test_who_waits_when_the_connection_breaks_is_told_at_once(multiplexer: Multiplexer, server: RedisServer):
    await hang(multiplexer, server)
    asked = [asyncio.create_task(multiplexer.execute("GET", "k")) for _ in range(3)]
    await asyncio.sleep(0.01)

    server.kill()

    assert [type(answer) for answer in await asyncio.gather(*asked, return_exceptions=True)] == [ConnectionError] * 3


async def test_a_server_that_hangs_costs_all_who_wait_one_moment(multiplexer: Multiplexer, server: RedisServer):
    await hang(multiplexer, server)

    began_at = time.monotonic()
    answers = await asyncio.gather(*(multiplexer.execute("GET", "k") for _ in range(50)), return_exceptions=True)

    assert {type(answer) for answer in answers} == {TimeoutError}
    assert time.monotonic() - began_at < 2
    server.thaw()
    assert await multiplexer.execute("PING") == b"PONG"


async def test_a_pause_of_our_own_is_not_taken_for_a_server_that_hangs(multiplexer: Multiplexer):
    await multiplexer.execute("PING")
    asked = asyncio.create_task(multiplexer.execute("ECHO", "here"))
    await asyncio.sleep(0)

    time.sleep(1.2)  # noqa: ASYNC251 - what a long garbage collection does

    assert await asked == b"here"


async def test_where_nobody_listens_all_who_ask_are_told_and_one_connection_was_tried(tmp_path: Path):
    async with multiplexer_at(f"unix://{tmp_path}/nobody") as multiplexer:
        answers = await asyncio.gather(*(multiplexer.execute("PING") for _ in range(20)), return_exceptions=True)

    assert len({id(answer) for answer in answers}) == 1
    assert isinstance(answers[0], REDIS_ERRORS)


async def test_a_server_that_takes_the_connection_and_says_nothing_costs_a_moment(server: RedisServer):
    server.freeze()
    began_at = time.monotonic()

    async with multiplexer_at(server.url.replace("unix://", "unix://:secret@")) as multiplexer:
        with pytest.raises(REDIS_ERRORS):
            await multiplexer.execute("PING")

    assert time.monotonic() - began_at < 2


async def test_what_is_no_answer_of_redis_ends_the_connection(tmp_path: Path):
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(babble, tmp_path / "s"), multiplexer_at(f"unix://{tmp_path}/s") as multiplexer:
        with pytest.raises(ConnectionError):
            await multiplexer.execute("PING")


@pytest.mark.parametrize("user", ["", "reader"], ids=["password", "user and password"])
async def test_password_and_database_of_the_address_are_given(server: RedisServer, user: str):
    async with open_redis(server.url) as redis:
        await redis.execute_command("ACL", "SETUSER", user or "default", "on", ">secret word", "~*", "&*", "+@all")
        await redis.execute_command("ACL", "SETUSER", "default", "resetpass", ">secret word")
    url = f"unix://{user}:secret%20word@{server.url.removeprefix('unix://')}?db=3"
    async with open_redis(url) as redis, multiplexer_at(url) as multiplexer:
        await multiplexer.execute("SET", "k", "in the third")

        assert await redis.get("k") == b"in the third"
        assert await multiplexer.execute("DBSIZE") == 1


async def test_a_wrong_password_is_told(server: RedisServer):
    async with open_redis(server.url) as redis:
        await redis.execute_command("CONFIG", "SET", "requirepass", "right")

    async with multiplexer_at(server.url.replace("unix://", "unix://:wrong@")) as multiplexer:
        with pytest.raises(ResponseError, match="WRONGPASS"):
            await multiplexer.execute("PING")


async def test_tls_is_spoken_and_the_certificate_is_looked_at(server: RedisServer, tmp_path: Path):
    certificate = Certificate("localhost")
    (tmp_path / "roots.pem").write_bytes(certificate.pem)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(server.url.removeprefix("unix://"))
        there_writer.write(await reader.read(1000))
        writer.write(await there_reader.read(1000))
        await reader.read()
        writer.close()
        there_writer.close()

    async with await asyncio.start_server(relay, "127.0.0.1", 0, ssl=certificate.server_context()) as proxy:
        url = f"rediss://localhost:{proxy.sockets[0].getsockname()[1]}"
        async with multiplexer_at(f"{url}?ssl_ca_certs={tmp_path}/roots.pem") as trusting, multiplexer_at(url) as strict:
            assert await trusting.execute("ECHO", "here") == b"here"
            with pytest.raises(ssl.SSLCertVerificationError):
                await strict.execute("PING")
