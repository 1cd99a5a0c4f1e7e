import asyncio
import math
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import uuid4

import aiohttp
import httpx
import msgspec
import pytest
import structlog
from redis import Redis

from app.marketplaces.errors import RateLimited, ReportNotReady, UnexpectedResponse
from app.marketplaces.exchange import Answer, Budget, Call
from app.marketplaces.limits import CORRECT, LATENCY_S, NOW, PAUSE_S, TAKE, LimitNews, Permit, SharedLimits
from app.marketplaces.local_budgets import Bucket, LocalBudgets, Size, Turn
from app.marketplaces.transport import Transport
from app.marketplaces.wildberries.limit_headers import limit_news
from app.sandbox.main import create_sandbox, serve_in_thread
from app.sandbox.tokens import issue_token
from tests.marketplaces.hammer import Work, read
from tests.marketplaces.strict_marketplace import StrictMarketplace, strict_marketplace
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio

OK = Answer(200, {}, b"")
CARDS = Budget(0.6, 5)
PROCESSES = 8


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


@pytest.fixture
async def another_worker(own_redis: RedisServer) -> AsyncIterator[SharedLimits]:
    limits = SharedLimits(own_redis.url)
    yield limits
    await limits.aclose()


def call_of(account: str = "seller", group: str = "cards", budget: Budget | None = CARDS, **changes: object) -> Call:
    call = Call(method="GET", url="http://marketplace/cards", account=account, group=group, budget=budget)
    return msgspec.structs.replace(call, **changes)


async def learn(limits: SharedLimits, call: Call, permit: Permit, answer: Answer = OK, **told: object) -> None:
    news = told.pop("news", None)
    error = told.pop("error", None)
    await limits.learn(call, permit, answer, news, error, 0.0)  # type: ignore[arg-type]  # the caller names them


# --- one budget


async def test_a_burst_goes_at_once_but_for_the_call_that_is_left_to_others_and_then_one_in_each_interval(limits: SharedLimits) -> None:
    call = call_of()

    waits = [(await limits.take(call)).wait_s for _ in range(8)]

    assert waits[:2] == [0.0, 0.0]
    assert waits[2:] == pytest.approx([0.3 + 0.6 * number for number in range(6)], abs=0.1)


async def test_a_budget_is_one_for_all_workers_and_another_for_each_account_and_group(
    limits: SharedLimits, another_worker: SharedLimits
) -> None:
    call = call_of(budget=Budget(5.0, 1))
    await limits.take(call)

    elsewhere = await another_worker.take(call)
    others = [await limits.take(call_of(budget=call.budget, **other)) for other in ({"account": "another"}, {"group": "prices"})]

    assert 4.5 < elsewhere.wait_s <= 5.0 + LATENCY_S
    assert [permit.wait_s for permit in others] == [0.0, 0.0]


async def test_where_the_wait_is_longer_than_the_patience_nothing_is_taken(limits: SharedLimits) -> None:
    call = call_of(budget=Budget(60.0, 1))
    await limits.take(call)

    for _ in range(3):
        with pytest.raises(RateLimited) as refusal:
            await limits.take(call)

        assert timedelta(seconds=59) < refusal.value.retry_after <= timedelta(seconds=61)


async def test_a_call_without_a_budget_waits_for_nothing(limits: SharedLimits) -> None:
    call = call_of(budget=None)

    assert [(await limits.take(call)).wait_s for _ in range(50)] == [0.0] * 50


async def test_all_that_is_kept_goes_by_itself(limits: SharedLimits, redis: "Redis") -> None:
    call = call_of()
    permit = await limits.take(call)
    await learn(limits, call, permit, Answer(429, {}, b""), error=RateLimited(timedelta(seconds=3)), news=LimitNews(whole_account=True))

    kept = redis.keys()

    assert set(kept) == {b"limits:seller", b"limits:seller:cards"}
    assert all(0 < redis.pttl(key) < 10_000 for key in kept)


async def test_a_redis_that_forgot_the_scripts_is_given_them_again(limits: SharedLimits, redis: "Redis") -> None:
    call = call_of(budget=Budget(5.0, 1))
    await limits.take(call)
    redis.script_flush()

    permit = await limits.take(call)

    assert permit.wait_s > 4.0
    assert not permit.is_local


# --- what answers teach


async def test_answers_in_good_order_cost_no_round_trip(limits: SharedLimits, redis: "Redis") -> None:
    call = call_of(budget=Budget(0.001, 1000))
    await limits.take(call)
    redis.config_resetstat()

    for _ in range(100):
        permit = await limits.take(call)
        await learn(limits, call, permit, news=LimitNews(permit.remaining))

    asked = {name: facts["calls"] for name, facts in redis.info("commandstats").items()}
    assert asked["cmdstat_evalsha"] == 100


async def test_fewer_calls_left_than_expected_put_off_the_next_ones(limits: SharedLimits, another_worker: SharedLimits) -> None:
    call = call_of(budget=Budget(1.0, 5))
    permit = await limits.take(call)

    await learn(limits, call, permit, news=LimitNews(remaining=0))

    assert (await another_worker.take(call)).wait_s == pytest.approx(2.0, abs=0.1)


async def test_more_calls_left_than_expected_change_nothing(limits: SharedLimits) -> None:
    call = call_of(budget=Budget(2.0, 1))
    permit = await limits.take(call)

    await learn(limits, call, permit, news=LimitNews(remaining=99))

    assert (await limits.take(call)).wait_s > 1.5


async def test_a_refusal_costs_what_the_marketplace_charges_for_it(limits: SharedLimits) -> None:
    call = call_of(budget=Budget(1.0, 20, refusal_cost=10))
    permits = [await limits.take(call) for _ in range(8)]

    await learn(limits, call, permits[0], Answer(404, {}, b""), error=UnexpectedResponse("No."))

    assert [permit.wait_s for permit in permits] == [0.0] * 8
    assert (await limits.take(call)).wait_s == pytest.approx(8.0 + LATENCY_S, abs=0.1)


async def test_a_request_for_patience_holds_the_group_and_not_the_others(limits: SharedLimits, another_worker: SharedLimits) -> None:
    call = call_of()
    permit = await limits.take(call)

    await learn(limits, call, permit, Answer(429, {}, b""), error=RateLimited(timedelta(minutes=1)), news=LimitNews(retry_after_s=7.0))

    assert 7.0 <= (await another_worker.take(call)).wait_s + 0.1 <= 8.0
    assert (await another_worker.take(call_of(group="prices"))).wait_s == 0.0


async def test_a_request_for_patience_in_a_group_without_a_budget_holds_it_too(limits: SharedLimits) -> None:
    call = call_of(budget=None)
    permit = await limits.take(call)

    await learn(limits, call, permit, Answer(429, {}, b""), error=RateLimited(timedelta(hours=5)))

    with pytest.raises(RateLimited) as refusal:
        await limits.take(call)
    assert timedelta(hours=4.9) < refusal.value.retry_after <= timedelta(hours=5)


async def test_the_limiter_of_the_whole_account_holds_all_its_groups_and_no_other_account(
    limits: SharedLimits, another_worker: SharedLimits
) -> None:
    call = call_of()
    permit = await limits.take(call)

    await learn(limits, call, permit, Answer(429, {}, b""), error=RateLimited(timedelta(hours=1)), news=LimitNews(whole_account=True))

    for group in ("cards", "prices", "orders"):
        with pytest.raises(RateLimited) as refusal:
            await another_worker.take(call_of(group=group, budget=None if group == "orders" else Budget(0.1, 9)))
        assert refusal.value.retry_after > timedelta(minutes=59)
    assert (await another_worker.take(call_of("another"))).wait_s == 0.0


async def test_a_request_for_patience_that_comes_twice_is_not_added_up(limits: SharedLimits) -> None:
    call = call_of()
    permits = [await limits.take(call) for _ in range(3)]

    for permit in permits:
        await learn(limits, call, permit, Answer(429, {}, b""), error=RateLimited(timedelta(seconds=6)))

    assert (await limits.take(call)).wait_s <= 7.0


async def test_a_report_that_is_not_ready_blocks_nobody(limits: SharedLimits) -> None:
    call = call_of()
    permit = await limits.take(call)

    await learn(limits, call, permit, error=ReportNotReady(timedelta(minutes=5)))

    assert (await limits.take(call)).wait_s == 0.0


async def test_who_waits_hears_of_what_was_put_off_meanwhile_and_keeps_its_place(limits: SharedLimits) -> None:
    call = call_of(budget=Budget(1.0, 3))
    permits = [await limits.take(call) for _ in range(4)]

    await learn(limits, call, permits[0], news=LimitNews(remaining=0))

    renewed = [(await limits.renew(call, permit)).wait_s for permit in permits[1:]]

    assert renewed[0] > 0.5
    assert renewed == pytest.approx([renewed[0]] * 3)


async def test_who_waits_while_the_account_is_blocked_waits_for_the_end_of_it(limits: SharedLimits) -> None:
    call = call_of(budget=Budget(0.5, 1))
    first, second = await limits.take(call), await limits.take(call)
    await learn(limits, call, first, Answer(429, {}, b""), error=RateLimited(timedelta(seconds=8)), news=LimitNews(whole_account=True))

    renewed = await limits.renew(call, second)

    assert 7.5 < renewed.wait_s < 9.0


# --- the script and its model


def test_the_scripts_do_what_the_model_does(redis: "Redis") -> None:
    take, correct = (redis.register_script(script.replace(NOW, "local now = tonumber(ARGV[8])\n")) for script in (TAKE, CORRECT))
    chance = random.Random(20261123)
    outcomes = set()

    for round_number in range(40):
        model = LocalBudgets()
        burst, cost = chance.choice([(1, 1), (5, 1), (20, 10)])
        size = Size(chance.choice([0, 20_000, 600_000, 20_000_000]), burst, max(burst - cost, 1), chance.choice([0, 1_000_000]))
        now, account = 1_800_000_000_000_000, f"a{round_number}"
        groups = ["g", "h"]
        for group in groups:
            model.buckets[account, group] = Bucket()
        turns: list[tuple[str, Turn]] = []
        for _ in range(60):
            now += chance.choice([0, 1, chance.randrange(1_000_000), chance.randrange(30_000_000)])
            group = chance.choice(groups)
            keys = [f"limits:{account}:{group}", f"limits:{account}", "circuit:h", "circuit:h:failing"]
            if chance.random() < 0.7:
                patience = chance.choice([0, 1_000_000, 10_000_000, 10**12])
                held = [turn for of, turn in turns if of == group and turn.taken]
                then = chance.choice(held).pushed if held and chance.random() < 0.3 else None
                expected = model.take(account, group, size, patience, then, now)
                arguments = ["", patience, size.interval, burst, size.usable, "" if then is None else then, size.margin, now]
                answer = take(keys, arguments)
                turns.append((group, expected))
                outcomes.add((expected.taken, expected.wait > 0, then is None))
                got = Turn(True, *answer[1:4]) if answer[0] == 0 else Turn(False, answer[1])
                assert got == expected
            else:
                remaining, age = chance.randrange(-1, burst + 1), chance.randrange(2_000_000)
                extra, blocked = chance.choice([0, 0, cost - 1]), chance.choice([0, 0, 1_000_000, 3_600_000_000])
                whole = chance.random() < 0.3
                model.correct(account, group, size, remaining, age, extra, blocked, whole_account=whole, now=now)
                correct(keys[:2], [size.interval, burst, remaining, age, extra, blocked, int(whole), now])

    # Taken at once and later, refused, each of them for a new call and for one that waited.
    assert len(outcomes) == 6


# --- Redis away


async def test_without_redis_every_call_still_has_a_budget_and_none_begins_with_a_burst() -> None:
    with RedisServer() as server, structlog.testing.capture_logs() as logs:
        limits, call = SharedLimits(server.url), call_of(budget=Budget(1.0, 5))
        await limits.take(call)
        server.kill()

        began_at = time.monotonic()
        permits = [await limits.take(call) for _ in range(5)]
        for permit in permits:
            await learn(limits, call, permit, news=LimitNews(0))

        assert time.monotonic() - began_at < 1.0
        assert all(permit.is_local for permit in permits)
        assert [permit.wait_s for permit in permits] == pytest.approx([0.0, 1.0, 2.0, 3.0, 4.0], abs=0.3)
        assert [entry["event"] for entry in logs] == ["limits.redis_away"]
        await limits.aclose()


async def test_without_redis_a_request_for_patience_holds_this_process() -> None:
    with RedisServer() as server:
        limits, call = SharedLimits(server.url), call_of()
        server.kill()
        permit = await limits.take(call)

        await learn(limits, call, permit, Answer(429, {}, b""), error=RateLimited(timedelta(hours=1)), news=LimitNews(whole_account=True))

        with pytest.raises(RateLimited):
            await limits.take(call_of(group="prices"))
        await limits.aclose()


async def test_when_redis_is_back_the_budget_is_shared_again() -> None:
    with RedisServer() as server, structlog.testing.capture_logs() as logs:
        limits, call = SharedLimits(server.url), call_of(budget=Budget(0.01, 5))
        server.kill()
        assert (await limits.take(call)).is_local
        server.start()

        async with asyncio.timeout(PAUSE_S + 5):
            while (await limits.take(call)).is_local:
                await asyncio.sleep(0.05)

        assert [entry["event"] for entry in logs] == ["limits.redis_away", "limits.redis_back"]
        await limits.aclose()


async def test_a_redis_that_comes_back_empty_hears_what_was_sent_and_refused_without_it() -> None:
    with RedisServer() as server:
        limits, call, refused = SharedLimits(server.url), call_of(budget=Budget(3.0, 5), patience_s=100.0), call_of("refused", budget=None)
        server.kill()
        for _ in range(3):
            await limits.take(call)
        permit = await limits.take(refused)
        await learn(
            limits, refused, permit, Answer(429, {}, b""), error=RateLimited(timedelta(hours=1)), news=LimitNews(whole_account=True)
        )
        server.start()

        async with asyncio.timeout(PAUSE_S + 5):
            while (permit := await limits.take(call)).is_local:
                await asyncio.sleep(PAUSE_S / 2)
        another = SharedLimits(server.url)

        assert permit.wait_s > 5.0
        with pytest.raises(RateLimited):
            await limits.take(refused)
        with pytest.raises(RateLimited):
            await another.take(call_of("refused", "orders"))
        await limits.aclose()
        await another.aclose()


async def test_a_redis_that_hangs_costs_its_time_out_once_and_not_for_each_call() -> None:
    with RedisServer() as server:
        limits, call = SharedLimits(server.url), call_of(budget=None)
        await limits.take(call)
        server.freeze()

        began_at = time.monotonic()
        permits = [await limits.take(call) for _ in range(100)]

        assert time.monotonic() - began_at < 2.0
        assert permits[-1].is_local
        await limits.aclose()


# --- a real marketplace that counts


def hammer(*works: Work) -> list[dict[str, int]]:
    processes = [
        subprocess.Popen([sys.executable, "-m", "tests.marketplaces.hammer", msgspec.json.encode(work).decode()], stdout=subprocess.PIPE)
        for work in works
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(works)
    return [msgspec.json.decode(output) for output in outputs]


def most_in_any_window(marketplace: StrictMarketplace) -> float:
    """By how much the calls of the worst window were more than the limit allows in one of its length; at most 0 is right."""
    calls = [(at, cost) for at, cost, _, status in marketplace.arrivals]
    worst = -math.inf
    for first, (since, _) in enumerate(calls):
        total = 0
        for until, cost in calls[first:]:
            total += cost
            worst = max(worst, total - marketplace.burst - (until - since) / marketplace.interval_s)
    return worst


def test_eight_processes_never_exceed_the_limit_of_an_account_nor_starve(own_redis: RedisServer, redis: "Redis") -> None:
    with strict_marketplace(0.2, 10) as marketplace:
        work = Work(redis_url=own_redis.url, url=marketplace.url, seconds=4.0, budget=Budget(0.2, 10))

        outcomes = hammer(*[work] * PROCESSES)

        assert set(marketplace.statuses()) == {200}
        assert most_in_any_window(marketplace) <= 1e-9
        assert marketplace.share_used() > 0.9
        assert all(outcome["answered"] >= 2 for outcome in outcomes)


def test_eight_processes_never_exceed_the_limit_where_refusals_cost_ten_calls(own_redis: RedisServer, redis: "Redis") -> None:
    with strict_marketplace(0.2, 20, refusal_cost=10) as marketplace:
        work = Work(redis_url=own_redis.url, url=marketplace.url, seconds=5.0, budget=Budget(0.2, 20, refusal_cost=10))
        faulty = msgspec.structs.replace(work, refused_every=3)

        outcomes = hammer(faulty, *[work] * (PROCESSES - 1))

        assert outcomes[0]["refused"] >= 1
        assert 429 not in marketplace.statuses()
        assert most_in_any_window(marketplace) <= 1e-9
        assert marketplace.share_used() > 0.75


def test_eight_processes_get_no_refusal_from_the_sandbox(own_redis: RedisServer, redis: "Redis") -> None:
    seller_id = uuid4()
    token = issue_token(seller_id, products=3)
    with serve_in_thread(create_sandbox(limits=True)) as url:
        work = Work(
            redis_url=own_redis.url,
            url=f"{url}/wildberries/content/content/v2/get/cards/list",
            seconds=3.0,
            tasks=1,
            budget=Budget(0.6, 5),
            method="POST",
            headers={"Authorization": token, "Content-Type": "application/json"},
            body='{"settings":{"cursor":{"limit":1},"filter":{"withPhoto":-1}}}',
        )

        outcomes = hammer(*[work] * PROCESSES)

        counted = httpx.get(f"{url}/sandbox/requests", params={"seller_id": str(seller_id)}, trust_env=False).json()
        (statuses,) = counted.values()
        assert statuses == {"200": sum(outcome["answered"] for outcome in outcomes)}
        assert all(outcome["answered"] for outcome in outcomes)


async def test_a_seller_whose_other_program_used_the_budget_up_is_refused_once(
    limits: SharedLimits, another_worker: SharedLimits, http: aiohttp.ClientSession
) -> None:
    with strict_marketplace(0.5, 3) as marketplace:
        call = call_of(url=marketplace.url, budget=Budget(0.5, 3))
        for _ in range(3):
            (await http.get(marketplace.url, headers={"X-Sender": "another program"})).release()

        for sender in (limits, another_worker) * 4:
            await Transport(http, limits=sender, news=limit_news).send(call, read)

        assert marketplace.statuses().count(429) == 1
        assert marketplace.statuses()[0] == 429
        assert marketplace.statuses()[1:] == [200] * 8


async def test_a_program_that_takes_a_call_now_and_then_costs_neither_of_us_a_refusal(
    limits: SharedLimits, http: aiohttp.ClientSession
) -> None:
    with strict_marketplace(0.1, 10) as marketplace:
        call = call_of(url=marketplace.url, budget=Budget(0.1, 10))

        async def another_program() -> None:
            while True:
                (await http.get(marketplace.url, headers={"X-Sender": "another program"})).release()
                await asyncio.sleep(0.35)

        other = asyncio.create_task(another_program())
        transport = Transport(http, limits=limits, news=limit_news)
        for _ in range(40):
            await transport.send(call, read)
        other.cancel()

        assert marketplace.statuses() == [200] * 40
        assert set(marketplace.statuses("another program")) == {200}
        assert marketplace.share_used() > 0.8
