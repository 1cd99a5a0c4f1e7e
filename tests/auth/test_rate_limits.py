"""How often one may ask, and what one is told of it."""

from collections.abc import Iterator

import httpx
import pytest

from app.redis import get_redis
from app.secret import Secret
from app.settings import get_settings
from tests.auth.application import ADDRESS, PASSWORD, Bot, Seller

pytestmark = pytest.mark.anyio

LIMITS = {"RATE_LIMIT_TENANT_PER_MINUTE": "5", "RATE_LIMIT_GLOBAL_PER_MINUTE": "8", "RATE_LIMIT_AUTH_PER_MINUTE": "4"}


@pytest.fixture
def limits(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in LIMITS.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


async def test_each_answer_says_what_is_left_and_one_too_many_when_to_come_again(seller: Seller, limits: None) -> None:
    answers = [await seller.get("/auth/me") for _ in range(4)]
    missing = await seller.get("/nobody-needs-this")
    refused = [await seller.get("/auth/me") for _ in range(2)][-1]

    assert [answer.headers["RateLimit"] for answer in answers] == [f'"tenant";r={left};t=60' for left in (4, 3, 2, 1)]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"tenant";q=5;w=60, "global";q=8;w=60'}
    assert missing.status_code == 404
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    assert refused.headers["RateLimit"] == '"tenant";r=0;t=60'
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert "5 requests of this tenant are allowed within 60 s" in refused.json()["detail"]


async def test_one_tenants_haste_is_not_anothers_but_all_share_what_there_is(
    client: httpx.AsyncClient, seller: Seller, limits: None
) -> None:
    rival = await Seller.register(client, "rival@example.com")

    hasty = [(await seller.get("/auth/me")).status_code for _ in range(7)]
    others = [(await rival.get("/auth/me")).status_code for _ in range(4)]

    assert hasty == [200] * 5 + [429] * 2
    # Eight of all together: what was refused took nothing.
    assert others == [200] * 3 + [429]


async def test_sign_ins_are_counted_by_address_before_anything_is_looked_up(
    client: httpx.AsyncClient, seller: Seller, limits: None
) -> None:
    async def try_once(password: str) -> httpx.Response:
        return await client.post("/auth/login", json={"email": seller.email, "password": password})

    answers = [await try_once("wrong password") for _ in range(4)]
    refused = await try_once(PASSWORD)

    assert [answer.status_code for answer in answers] == [401] * 4
    assert [answer.headers["RateLimit"] for answer in answers] == [f'"address";r={left};t=60' for left in (3, 2, 1, 0)]
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert "from this address" in refused.json()["detail"]
    assert ADDRESS not in refused.text


async def test_a_bots_own_calls_are_counted_by_its_key(bot: Bot, limits: None) -> None:
    nobodys = Bot(bot.client, Secret(bot.key.reveal()[:-1] + ("0" if bot.key.reveal()[-1] != "0" else "1")))

    wrong = [await nobodys.ask(1) for _ in range(2)]
    answers = [await bot.ask("no number") for _ in range(6)]

    assert [answer.status_code for answer in wrong] == [401] * 2
    assert [answer.status_code for answer in answers] == [422] * 5 + [429]
    assert [answer.headers["RateLimit"] for answer in answers] == [f'"service";r={left};t=60' for left in (4, 3, 2, 1, 0, 0)]
    assert "5 requests with this service key are allowed within 60 s" in answers[-1].json()["detail"]


async def test_without_limits_nothing_is_counted_or_told(seller: Seller) -> None:
    answer = await seller.get("/auth/me")

    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.lower().startswith("ratelimit")]
    assert not await get_redis().keys("rate:*")


async def test_a_request_of_a_known_session_asks_redis_once(seller: Seller, limits: None) -> None:
    await seller.get("/auth/me")
    await get_redis().config_resetstat()

    await seller.get("/auth/me")

    calls = {name.removeprefix("cmdstat_"): stats["calls"] for name, stats in (await get_redis().info("commandstats")).items()}
    # One script, which reads the session's marker and two windows.
    assert calls.keys() & {"evalsha", "eval", "get", "set", "mget", "hmget"} == {"evalsha", "get", "hmget"}
    assert (calls["evalsha"], calls["get"], calls["hmget"]) == (1, 1, 2)


async def test_keys_that_nobody_has_are_tries_to_sign_in_and_keep_out_no_bot_that_was_here(
    bot: Bot, limits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bot.ask("no number")
    nobodys = Bot(bot.client, Secret(f"stk_{'0' * 32}_{'0' * 64}"))

    wrong = [await nobodys.ask(1) for _ in range(4)]
    with monkeypatch.context() as patched:
        patched.delattr("app.auth.service_keys.FIND")
        refused = await nobodys.ask(1)
    right = await bot.ask("no number")

    assert [answer.status_code for answer in wrong] == [401, 401, 401, 429]
    assert refused.status_code == 429
    assert "from this address" in refused.json()["detail"]
    assert right.status_code == 422
