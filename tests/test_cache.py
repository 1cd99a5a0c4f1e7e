import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import redis

from app import cache as cache_module
from app.cache import MAX_KEYS, MAX_VALUE_BYTES, RedisCache, cached, close_cache, get_cache, open_cache
from app.secret import Secret
from app.settings import Settings, load_settings
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio


class Product(msgspec.Struct, frozen=True):
    name: str
    counted_at: datetime


@pytest.fixture
def tenant() -> UUID:
    return uuid4()


@pytest.fixture
async def cache(redis_url: str, tmp_path: Path) -> AsyncIterator[RedisCache]:
    """The cache of the process, open."""
    yield open_cache(_settings(redis_url, tmp_path))
    await close_cache()


@pytest.fixture
def server(redis_url: str) -> "redis.Redis":
    """A look into the server past the cache."""
    return redis.Redis.from_url(redis_url)


def _settings(redis_url: str, data_dir: Path, *, enabled: bool = True) -> Settings:
    settings = load_settings({"DATA_DIR": str(data_dir), "DATABASE_URL": "postgresql://host/name", "REDIS_URL": redis_url})
    return msgspec.structs.replace(settings, redis_url=Secret(redis_url), cache_enabled=enabled)


class Shelf:
    """Something slow to count: it says how often it was counted, and waits at the gate. It falls over the first `failures` times."""

    def __init__(self, value: Any = "counted", *, failures: int = 0) -> None:
        self.value = value
        self.failures = failures
        self.counts = 0
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()

    async def count(self) -> Any:
        self.counts += 1
        value = self.value
        self.begun.set()
        await self.gate.wait()
        if self.counts <= self.failures:
            raise LookupError("The shelf fell over.")
        return value


_any = msgspec.msgpack.Decoder()


def _through(cache: RedisCache, tenant: UUID, compute: Callable[[], Awaitable[Any]]) -> "asyncio.Task[Any]":
    return asyncio.create_task(cache.get_or_compute(tenant, "shelf", 300, _any, compute))


async def _commands(server: "redis.Redis") -> dict[str, int]:
    return {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in server.info("commandstats").items()}


# --- the interface


async def test_a_value_comes_back_under_the_tenants_prefix_and_expires(cache: RedisCache, server: "redis.Redis", tenant: UUID) -> None:
    await cache.set(tenant, "products:list", {"items": [1, "два", None]}, ttl=60)

    assert await cache.get(tenant, "products:list") == {"items": [1, "два", None]}
    assert await cache.exists(tenant, "products:list") is True
    assert 58 <= server.ttl(f"tenant:{tenant}:products:list") <= 60


async def test_without_a_ttl_the_default_holds(redis_url: str, server: "redis.Redis", tenant: UUID) -> None:
    cache = RedisCache(redis_url, default_ttl=120, max_connections=5)

    await cache.set(tenant, "k", 1)

    assert 118 <= server.ttl(f"tenant:{tenant}:k") <= 120
    await cache.aclose()


async def test_what_expired_is_absent(cache: RedisCache, tenant: UUID) -> None:
    await cache.set(tenant, "short", 1, ttl=1)

    await asyncio.sleep(1.1)

    assert await cache.get(tenant, "short") is None
    assert await cache.exists(tenant, "short") is False
    assert await cache.flush_tenant(tenant) == 0


@pytest.mark.parametrize("value", [b"\x00raw", datetime(2026, 11, 22, 10, tzinfo=UTC), [1.5, True], "", 0, False, {}])
async def test_a_value_keeps_its_type(cache: RedisCache, tenant: UUID, value: Any) -> None:
    await cache.set(tenant, "k", value)

    assert await cache.get(tenant, "k") == value
    assert type(await cache.get(tenant, "k")) is type(value)


async def test_a_key_is_deleted_once(cache: RedisCache, tenant: UUID) -> None:
    await cache.set(tenant, "k", 1)

    assert await cache.delete(tenant, "k") is True

    assert await cache.delete(tenant, "k") is False
    assert await cache.get(tenant, "k") is None


async def test_a_pattern_forgets_what_it_matches_and_counts_it(cache: RedisCache, tenant: UUID) -> None:
    for key in ("products:list", "products:list:a", "products:one", "stocks:list", "weird[1]*"):
        await cache.set(tenant, key, 1)

    assert await cache.invalidate_pattern(tenant, "products:list*") == 2
    assert await cache.invalidate_pattern(tenant, r"weird\[1\]\*") == 1
    assert await cache.invalidate_pattern(tenant, "nothing") == 0

    assert await cache.get(tenant, "products:list:a") is None
    assert await cache.exists(tenant, "products:one") is True
    assert await cache.flush_tenant(tenant) == 2


async def test_flushing_leaves_nothing_of_a_tenant(cache: RedisCache, server: "redis.Redis", tenant: UUID) -> None:
    await cache.set(tenant, "a", 1)
    await cache.get_or_compute(tenant, "b", 300, _any, _constant(2))

    count = await cache.flush_tenant(tenant)

    assert count == 2
    assert server.keys(f"*{tenant}*") == []


async def test_a_tenant_may_be_named_by_the_text_of_its_id(cache: RedisCache, tenant: UUID) -> None:
    await cache.set(str(tenant).upper(), "k", 1)

    assert await cache.get(tenant, "k") == 1


async def test_ping_says_whether_redis_answers(cache: RedisCache) -> None:
    assert await cache.ping() is True


async def test_a_value_that_is_too_large_is_not_stored(cache: RedisCache, tenant: UUID) -> None:
    assert await cache.set(tenant, "large", bytes(MAX_VALUE_BYTES)) is False

    assert await cache.exists(tenant, "large") is False


@pytest.mark.parametrize("ttl", [0, -1, 8 * 86_400])
async def test_a_time_to_live_has_bounds(cache: RedisCache, tenant: UUID, ttl: int) -> None:
    with pytest.raises(ValueError, match="time to live"):
        await cache.set(tenant, "k", 1, ttl=ttl)


# --- the wall between tenants


@pytest.mark.parametrize("wrong", ["", "*", "me", "tenant:x", f"{UUID(int=1)}:x", f"{UUID(int=1)}\n*"])
async def test_a_tenant_that_is_no_uuid_is_refused(cache: RedisCache, wrong: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        await cache.get(wrong, "k")
    with pytest.raises(ValueError, match="UUID"):
        await cache.flush_tenant(wrong)


@pytest.mark.parametrize("wrong", ["", "a b", "a\nb", "a\x00", "ключ", "a" * 201, "a\r\nDEL b"])
async def test_a_key_or_pattern_of_other_than_visible_ascii_is_refused(cache: RedisCache, tenant: UUID, wrong: str) -> None:
    for asked in (
        cache.get(tenant, wrong),
        cache.set(tenant, wrong, 1),
        cache.delete(tenant, wrong),
        cache.exists(tenant, wrong),
        cache.invalidate_pattern(tenant, wrong),
    ):
        with pytest.raises(ValueError, match="visible ASCII"):
            await asked


@pytest.mark.parametrize(
    "pattern", ["*", "*:*", "tenant:*", "../*", "[!x]*", "?*", "\\*", "tenant:{rival}:*", "*{rival}*", "{rival}:k", "*}:k"]
)
async def test_no_pattern_reaches_another_tenants_keys(cache: RedisCache, tenant: UUID, pattern: str) -> None:
    rival = uuid4()
    await cache.set(rival, "k", "theirs")

    await cache.invalidate_pattern(tenant, pattern.format(rival=rival) if "rival" in pattern else pattern)
    await cache.flush_tenant(tenant)

    assert await cache.get(rival, "k") == "theirs"


@pytest.mark.parametrize("key", ["tenant:{rival}:k", "../{rival}:k", ":{rival}:k", "{rival}:k"])
async def test_no_key_reaches_another_tenants_value(cache: RedisCache, tenant: UUID, key: str) -> None:
    rival = uuid4()
    await cache.set(rival, "k", "theirs")
    evil = key.format(rival=rival)

    assert await cache.get(tenant, evil) is None
    await cache.set(tenant, evil, "mine")
    await cache.delete(tenant, evil)

    assert await cache.get(rival, "k") == "theirs"


async def test_a_key_named_like_our_own_bookkeeping_is_a_key_like_others(cache: RedisCache, tenant: UUID) -> None:
    for key in ("keys", "generation", "lock:k", "k"):
        await cache.set(tenant, key, key)

    assert [await cache.get(tenant, key) for key in ("keys", "generation", "lock:k", "k")] == ["keys", "generation", "lock:k", "k"]
    assert await cache.invalidate_pattern(tenant, "[kgl]*") == 4


# --- what it costs


async def test_a_hit_is_one_command() -> None:
    with RedisServer() as own:
        cache, tenant, server = RedisCache(own.url), uuid4(), own.client()
        await cache.get_or_compute(tenant, "k", 300, _any, _constant(1))
        before = await _commands(server)

        await cache.get_or_compute(tenant, "k", 300, _any, _constant(2))

        after = await _commands(server)
        assert {name: calls - before.get(name, 0) for name, calls in after.items() if name != "info" and calls != before.get(name, 0)} == {
            "get": 1
        }
        await cache.aclose()


async def test_an_invalidation_looks_at_the_keys_of_one_tenant_only() -> None:
    with RedisServer() as own:
        cache, tenant, server = RedisCache(own.url), uuid4(), own.client()
        server.mset({f"tenant:{uuid4()}:k": 1 for _ in range(1000)})
        await cache.set(tenant, "a", 1)
        await cache.set(tenant, "b", 1)

        assert await cache.flush_tenant(tenant) == 2

        commands = await _commands(server)
        assert "scan" not in commands
        assert "keys" not in commands
        assert commands["unlink"] == 2
        await cache.aclose()


async def test_a_tenant_holds_a_bounded_number_of_keys_and_what_expires_soonest_makes_room(
    cache: RedisCache, server: "redis.Redis", tenant: UUID
) -> None:
    await cache.set(tenant, "soonest", 1, ttl=10)
    later = time.time() * 1000 + 60_000
    server.zadd(f"cache:{tenant}:keys", {f"k{n}": later for n in range(MAX_KEYS - 1)})

    await cache.set(tenant, "one-more", 1, ttl=60)

    assert server.zcard(f"cache:{tenant}:keys") == MAX_KEYS
    assert await cache.exists(tenant, "soonest") is False
    assert await cache.exists(tenant, "one-more") is True
    await cache.flush_tenant(tenant)


async def test_the_list_of_keys_lives_as_long_as_its_longest_key_and_drops_the_expired(
    cache: RedisCache, server: "redis.Redis", tenant: UUID
) -> None:
    await cache.set(tenant, "long", 1, ttl=600)
    await cache.set(tenant, "short", 1, ttl=1)
    await asyncio.sleep(1.1)

    await cache.set(tenant, "other", 1, ttl=5)

    assert server.ttl(f"cache:{tenant}:keys") > 590
    assert server.zrange(f"cache:{tenant}:keys", 0, -1) == [b"other", b"long"]


# --- one computation for many callers


async def test_many_callers_in_a_process_share_one_computation(cache: RedisCache, tenant: UUID) -> None:
    shelf = Shelf()
    callers = [_through(cache, tenant, shelf.count) for _ in range(100)]
    await shelf.begun.wait()
    shelf.gate.set()

    assert await asyncio.gather(*callers) == ["counted"] * 100
    assert shelf.counts == 1
    assert await cache.get(tenant, "shelf") == "counted"


async def test_many_callers_of_several_caches_share_one_computation(redis_url: str, cache: RedisCache, tenant: UUID) -> None:
    others = [RedisCache(redis_url) for _ in range(3)]
    shelf = Shelf()
    callers = [_through(each, tenant, shelf.count) for each in (cache, *others) for _ in range(10)]
    await shelf.begun.wait()
    shelf.gate.set()

    assert await asyncio.gather(*callers) == ["counted"] * 40
    assert shelf.counts == 1
    await asyncio.gather(*(each.aclose() for each in others))


COUNTING_PROCESS = """
import asyncio, sys
from app.cache import RedisCache
from app.redis import open_redis
import msgspec

url, tenant, pause_s = sys.argv[1:]

async def main():
    redis, cache = open_redis(url), RedisCache(url)

    async def compute():
        await redis.incr(f"test:{tenant}:computations")
        await asyncio.sleep(float(pause_s))
        return "counted"

    await redis.rpush(f"test:{tenant}:ready", 1)
    while not await redis.exists(f"test:{tenant}:go"):
        await asyncio.sleep(0.005)
    decoder = msgspec.msgpack.Decoder(str)
    print(await asyncio.gather(*(cache.get_or_compute(tenant, "shelf", 300, decoder, compute) for _ in range(20))) == ["counted"] * 20)
    await cache.aclose()
    await redis.aclose()

asyncio.run(main())
"""


async def _counting_process(redis_url: str, tenant: UUID, pause_s: float) -> asyncio.subprocess.Process:
    environment = {**os.environ, "PYTHONPATH": str(Path(cache_module.__file__).parents[1])}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", COUNTING_PROCESS, redis_url, str(tenant), str(pause_s), env=environment, stdout=asyncio.subprocess.PIPE
    )


async def _until(condition: Callable[[], Any], patience_s: float = 10) -> None:
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_many_callers_of_several_processes_share_one_computation(redis_url: str, server: "redis.Redis", tenant: UUID) -> None:
    processes = [await _counting_process(redis_url, tenant, 0.3) for _ in range(3)]
    await _until(lambda: server.llen(f"test:{tenant}:ready") == 3)

    server.set(f"test:{tenant}:go", 1)
    answers = [await process.communicate() for process in processes]

    assert [answer for answer, _ in answers] == [b"True\n"] * 3
    assert server.get(f"test:{tenant}:computations") == b"1"


async def test_a_process_that_is_killed_while_it_computes_holds_the_others_up_for_a_bounded_time(
    redis_url: str, cache: RedisCache, server: "redis.Redis", tenant: UUID
) -> None:
    server.set(f"test:{tenant}:go", 1)
    process = await _counting_process(redis_url, tenant, 60)
    await _until(lambda: server.get(f"test:{tenant}:computations"))
    process.kill()
    await process.communicate()

    async with asyncio.timeout(cache_module.LOCK_S + 2):
        value = await cache.get_or_compute(tenant, "shelf", 300, _any, _constant("another"))

    assert value == "another"
    assert await cache.get(tenant, "shelf") == "another"


async def test_a_first_caller_that_is_cancelled_leaves_the_computation_to_the_others(cache: RedisCache, tenant: UUID) -> None:
    shelf = Shelf()
    first = _through(cache, tenant, shelf.count)
    await shelf.begun.wait()
    others = [_through(cache, tenant, shelf.count) for _ in range(3)]
    await asyncio.sleep(0)

    first.cancel()
    shelf.gate.set()

    assert await asyncio.gather(*others) == ["counted"] * 3
    assert first.cancelled()
    assert shelf.counts == 1


@pytest.mark.parametrize(("failures", "who_fail"), [(1, 1), (2, 10)], ids=["once", "always"])
async def test_a_failure_is_the_first_callers_alone_unless_a_second_attempt_fails_too(failures: int, who_fail: int) -> None:
    with RedisServer() as own:
        cache, tenant, server, shelf = RedisCache(own.url), uuid4(), own.client(), Shelf(failures=failures)
        callers = [_through(cache, tenant, shelf.count) for _ in range(10)]
        await _until(lambda: server.info("commandstats").get("cmdstat_get", {"calls": 0})["calls"] >= 10)
        await asyncio.sleep(0.05)

        shelf.gate.set()
        outcomes = await asyncio.gather(*callers, return_exceptions=True)

        assert [type(outcome) for outcome in outcomes].count(LookupError) == who_fail
        assert outcomes.count("counted") == 10 - who_fail
        assert shelf.counts == 2
        assert server.keys(f"cache:{tenant}:lock:*") == []
        await cache.aclose()


# --- an invalidation and a computation at the same time


@pytest.mark.parametrize(
    "invalidate",
    [
        lambda cache, tenant: cache.invalidate_pattern(tenant, "shelf*"),
        lambda cache, tenant: cache.flush_tenant(tenant),
        lambda cache, tenant: cache.delete(tenant, "shelf"),
    ],
    ids=["invalidate_pattern", "flush_tenant", "delete"],
)
async def test_a_value_from_before_an_invalidation_is_not_stored(
    redis_url: str, cache: RedisCache, tenant: UUID, invalidate: Callable[[RedisCache, UUID], Awaitable[Any]]
) -> None:
    elsewhere = RedisCache(redis_url)
    shelf = Shelf("before")
    caller = _through(cache, tenant, shelf.count)
    await shelf.begun.wait()

    await invalidate(elsewhere, tenant)
    shelf.gate.set()

    assert await caller == "before"
    assert await cache.get(tenant, "shelf") is None
    await elsewhere.aclose()


async def test_another_tenants_invalidation_does_not_matter(cache: RedisCache, tenant: UUID) -> None:
    shelf = Shelf()
    caller = _through(cache, tenant, shelf.count)
    await shelf.begun.wait()

    await cache.flush_tenant(uuid4())
    shelf.gate.set()
    await caller

    assert await cache.get(tenant, "shelf") == "counted"


@pytest.mark.parametrize("same_process", [True, False])
async def test_who_asks_after_an_invalidation_never_gets_the_value_from_before(
    redis_url: str, cache: RedisCache, tenant: UUID, *, same_process: bool
) -> None:
    other = cache if same_process else RedisCache(redis_url)
    shelf = Shelf("before")
    early = _through(cache, tenant, shelf.count)
    await shelf.begun.wait()
    shelf.value = "after"
    await cache.flush_tenant(tenant)

    late = [_through(other, tenant, shelf.count) for _ in range(10)]
    await asyncio.sleep(0.05)
    shelf.gate.set()

    assert await early == "before"
    assert await asyncio.gather(*late) == ["after"] * 10
    assert shelf.counts == 2
    assert await cache.get(tenant, "shelf") == "after"
    if other is not cache:
        await other.aclose()


async def test_after_an_invalidation_another_process_does_not_wait_for_the_computation_from_before(
    redis_url: str, cache: RedisCache, tenant: UUID
) -> None:
    elsewhere, shelf = RedisCache(redis_url), Shelf("before")
    early = _through(cache, tenant, shelf.count)
    await shelf.begun.wait()
    await cache.flush_tenant(tenant)

    async with asyncio.timeout(cache_module.LOCK_S / 2):
        assert await elsewhere.get_or_compute(tenant, "shelf", 300, _any, _constant("after")) == "after"

    shelf.gate.set()
    assert await early == "before"
    assert await cache.get(tenant, "shelf") == "after"
    await elsewhere.aclose()


async def test_a_value_from_before_an_invalidation_is_not_stored_even_if_redis_came_back_empty_since() -> None:
    with RedisServer() as own:
        cache, tenant, shelf = RedisCache(own.url), uuid4(), Shelf("before")
        caller = _through(cache, tenant, shelf.count)
        await shelf.begun.wait()
        await cache.flush_tenant(tenant)
        own.kill()
        own.start()

        shelf.gate.set()

        assert await caller == "before"
        assert own.client().keys("*") == []
        await cache.aclose()


async def test_an_old_generation_does_not_return_when_a_new_one_begins(cache: RedisCache, tenant: UUID) -> None:
    old, new = Shelf("before"), Shelf("after")
    early = _through(cache, tenant, old.count)
    await old.begun.wait()
    await cache.flush_tenant(tenant)
    other_key = asyncio.create_task(cache.get_or_compute(tenant, "other", 300, _any, new.count))
    await new.begun.wait()

    old.gate.set()
    await early

    assert await cache.get(tenant, "shelf") is None
    new.gate.set()
    await other_key
    assert await cache.get(tenant, "other") == "after"


# --- a Redis that is away


async def test_a_dead_redis_is_a_miss_and_never_an_error() -> None:
    with RedisServer() as own:
        cache, tenant = RedisCache(own.url), uuid4()
        await cache.set(tenant, "k", 1)
        own.kill()

        assert await cache.get(tenant, "k") is None
        assert await cache.set(tenant, "k", 2) is False
        assert await cache.delete(tenant, "k") is False
        assert await cache.exists(tenant, "k") is False
        assert await cache.invalidate_pattern(tenant, "*") == 0
        assert await cache.flush_tenant(tenant) == 0
        assert await cache.ping() is False
        assert await cache.get_or_compute(tenant, "k", 300, _any, _constant(3)) == 3
        await cache.aclose()


async def test_while_redis_is_dead_those_who_ask_during_a_computation_share_the_next_one() -> None:
    with RedisServer() as own:
        cache, tenant, shelf = RedisCache(own.url), uuid4(), Shelf()
        own.kill()
        await cache.get(tenant, "noticed")

        callers = [_through(cache, tenant, shelf.count) for _ in range(20)]
        await shelf.begun.wait()
        shelf.gate.set()

        assert await asyncio.gather(*callers) == ["counted"] * 20
        assert shelf.counts == 2
        await cache.aclose()


async def test_a_redis_that_hangs_costs_its_time_out_once_and_not_for_each_call() -> None:
    with RedisServer() as own:
        cache, tenant = RedisCache(own.url), uuid4()
        await cache.set(tenant, "k", 1)
        own.freeze()

        began_at = time.monotonic()
        answers = [await cache.get(tenant, "k") for _ in range(100)]
        took_s = time.monotonic() - began_at

        assert answers == [None] * 100
        assert took_s < 2
        await cache.aclose()


async def test_the_cache_works_again_when_redis_is_back() -> None:
    with RedisServer() as own:
        cache, tenant = RedisCache(own.url), uuid4()
        own.kill()
        assert await cache.get(tenant, "k") is None
        own.start()

        async with asyncio.timeout(cache_module.PAUSE_S + 2):
            while not await cache.set(tenant, "k", 1):
                await asyncio.sleep(0.02)

        assert await cache.get(tenant, "k") == 1
        await cache.aclose()


async def test_an_invalidation_that_could_not_be_delivered_is_made_good() -> None:
    with RedisServer(durable=True) as own:
        cache, tenant, untouched = RedisCache(own.url), uuid4(), uuid4()
        await cache.set(tenant, "k", "stale")
        await cache.set(untouched, "k", "fresh")
        own.kill()
        assert await cache.invalidate_pattern(tenant, "k*") == 0
        own.start()
        server = own.client()
        assert server.exists(f"tenant:{tenant}:k")

        await _until(lambda: not server.exists(f"tenant:{tenant}:k"))

        assert server.exists(f"tenant:{untouched}:k")
        await cache.aclose()


async def test_a_redis_that_refuses_to_store_is_still_read() -> None:
    with RedisServer() as own:
        cache, tenant, server = RedisCache(own.url), uuid4(), own.client()
        await cache.set(tenant, "k", 1)
        server.config_set("maxmemory", "1")

        assert await cache.set(tenant, "other", 1) is False
        assert await cache.get_or_compute(tenant, "third", 300, _any, _constant(3)) == 3

        assert await cache.get(tenant, "k") == 1
        await cache.aclose()


# --- @cached


def _constant(value: Any) -> Callable[[], Awaitable[Any]]:
    async def compute() -> Any:
        return value

    return compute


async def test_a_function_is_called_once_for_the_same_tenant_and_arguments(cache: RedisCache, tenant: UUID) -> None:
    calls: list[tuple[Any, ...]] = []

    @cached("test:list", ttl=300)
    async def list_things(tenant_id: UUID, limit: int = 100, *, search: str | None = None) -> list[str]:
        calls.append((tenant_id, limit, search))
        return [f"{limit} {search}"]

    for _ in range(2):
        assert await list_things(tenant) == ["100 None"]
        assert await list_things(tenant, 100) == ["100 None"]
        assert await list_things(tenant_id=tenant, limit=100, search=None) == ["100 None"]
        assert await list_things(tenant, 100, search="100") == ["100 100"]
        assert await list_things(tenant, 1) == ["1 None"]
        assert await list_things(uuid4()) == ["100 None"]

    assert len(calls) == 3 + 2


async def test_arguments_that_python_holds_equal_are_told_apart(cache: RedisCache, tenant: UUID) -> None:
    @cached("test:echo")
    async def echo(tenant_id: UUID, value: Any) -> str:
        return repr(value)

    assert [await echo(tenant, value) for value in (1, True, 1.0, "1", None, [1], [True])] == [
        "1",
        "True",
        "1.0",
        "'1'",
        "None",
        "[1]",
        "[True]",
    ]


async def test_all_that_a_name_keeps_is_forgotten_by_its_pattern(cache: RedisCache, server: "redis.Redis", tenant: UUID) -> None:
    @cached("test:page")
    async def page(tenant_id: UUID, number: int) -> int:
        return number

    @cached("test:total")
    async def total(tenant_id: UUID) -> int:
        return 7

    for number in range(3):
        await page(tenant, number)
    await total(tenant)

    assert server.exists(f"tenant:{tenant}:test:total")
    assert await cache.invalidate_pattern(tenant, "test:page*") == 3
    assert await cache.exists(tenant, "test:total") is True


async def test_a_result_comes_back_as_the_type_that_the_function_promises(cache: RedisCache, tenant: UUID) -> None:
    product = Product("Кружка", datetime(2026, 11, 22, 10, tzinfo=UTC))

    @cached("test:products")
    async def products(tenant_id: UUID) -> dict[str, Product]:
        return {"a": product}

    @cached("test:raw")
    async def raw(tenant_id: UUID) -> bytes:
        return b'{"as":"it is"}'

    @cached("test:none")
    async def none(tenant_id: UUID) -> Product | None:
        nones.append(1)

    nones: list[int] = []

    for _ in range(2):
        assert await products(tenant) == {"a": product}
        assert await raw(tenant) == b'{"as":"it is"}'
        assert await none(tenant) is None
    assert len(nones) == 1


async def test_what_an_older_release_stored_in_another_shape_is_computed_anew(cache: RedisCache, tenant: UUID) -> None:
    await cache.set(tenant, "test:shape", {"no": "product"})

    @cached("test:shape")
    async def shape(tenant_id: UUID) -> Product:
        return Product("new", datetime(2026, 11, 22, tzinfo=UTC))

    assert (await shape(tenant)).name == "new"
    assert (await cache.get(tenant, "test:shape"))["name"] == "new"


async def test_a_function_of_another_form_can_not_be_cached() -> None:
    async def without_tenant(product_id: UUID) -> int:
        return 1

    async def of_anything(tenant_id: UUID, *numbers: int) -> int:
        return 1

    async def without_type(tenant_id: UUID):  # type: ignore[no-untyped-def]  # it is what is tested
        return 1

    for function in (without_tenant, of_anything, without_type):
        with pytest.raises(TypeError, match="can't be cached"):
            cached("test:form")(function)
    with pytest.raises(ValueError, match="visible ASCII"):
        cached("with space")


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1, 2), {"wrong": 1}), ((1, 2), {"tenant_id": 1, "limit": 2, "wrong": 3})]
)
async def test_a_wrong_call_is_the_error_that_python_makes_of_it(cache: RedisCache, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    @cached("test:call")
    async def call(tenant_id: UUID, limit: int) -> int:
        return 1

    with pytest.raises(TypeError, match="argument"):
        await call(*args, **kwargs)


async def test_without_an_open_cache_the_function_is_called(tenant: UUID) -> None:
    calls: list[int] = []

    @cached("test:closed")
    async def closed(tenant_id: UUID) -> int:
        calls.append(1)
        return len(calls)

    assert [await closed(tenant), await closed(tenant)] == [1, 2]
    with pytest.raises(RuntimeError, match="not open"):
        get_cache()


async def test_a_cache_that_is_switched_off_reads_and_stores_nothing_but_still_invalidates(
    redis_url: str, tmp_path: Path, tenant: UUID
) -> None:
    elsewhere = RedisCache(redis_url)
    await elsewhere.set(tenant, "test:off", 99)
    cache = open_cache(_settings(redis_url, tmp_path, enabled=False))
    calls: list[int] = []

    @cached("test:off")
    async def off(tenant_id: UUID) -> int:
        calls.append(1)
        return len(calls)

    try:
        assert [await off(tenant), await off(tenant)] == [1, 2]
        assert await cache.get(tenant, "test:off") is None
        assert await cache.exists(tenant, "test:off") is False
        assert await cache.set(tenant, "other", 1) is False
        assert await elsewhere.get(tenant, "test:off") == 99
        assert await cache.invalidate_pattern(tenant, "test:*") == 1
    finally:
        await close_cache()
        await elsewhere.aclose()


async def test_the_process_has_one_cache(cache: RedisCache, redis_url: str, tmp_path: Path) -> None:
    assert get_cache() is cache

    with pytest.raises(RuntimeError, match="already open"):
        open_cache(_settings(redis_url, tmp_path))


async def test_closing_ends_what_is_being_computed(redis_url: str, tenant: UUID) -> None:
    cache, shelf = RedisCache(redis_url), Shelf()
    caller = _through(cache, tenant, shelf.count)
    await shelf.begun.wait()

    await cache.aclose()

    with pytest.raises(asyncio.CancelledError):
        await caller
