"""How the marketplaces' limits and bad days are borne: the section on limits of the sync engine's design."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from redis import Redis

from app.credentials.factory import close_marketplace_connections
from app.marketplaces.circuit import MOST_FAILING, NEXT_PROBE_S, PAUSE_S, host_of
from app.marketplaces.contract import Marketplace
from app.marketplaces.errors import CircuitOpen, MarketplaceDown, RateLimited
from app.marketplaces.exchange import Budget, Call, make_http_client
from app.marketplaces.limits import LATENCY_S, SharedLimits
from app.marketplaces.ozon import methods as ozon
from app.marketplaces.transport import Transport
from app.marketplaces.wildberries import methods as wildberries
from app.marketplaces.wildberries.limit_headers import limit_news
from app.marketplaces.wildberries.methods import CARDS_LIST, GOODS_PRICES
from app.redis import get_redis
from app.runs.lease import claim
from app.runs.schedule import queue_due_tenants
from app.runs.tables import RunStatus, Trigger
from app.sandbox.tokens import SANDBOX_SERVICE
from app.settings import get_settings
from tests.application import Shop
from tests.factories import create_run, create_tenant
from tests.marketplaces.hammer import read
from tests.marketplaces.strict_marketplace import strict_marketplace
from tests.redis_server import RedisServer
from tests.scripted_client import order
from tests.scripted_shop import PlayShop, stages, statuses
from tests.sync.faults.seller import stage_of
from tests.sync.faults.seller import statuses as statuses_of

pytestmark = pytest.mark.anyio

APP = Path(__file__).parents[2] / "app"


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def own_redis(redis_server: RedisServer) -> Iterator["Redis"]:
    with redis_server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
async def workers(redis_server: RedisServer, own_redis: "Redis") -> AsyncIterator[list[SharedLimits]]:
    """What two processes know of the limits."""
    both = [SharedLimits(redis_server.url), SharedLimits(redis_server.url)]
    yield both
    for limits in both:
        await limits.aclose()


@pytest.fixture
async def limited(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    """A seller whose syncs keep to our own budgets, as they do outside the tests."""
    await get_redis().flushdb()
    await close_marketplace_connections()
    monkeypatch.setenv("MARKETPLACE_LIMITS_ENABLED", "true")
    get_settings.cache_clear()
    yield shop
    await close_marketplace_connections()


def call_of(account: str = "seller", group: str = "cards", budget: Budget | None = None, url: str = "http://marketplace/cards") -> Call:
    return Call(method="GET", url=url, account=account, group=group, budget=budget or Budget(5.0, 1))


# Budgets


async def test_a_budget_belongs_to_a_sellers_account_its_token_type_and_a_method_group(limited: Shop):
    """“Limits belong to a seller's account, its token type and a method group.”"""
    budgets: dict[str, set[str]] = {}

    for token_type in ("personal", "service"):
        await limited.give_key(limited.key(products=3, token_type=token_type))
        await get_redis().flushdb()
        await limited.sync()
        budgets[token_type] = {name.decode() for name in await get_redis().keys("limits:*")}

    account = f"limits:wildberries:{limited.seller_id}"
    of = {"personal": f"{account}:personal:", "service": f"{account}:service:{SANDBOX_SERVICE.removeprefix('asid:')}:"}
    for token_type, names in budgets.items():
        assert {of[token_type] + group for group in ("content", "prices", "order-feed")} <= names
        assert all(name.startswith(of[token_type]) for name in names)


async def test_a_budget_is_shared_by_all_workers_and_taken_by_one_lua_call_that_answers_how_long_to_wait(
    workers: list[SharedLimits], own_redis: "Redis"
):
    """“… shared by all our workers: one budget (GCRA) per (account, group) in Redis, taken by one Lua call that answers how long to wait.” By eight processes
    against a strict marketplace: tests/marketplaces/test_limits.py."""
    first, second = workers
    await first.take(call_of("warm-up"))
    await second.take(call_of("warm-up as well"))
    own_redis.config_resetstat()

    waits = [(await limits.take(call_of())).wait_s for limits in (first, second)]
    elsewhere = [(await second.take(call)).wait_s for call in (call_of("another account"), call_of(group="prices"))]

    assert waits[0] == 0.0
    assert 4.5 < waits[1] <= 5.0 + LATENCY_S
    assert elsewhere == [0.0, 0.0]
    assert own_redis.info("commandstats")["cmdstat_evalsha"]["calls"] == 4


async def test_what_the_sellers_other_tools_used_up_is_learnt_from_the_answers_own_headers(workers: list[SharedLimits]):
    """“… are shared with the seller's other tools, … and corrected from the answer's own headers.”"""
    first, second = workers
    budget = Budget(30.0, 10)
    async with make_http_client() as http:
        with strict_marketplace(30.0, 10) as marketplace:
            call = call_of(budget=budget, url=marketplace.url)
            for _ in range(9):
                (await http.get(marketplace.url, headers={"X-Sender": "another program"})).release()
            await Transport(http, limits=first, news=limit_news).send(call, read)

            with pytest.raises(RateLimited) as refusal:
                await second.take(call)

            assert marketplace.statuses() == [200]
    assert timedelta(seconds=10) < refusal.value.retry_after <= timedelta(seconds=60)


# Waits


@pytest.mark.parametrize(("asked_s", "is_slept"), [(1, True), (10, True), (11, False), (18_000, False)])
async def test_waits_up_to_10_s_are_slept_and_a_longer_one_puts_the_run_back_so_that_it_occupies_no_worker(
    shop: Shop, sandbox: httpx.AsyncClient, slept: list[float], asked_s: int, is_slept: bool
):
    """“Waits up to 10 s are slept; a longer one puts the run back (`queued`, `not_before`), so that it occupies no worker: Wildberries has been seen to ask for
    hours.”"""
    await shop.give_key(shop.key(products=5))
    await sandbox.post("/faults", json={"kind": "rate_limited", "path": GOODS_PRICES.path, "retry_s": asked_s})
    another = await create_run(await create_tenant(), Trigger.SCHEDULE)
    asked_at = datetime.now(UTC)

    run = await shop.sync()

    if is_slept:
        assert (run["status"], run["not_before"]) == ("succeeded", None)
        assert [asked_s <= pause <= 1.1 * asked_s for pause in slept] == [True]
    else:
        assert (run["status"], statuses_of(run)) == ("queued", ["succeeded", "pending", "succeeded", "succeeded"])
        assert slept == []
        wait = datetime.fromisoformat(run["not_before"]) - asked_at
        assert timedelta(seconds=asked_s - 1) < wait < timedelta(seconds=asked_s + 10)
        lease = await claim("the next free place")
        assert lease is not None
        assert lease.run_id == another


async def test_our_own_budget_puts_a_run_back_before_the_marketplace_has_to_refuse(
    limited: Shop, sandbox: httpx.AsyncClient, slept: list[float]
):
    """Likewise where it is our own figure that asks for the wait: a stock report is open once in 20 s."""
    await limited.give_key(limited.key(products=3))
    await limited.sync()

    run = await limited.sync(scopes=["stocks"])

    assert (run["status"], stage_of(run, "stocks")["error"]["code"]) == ("queued", "marketplace_rate_limited")
    counted = (await sandbox.get("/requests", params={"seller_id": str(limited.seller_id)})).json()
    assert {status for by_status in counted.values() for status in by_status} <= {"200", "204"}


# Bad days


@pytest.mark.parametrize("kind", ["server_error", "unavailable", "disconnect", "reset", "cut", "truncated"])
async def test_5xx_resets_and_truncated_bodies_are_tried_5_times_with_full_jitter(
    shop: Shop, sandbox: httpx.AsyncClient, slept: list[float], kind: str
):
    """“5xx, resets, truncated bodies: full-jitter backoff, 5 attempts, …”"""
    await shop.give_key(shop.key(products=5))
    await sandbox.post("/faults", json={"kind": kind, "path": GOODS_PRICES.path, "times": 4})

    run = await shop.sync()

    assert (run["status"], stage_of(run, "prices")["updated"]) == ("succeeded", 5)
    assert [0.0 <= pause <= longest for pause, longest in zip(slept, (0.5, 1.0, 2.0, 4.0), strict=True)] == [True] * 4
    assert len(set(slept)) == 4


@pytest.mark.parametrize("kind", ["server_error", "reset", "truncated"])
async def test_after_5_attempts_the_stage_fails_and_what_was_written_stays(
    shop: Shop, sandbox: httpx.AsyncClient, slept: list[float], kind: str
):
    """“… then the stage fails and what was written stays.”"""
    await shop.give_key(shop.key(products=150))
    await sandbox.post("/faults", json={"kind": kind, "path": CARDS_LIST.path, "times": 5, "skip": 1})

    run = await shop.sync(scopes=["products"])

    assert (stage_of(run, "products")["status"], len(slept)) == ("failed", 4)
    assert stage_of(run, "products")["error"]["code"] == "marketplace_unavailable"
    assert await shop.rows("SELECT count(*) FROM products WHERE tenant_id = $1") == [(100,)]
    again = await shop.sync(scopes=["products"])
    assert (again["status"], await shop.rows("SELECT count(*) FROM products WHERE tenant_id = $1")) == ("succeeded", [(150,)])


async def test_a_rejected_key_turns_invalid_pauses_the_schedule_and_is_told_once_and_not_hammered(
    shop: Shop, sandbox: httpx.AsyncClient, slept: list[float]
):
    """“Rejected key: the credential turns `invalid`, the tenant's schedule pauses, `credentials.invalid` goes out once; no hammering of a dead key.” With a real
    receiver: tests/stories/test_original_flow.py."""
    await shop.give_key(shop.key(products=5))
    await shop.sync()
    await sandbox.post("/faults", json={"kind": "unauthorized", "seller_id": str(shop.seller_id), "times": 100})
    await sandbox.delete("/requests")

    failed = await shop.sync()
    queued_by_the_schedule = await queue_due_tenants()
    again = await shop.sync()

    assert [run["error"]["code"] for run in (failed, again)] == ["credentials_rejected"] * 2
    assert await shop.rows("SELECT status FROM credentials WHERE tenant_id = $1") == [("invalid",)]
    assert (await shop.expect(200, "GET", "/tenants/me"))["next_sync_at"] is None
    assert queued_by_the_schedule == 0
    told = await shop.rows("SELECT type FROM events WHERE tenant_id = $1 ORDER BY sequence")
    assert [event for (event,) in told] == ["sync.completed", "credentials.invalid", "sync.failed", "sync.failed"]
    counted = (await sandbox.get("/requests", params={"seller_id": str(shop.seller_id)})).json()
    # One call for each time that the seller pressed the button.
    assert list(counted.values()) == [{"401": 2}]
    assert slept == []


# The circuit


async def fail(limits: SharedLimits, account: str, call: Call) -> None:
    await limits.learn(call, await limits.take(call), None, None, MarketplaceDown(f"Out of order for {account}."), 0.0)


async def open_circuit(limits: SharedLimits) -> None:
    for number in range(MOST_FAILING):
        await fail(limits, f"seller {number}", call_of(f"seller {number}"))


async def test_a_marketplace_that_fails_for_everyone_opens_a_circuit_that_all_workers_share(workers: list[SharedLimits]):
    """“A marketplace that fails for everyone opens a circuit shared through Redis.” One that fails for one seller opens none."""
    here, elsewhere = workers
    for _ in range(20):
        await fail(here, "one seller", call_of("one seller", budget=Budget(0.001, 100), url="http://another.marketplace/cards"))
    await elsewhere.take(call_of("another seller", url="http://another.marketplace/cards"))

    await open_circuit(here)

    with pytest.raises(CircuitOpen):
        await elsewhere.take(call_of("a third seller"))


async def test_while_a_circuit_is_open_runs_wait(play_shop: PlayShop):
    """“… runs wait, …”"""
    shop = await play_shop(orders=[CircuitOpen(timedelta(minutes=2)), [order("A")]])

    run = await shop.start()

    assert (run.status, statuses(run)) == (RunStatus.QUEUED, ["succeeded", "succeeded", "succeeded", "pending"])
    error = stages(run)["orders"].error
    assert error is not None
    assert error.code == "marketplace_circuit_open"
    assert run.not_before is not None
    assert run.not_before > datetime.now(UTC) + timedelta(minutes=1)
    await shop.let_time_pass(timedelta(minutes=2))
    assert (await shop.go_on()).status is RunStatus.SUCCEEDED


async def test_half_open_one_probe_goes_and_there_is_no_storm_when_the_marketplace_comes_back(
    workers: list[SharedLimits], own_redis: "Redis"
):
    """“… half-open probes, no storm when it comes back.” A server that is down and found again: tests/marketplaces/test_circuit.py."""
    here, elsewhere = workers
    await open_circuit(here)
    sent_away: list[timedelta] = []

    async def ask(limits: SharedLimits, account: str) -> bool:
        try:
            return (await limits.take(call_of(account))).is_probe
        except CircuitOpen as refusal:
            sent_away.append(refusal.retry_after)
            return False

    for number in range(40):
        assert not await ask(elsewhere, f"waiting {number}")
    while_open, sent_away = sent_away, []
    # As if its pause were over.
    own_redis.hset(f"circuit:{host_of(call_of().url)}", "until", 1)
    probes = [await ask((here, elsewhere)[number % 2], f"waiting {number}") for number in range(40)]

    assert probes.count(True) == 1
    assert probes[0]
    assert len(sent_away) == 39
    # Who was sent away at once comes back spread over half the pause.
    for waits, least in ((while_open, PAUSE_S - 1), (sent_away, NEXT_PROBE_S)):
        assert min(waits) >= timedelta(seconds=least)
        assert max(waits) - min(waits) > timedelta(seconds=PAUSE_S / 4)


# The table


@pytest.mark.parametrize("marketplace", Marketplace)
def test_what_a_method_costs_and_gives_and_where_that_is_said_stands_in_one_table_of_the_code(marketplace: Marketplace):
    """“What a method costs, its page size, limits by token type and source of the figure stand in one table of the code, not scattered.” That the table in words is
    the table of the code: tests/marketplaces/*/test_methods.py."""
    table = {Marketplace.WILDBERRIES: wildberries, Marketplace.OZON: ozon}[marketplace]
    methods = {name: method for name, method in vars(table).items() if isinstance(method, table.Method)}

    documented = {name.strip() for name in re.findall(r"^\|([^|]+)\|", table.__doc__ or "", re.MULTILINE)}
    elsewhere = {
        path.name: found
        for path in (APP / "marketplaces" / marketplace).glob("*.py")
        if path.name != "methods.py"
        and (found := re.findall(r"Budget\(\s*[\d.]|page_size\s*=\s*\d|\"limit\": \d|limit=\d", path.read_text()))
    }

    assert len(methods) >= 9
    assert methods.keys() <= documented
    assert "Source: " in (table.__doc__ or "")
    assert all(method.page_size >= 1 for method in methods.values())
    assert elsewhere == {}
