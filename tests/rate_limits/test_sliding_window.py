"""One count for all processes; with Redis and without."""

import asyncio
import multiprocessing
import random
from collections.abc import Iterator
from time import monotonic
from uuid import uuid4

import pytest
import structlog

from app.observability import metrics
from app.rate_limits import sliding_window
from app.rate_limits.local_windows import LocalWindows
from app.rate_limits.sliding_window import WINDOW_S, Marker, Window, debit
from app.redis import get_multiplexer, get_redis, start_redis, stop_redis
from app.redis_multiplexer import Script
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio

# The script with a clock that the test sets.
CLOCK = "redis.call('TIME')[1]"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def redis(server: RedisServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sliding_window, "_away_until", 0.0)
    start_redis(server.url)
    yield get_redis()
    await stop_redis()


class Clock:
    """The script as it is, but for whom it asks for the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert sliding_window.DEBIT.count(CLOCK) == 1
        self.now = 1_800_000_000
        monkeypatch.setattr(sliding_window, "_script", Script(sliding_window.DEBIT.replace(CLOCK, "ARGV[#ARGV]")))
        run = get_multiplexer().run
        monkeypatch.setattr(get_multiplexer(), "run", lambda script, keys, arguments: run(script, keys, [*arguments, self.now]))


@pytest.fixture
def clock(redis, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def window(limit: int, policy: str = "tenant") -> Window:
    return Window(policy, str(uuid4()), limit)


async def test_so_many_are_let_through_and_the_next_is_told_how_long_to_wait(clock: Clock) -> None:
    mine = window(3)

    debits = []
    for _ in range(4):
        debits.append(await debit([mine]))
        clock.now += 10

    assert [(each.refused_by, each.remaining) for each in debits] == [(None, 2), (None, 1), (None, 0), (mine, 0)]
    # The first came 30 s ago, and counts until its second is 61 s old.
    assert debits[3].retry_after_s == 31
    clock.now += debits[3].retry_after_s - 10
    assert (await debit([mine])).refused_by is None
    assert (await debit([mine])).refused_by == mine


async def test_all_windows_are_debited_or_none(clock: Clock) -> None:
    one, other, everybody = window(5), window(5), window(2, "global")

    answers = [await debit([one, everybody]), await debit([one, everybody]), await debit([one, everybody]), await debit([other, everybody])]

    assert [each.refused_by for each in answers] == [None, None, everybody, everybody]
    assert [each.remaining for each in answers] == [4, 3, 3, 5]
    local = LocalWindows(WINDOW_S)
    alone = [local.debit([(each.key, each.limit) for each in windows], 1.0) for windows in [[one, everybody]] * 3 + [[other, everybody]]]
    assert [remaining for _, _, remaining in alone] == [4, 3, 3, 5]
    assert (await debit([one])).remaining == 2
    assert (await debit([other])).remaining == 4


async def test_a_session_that_was_ended_costs_its_tenant_nothing(clock: Clock) -> None:
    mine, marker = window(1), Marker(f"session:{uuid4()}", b"revoked")
    await get_redis().set(marker.name, b"revoked")

    ended = await debit([mine], marker)
    await get_redis().set(marker.name, b"live")
    lives, unknown = await debit([mine], marker), await debit([mine], Marker("session:nobody", b"revoked"))

    assert (ended.marker, ended.refused_by) == (b"revoked", None)
    assert (lives.marker, lives.refused_by, lives.remaining) == (b"live", None, 0)
    assert (unknown.marker, unknown.refused_by) == (None, mine)


@pytest.mark.parametrize("seed", range(4))
async def test_never_more_than_the_limit_within_any_minute_and_never_a_refusal_for_longer_than_needed(clock: Clock, seed: int) -> None:
    chance = random.Random(seed)
    limit = chance.randrange(1, 40)
    mine, local = window(limit), LocalWindows(WINDOW_S)
    let_through: list[int] = []
    newest = 0

    for _ in range(1500):
        # Now and then a pause longer than a window, and a clock that is put back a little.
        clock.now += chance.choice((0, 0, 0, 1, 1, 2, 7, 61, 200, -1))
        answer, alone = await debit([mine]), local.debit([(mine.key, limit)], clock.now)
        assert alone == (1 if answer.refused_by else 0, answer.retry_after_s, answer.remaining)
        # A clock that was put back stands still until it is where it was.
        newest = max(newest, clock.now)
        if answer.refused_by is None:
            assert sum(at > newest - WINDOW_S for at in let_through) < limit
            let_through.append(newest)
        else:
            # A perfect window would refuse too, or would have a second before.
            counted = [at for at in let_through if at >= newest - WINDOW_S]
            assert len(counted) >= limit
            assert answer.retry_after_s == counted[-limit] + WINDOW_S + 1 - newest


async def test_an_idle_window_is_forgotten(redis) -> None:
    await debit([window(5), window(5, "global")])

    lifetimes = [await redis.ttl(name) for name in await redis.keys("rate:*")]

    assert len(lifetimes) == 2
    assert all(0 < lifetime <= WINDOW_S + 1 for lifetime in lifetimes)


def ask_again_and_again(url: str, mine: Window, times: int) -> int:
    async def ask() -> int:
        start_redis(url)
        answers = await asyncio.gather(*(debit([mine]) for _ in range(times)))
        await stop_redis()
        return sum(answer.refused_by is None for answer in answers)

    return asyncio.run(ask())


async def test_four_processes_share_one_count(server: RedisServer) -> None:
    mine = window(100)
    spawning = multiprocessing.get_context("spawn")

    def run() -> list[int]:
        with spawning.Pool(4) as pool:
            return pool.starmap(ask_again_and_again, [(server.url, mine, 60)] * 4)

    let_through = await asyncio.to_thread(run)

    assert sum(let_through) == 100


async def test_without_redis_a_process_counts_for_itself_and_asks_again_a_second_later(
    redis, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, marker = window(2), Marker("session:1", b"revoked")
    before = metrics.rate_limits_local._value.get()
    server.kill()

    answers = [await debit([mine], marker) for _ in range(3)]

    assert [(each.refused_by, each.marker, each.is_local) for each in answers] == [
        (None, None, True),
        (None, None, True),
        (mine, None, True),
    ]
    assert metrics.rate_limits_local._value.get() == before + 3
    server.start()
    monkeypatch.setattr(sliding_window, "_away_until", 0.0)
    assert not (await debit([mine], marker)).is_local


@pytest.mark.parametrize("trouble", ["kill", "freeze"])
async def test_an_outage_is_logged_when_it_begins_and_when_it_ends_and_holds_up_whom_it_meets_only(
    redis, server: RedisServer, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(sliding_window, "PAUSE_S", 0.2)
    mine = window(1000)
    getattr(server, trouble)()

    with structlog.testing.capture_logs() as logs:
        await asyncio.gather(*(debit([mine]) for _ in range(20)))
        begun_at = monotonic()
        met = [(await debit([mine])).is_local for _ in range(20)]
        took_s = monotonic() - begun_at
        await asyncio.sleep(0.3)
        await asyncio.gather(*(debit([mine]) for _ in range(20)))
        server.thaw() if trouble == "freeze" else server.start()
        async with asyncio.timeout(10):
            while (await debit([mine])).is_local:
                await asyncio.sleep(0.05)

    assert all(met)
    assert took_s < 0.1
    assert [entry["event"] for entry in logs] == ["rate_limits.redis_away", "rate_limits.redis_back"]


def test_local_windows_that_nobody_asks_for_are_forgotten() -> None:
    local = LocalWindows(WINDOW_S)
    for number in range(1000):
        local.debit([(str(number), 5)], 1000.0)

    local.debit([("late", 5)], 1000.0 + 2 * WINDOW_S)

    assert len(local._rings) == 1
