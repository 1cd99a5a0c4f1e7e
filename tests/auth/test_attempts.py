"""Whoever guesses passwords is slowed down; nobody is locked out."""

import asyncio

import httpx
import pytest

from app.auth.attempts import ANYWHERE, ON_A_NETWORK, begin_attempt, forget_attempts
from app.errors import TooManyRequests
from app.redis import get_redis, start_redis, stop_redis
from tests.auth.application import PASSWORD, Seller

pytestmark = pytest.mark.anyio

EMAIL, HERE, ELSEWHERE = "tg12345@example.com", "203.0.113.7", "198.51.100.1"


async def waits_s(email: str, address: str) -> float:
    """How long the next try has to wait; it is made where it need not."""
    try:
        await begin_attempt(email, address)
    except TooManyRequests as refusal:
        return refusal.retry_after.total_seconds()
    return 0.0


async def patiently(email: str, address: str, tries: int) -> list[float]:
    """As many tries, each after the wait that the one before brought; and these waits."""
    waits: list[float] = []
    for _ in range(tries):
        waits.append(wait_s := await waits_s(email, address))
        if wait_s:
            for name in await get_redis().keys("*:wait"):
                await get_redis().delete(name)
            await begin_attempt(email, address)
    return waits


async def test_a_wait_doubles_with_each_try_after_five(redis: None) -> None:
    assert await patiently(EMAIL, HERE, 17) == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


async def test_of_many_tries_at_once_no_more_are_looked_at_than_of_as_many_in_a_row(redis: None) -> None:
    waits = await asyncio.gather(*(waits_s(EMAIL, HERE) for _ in range(40)))

    assert waits.count(0) == ON_A_NETWORK.free


async def test_on_another_network_the_owner_comes_in(redis: None) -> None:
    await patiently(EMAIL, HERE, 20)

    assert await waits_s(EMAIL, ELSEWHERE) == 0
    assert await waits_s("somebody@example.com", HERE) == 0
    assert await waits_s(EMAIL, HERE) > 0


async def test_an_attack_from_many_networks_makes_the_owner_wait_for_half_a_minute_at_most(redis: None) -> None:
    for number in range(ANYWHERE.free):
        assert await waits_s(EMAIL, f"10.0.{number}.1") == 0

    assert await waits_s(EMAIL, ELSEWHERE) == 1
    await get_redis().incrby(next(iter(await get_redis().keys("sign-in:" + "?" * 32))), 10_000)
    assert await patiently(EMAIL, ELSEWHERE, 2) == [1, 30]


async def test_an_attack_from_everywhere_does_not_keep_the_owner_out_of_where_the_right_password_was_given(redis: None) -> None:
    await begin_attempt(EMAIL, HERE)
    await forget_attempts(EMAIL, HERE)

    for number in range(ANYWHERE.free):
        await begin_attempt(EMAIL, f"10.0.{number}.1")

    assert await waits_s(EMAIL, ELSEWHERE) > 0
    assert await patiently(EMAIL, HERE, 6) == [0, 0, 0, 0, 0, 1]


async def test_who_always_knows_the_password_never_waits(redis: None) -> None:
    for number in range(2 * ANYWHERE.free):
        await begin_attempt(EMAIL, f"10.0.{number}.1")
        await forget_attempts(EMAIL, f"10.0.{number}.1")

    assert await waits_s(EMAIL, ELSEWHERE) == 0


async def test_one_household_is_one_network(redis: None) -> None:
    for number in range(5):
        await begin_attempt(EMAIL, f"2001:db8:1:2::{number}")

    assert await waits_s(EMAIL, "2001:db8:1:2:ffff::1") > 0
    assert await waits_s(EMAIL, "2001:db8:1:3::1") == 0


async def test_a_right_password_forgets_what_was_tried(redis: None) -> None:
    for _ in range(4):
        await begin_attempt(EMAIL, HERE)

    await forget_attempts(EMAIL, HERE)

    assert await patiently(EMAIL, HERE, 6) == [0, 0, 0, 0, 0, 1]


async def test_without_redis_everybody_may_try(redis: None) -> None:
    await stop_redis()
    start_redis("redis://127.0.0.1:1/0")

    await asyncio.gather(*(begin_attempt(EMAIL, HERE) for _ in range(20)))
    await forget_attempts(EMAIL, HERE)


@pytest.mark.parametrize("email", [EMAIL, "nobody@example.com"])
async def test_known_and_unknown_accounts_are_slowed_down_alike(client: httpx.AsyncClient, seller: Seller, email: str) -> None:
    async def sign_in(password: str) -> httpx.Response:
        return await client.post("/auth/login", json={"email": email, "password": password})

    wrong = await asyncio.gather(*(sign_in("wrong password") for _ in range(5)))
    slowed = await sign_in(PASSWORD)

    assert [answer.status_code for answer in wrong] == [401] * 5
    assert (slowed.status_code, slowed.json()["code"], slowed.headers["Retry-After"]) == (429, "rate_limited", "1")
    assert email not in slowed.text


async def test_an_attack_from_everywhere_does_not_keep_the_owner_out_of_where_the_account_was_made(client: httpx.AsyncClient) -> None:
    for number in range(ANYWHERE.free):
        assert await waits_s(EMAIL, f"10.0.{number}.1") == 0
    assert await waits_s(EMAIL, ELSEWHERE) == 1

    owner = await Seller.register(client, EMAIL)

    assert (await client.post("/auth/login", json={"email": owner.email, "password": PASSWORD})).status_code == 200
