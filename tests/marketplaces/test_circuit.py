import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import aiohttp
import pytest
import structlog
from redis import Redis

from app.marketplaces.circuit import LONGEST_PAUSE_S, MOST_FAILING, NEXT_PROBE_S, PAUSE_S, PROBE_S, WINDOW_S
from app.marketplaces.errors import CircuitOpen, MarketplaceDown, RateLimited, UnexpectedResponse
from app.marketplaces.exchange import Answer, Budget, Call
from app.marketplaces.limits import Permit, SharedLimits
from app.marketplaces.transport import Backoff, Transport
from tests.marketplaces.hammer import read
from tests.marketplaces.scripted_server import Reply, ScriptedServer
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio

HOST = "content.marketplace"
CIRCUIT = f"circuit:{HOST}"
MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis(own_redis: RedisServer) -> Iterator["Redis"]:
    with own_redis.client() as client:
        client.flushall()
        yield client


@pytest.fixture
async def limits(own_redis: RedisServer, redis: "Redis") -> AsyncIterator[SharedLimits]:
    limits = SharedLimits(own_redis.url)
    yield limits
    await limits.aclose()


def call_of(seller: int, host: str = HOST) -> Call:
    return Call(method="GET", url=f"http://{host}/cards", account=f"seller {seller}", group="cards", budget=Budget(0.001, 100))


async def fail(limits: SharedLimits, seller: int) -> None:
    await _end(limits, seller, await limits.take(call_of(seller)), fails=True)


async def work(limits: SharedLimits, seller: int) -> None:
    await _end(limits, seller, await limits.take(call_of(seller)), fails=False)


async def _end(limits: SharedLimits, seller: int, permit: Permit, *, fails: bool) -> None:
    error = MarketplaceDown("Out of order.") if fails else None
    await limits.learn(call_of(seller), permit, None if fails else Answer(200, {}, b""), None, error, 0.0)


async def open_circuit(limits: SharedLimits) -> None:
    for seller in range(MOST_FAILING):
        await fail(limits, seller)


def pass_time(redis: "Redis", field: str = "until") -> None:
    """As if what the circuit waits for were over."""
    redis.hset(CIRCUIT, field, 1)


async def test_a_host_that_fails_for_several_accounts_is_called_by_nobody(limits: SharedLimits, own_redis: RedisServer) -> None:
    elsewhere = SharedLimits(own_redis.url)
    with structlog.testing.capture_logs() as logs:
        await open_circuit(limits)

    with pytest.raises(CircuitOpen) as refusal:
        await elsewhere.take(call_of(99))

    assert timedelta(seconds=PAUSE_S - 1) < refusal.value.retry_after <= timedelta(seconds=1.5 * PAUSE_S)
    assert [(entry["event"], entry["host"]) for entry in logs] == [("circuit.opened", HOST)]
    await elsewhere.aclose()


async def test_another_host_of_the_marketplace_is_called_as_before(limits: SharedLimits) -> None:
    await open_circuit(limits)

    permit = await limits.take(call_of(0, "analytics.marketplace"))

    assert not permit.is_probe


async def test_one_account_that_fails_for_ever_opens_nothing(limits: SharedLimits) -> None:
    for _ in range(50):
        await fail(limits, 1)

    assert (await limits.take(call_of(2))).wait_s == 0.0


async def test_several_accounts_that_fail_while_as_many_work_open_nothing(limits: SharedLimits) -> None:
    await fail(limits, 0)
    for seller in range(100, 100 + MOST_FAILING + 1):
        await work(limits, seller)
    for seller in range(1, MOST_FAILING + 1):
        await fail(limits, seller)
    assert (await limits.take(call_of(50))).is_watched

    await fail(limits, MOST_FAILING + 1)

    with pytest.raises(CircuitOpen):
        await limits.take(call_of(50))


async def test_an_account_counts_by_its_last_outcome(limits: SharedLimits) -> None:
    for seller in range(MOST_FAILING - 1):
        await fail(limits, seller)
        await work(limits, seller)

    await fail(limits, 77)

    assert (await limits.take(call_of(50))).wait_s == 0.0


async def test_failures_of_another_time_are_forgotten(limits: SharedLimits, redis: "Redis") -> None:
    for seller in range(MOST_FAILING - 1):
        await fail(limits, seller)
    assert 0 < redis.ttl(f"{CIRCUIT}:failing") <= WINDOW_S
    for member, at in redis.zrange(f"{CIRCUIT}:failing", 0, -1, withscores=True):
        redis.zadd(f"{CIRCUIT}:failing", {member: at - WINDOW_S * 1_000_000 - 1})

    await fail(limits, 77)

    assert (await limits.take(call_of(50))).wait_s == 0.0
    assert redis.zcard(f"{CIRCUIT}:failing") == 1


async def test_a_refusal_is_an_answer(limits: SharedLimits, redis: "Redis") -> None:
    await fail(limits, 0)
    permit = await limits.take(call_of(1))

    await limits.learn(call_of(1), permit, Answer(404, {}, b""), None, UnexpectedResponse("No."), 0.0)

    assert redis.zrange(f"{CIRCUIT}:working", 0, -1) == [b"seller 1"]


async def test_when_the_pause_is_over_one_probe_goes_and_nobody_else(limits: SharedLimits, redis: "Redis") -> None:
    await open_circuit(limits)
    pass_time(redis)

    permit = await limits.take(call_of(1))

    assert permit.is_probe
    for seller in range(2, 20):
        with pytest.raises(CircuitOpen) as refusal:
            await limits.take(call_of(seller))
        assert timedelta(seconds=NEXT_PROBE_S) <= refusal.value.retry_after <= timedelta(seconds=NEXT_PROBE_S + PAUSE_S / 2)


async def test_a_probe_that_is_answered_closes_the_circuit(limits: SharedLimits, redis: "Redis") -> None:
    await open_circuit(limits)
    pass_time(redis)
    permit = await limits.take(call_of(1))

    with structlog.testing.capture_logs() as logs:
        await _end(limits, 1, permit, fails=False)

    assert [entry["event"] for entry in logs] == ["circuit.closed"]
    assert redis.keys("circuit:*") == []
    assert not (await limits.take(call_of(2))).is_probe


async def test_a_probe_that_fails_doubles_the_pause_up_to_a_bound(limits: SharedLimits, redis: "Redis") -> None:
    await open_circuit(limits)
    pauses = []

    for seller in range(8):
        pass_time(redis)
        await fail(limits, seller)
        pauses.append(int(redis.hget(CIRCUIT, "pause") or 0) // 1_000_000)

    assert pauses == [60, 120, 240, 480, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert redis.ttl(CIRCUIT) > LONGEST_PAUSE_S


async def test_a_probe_of_which_nothing_is_heard_makes_place_for_the_next(limits: SharedLimits, redis: "Redis") -> None:
    await open_circuit(limits)
    pass_time(redis)
    await limits.take(call_of(1))
    lease_us = int(redis.hget(CIRCUIT, "probe") or 0) - int(redis.time()[0]) * 1_000_000
    assert (PROBE_S - 2) * 1_000_000 < lease_us <= (PROBE_S + 1) * 1_000_000

    pass_time(redis, "probe")

    assert (await limits.take(call_of(2))).is_probe


async def test_a_call_from_before_the_circuit_opened_neither_closes_nor_lengthens_it(limits: SharedLimits, redis: "Redis") -> None:
    early, late = await limits.take(call_of(50)), await limits.take(call_of(51))
    await open_circuit(limits)
    before = redis.hgetall(CIRCUIT)

    await _end(limits, 50, early, fails=True)
    await _end(limits, 51, late, fails=False)

    assert redis.hgetall(CIRCUIT) == before


async def test_a_probe_that_has_to_wait_for_its_budget_longer_than_it_can_leaves_the_place_to_others(
    limits: SharedLimits, redis: "Redis"
) -> None:
    blocked = call_of(1)
    permit = await limits.take(blocked)
    await limits.learn(blocked, permit, Answer(429, {}, b""), None, RateLimited(timedelta(hours=1)), 0.0)
    await open_circuit_but_for(limits, 1)
    pass_time(redis)

    with pytest.raises(RateLimited) as refusal:
        await limits.take(blocked)

    assert not isinstance(refusal.value, CircuitOpen)
    assert (await limits.take(call_of(2))).is_probe


async def open_circuit_but_for(limits: SharedLimits, seller: int) -> None:
    for other in range(seller + 1, seller + 1 + MOST_FAILING):
        await fail(limits, other)


async def test_those_who_were_sent_away_come_back_spread(limits: SharedLimits) -> None:
    await open_circuit(limits)
    waits_s = []

    for seller in range(200):
        with pytest.raises(CircuitOpen) as refusal:
            await limits.take(call_of(seller))
        waits_s.append(refusal.value.retry_after.total_seconds())

    assert min(waits_s) >= PAUSE_S - 2
    assert max(waits_s) - min(waits_s) > 0.4 * PAUSE_S


async def test_a_host_in_good_health_costs_nothing(limits: SharedLimits, redis: "Redis") -> None:
    await work(limits, 1)
    redis.config_resetstat()

    for _ in range(20):
        await work(limits, 1)

    assert redis.info("commandstats")["cmdstat_evalsha"]["calls"] == 20
    assert redis.keys("circuit:*") == []


async def test_what_is_kept_of_a_failing_host_names_no_key_and_goes_by_itself(limits: SharedLimits, redis: "Redis") -> None:
    await fail(limits, 1)
    await work(limits, 2)

    assert set(redis.keys("circuit:*")) == {f"{CIRCUIT}:failing".encode(), f"{CIRCUIT}:working".encode()}
    assert all(redis.ttl(key) > 0 for key in redis.keys("circuit:*"))


# Not more at once than Redis answers within its half second on a busy machine; who gets no answer goes on without it.
SELLERS = 20


async def test_a_server_that_is_down_is_left_alone_by_all_and_found_again_by_one(
    server: ScriptedServer, http: aiohttp.ClientSession, limits: SharedLimits, redis: "Redis"
) -> None:
    server.replies = [Reply(status=503)]
    circuit = f"circuit:{urlsplit(server.url).netloc}"

    async def sync(seller: int) -> object:
        transport = Transport(http, limits=limits, backoff=Backoff(0.001, 0.002))
        call = Call(method="GET", url=server.url, account=f"seller {seller}", group="cards", attempts=3)
        try:
            return await transport.send(call, read)
        except (MarketplaceDown, CircuitOpen) as error:
            return type(error)

    first = [await sync(seller) for seller in range(MOST_FAILING + 1)]
    sent = len(server.requests)
    turned_away = await asyncio.gather(*(sync(seller) for seller in range(SELLERS)))

    # The last one's second attempt was no longer sent.
    assert first == [MarketplaceDown] * (MOST_FAILING - 1) + [CircuitOpen] * 2
    assert sent == 3 * (MOST_FAILING - 1) + 1
    assert turned_away == [CircuitOpen] * SELLERS
    assert len(server.requests) == sent

    server.replies = [Reply(after_s=0.05)]
    redis.hset(circuit, "until", 1)
    back = await asyncio.gather(*(sync(seller) for seller in range(SELLERS)))

    assert sorted(map(str, back)).count("200") == 1
    assert len(server.requests) == sent + 1
    assert await asyncio.gather(*(sync(seller) for seller in range(SELLERS))) == [200] * SELLERS
