"""Two API processes, over real HTTP: what happens to a session at the one, holds at the other."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import httpx
import msgspec
import pytest

from app.database import system_scope
from tests.auth.application import PASSWORD, Bot, Seller
from tests.auth.test_sessions import code_of, let_pass
from tests.cli.commands import serving, until_ready

pytestmark = pytest.mark.anyio

Apis = tuple[httpx.AsyncClient, httpx.AsyncClient]


@pytest.fixture(scope="module")
async def apis(open_database: str, redis_url: str) -> AsyncIterator[Apis]:
    environment = {**os.environ, "DATABASE_URL": open_database, "REDIS_URL": redis_url, "METRICS_ADDRESS": "", "LOG_LEVEL": "warning"}
    async with AsyncExitStack() as opened:
        addresses = [opened.enter_context(serving(environment))[1] for _ in range(2)]
        first, second = [
            await opened.enter_async_context(httpx.AsyncClient(base_url=f"{address}/api/v1", trust_env=False, timeout=20))
            for address in addresses
        ]
        await asyncio.gather(until_ready(first), until_ready(second))
        yield first, second


@pytest.fixture
async def both(apis: Apis, clean_database: str) -> tuple[Seller, Seller]:
    """One seller with one session, at both processes."""
    here = await Seller.register(apis[0])
    return here, at(apis[1], here)


def at(api: httpx.AsyncClient, seller: Seller) -> Seller:
    return msgspec.structs.replace(seller, client=api)


async def test_a_token_that_is_refreshed_at_both_at_once_has_one_successor_twenty_times_over(both: tuple[Seller, Seller]):
    token = both[0].refresh_token

    for _ in range(20):
        answers = await asyncio.gather(*(seller.refresh(token) for seller in both))
        assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
        [token] = {answer.json()["refresh_token"] for answer in answers}
        here, there = [
            msgspec.structs.replace(seller, access_token=answer.json()["access_token"])
            for seller, answer in zip(both, answers, strict=True)
        ]

    assert [(await seller.get("/auth/me")).status_code for seller in (here, there)] == [200, 200]


async def test_a_thief_at_the_one_ends_the_session_at_the_other(both: tuple[Seller, Seller]):
    here, there = both
    await here.refresh()
    assert (await here.get("/auth/me")).status_code == 200
    await let_pass(timedelta(seconds=11))

    stolen = await there.refresh()

    assert code_of(stolen) == "401 refresh_token_reused"
    assert [(await seller.get("/auth/me")).status_code for seller in both] == [401, 401]


async def test_another_password_ends_all_other_sessions_at_both_a_bots_too(both: tuple[Seller, Seller], apis: Apis):
    here, there = both
    login = {"email": here.email, "password": PASSWORD}
    phone = Seller.of(there.client, here.email, (await there.client.post("/auth/login", json=login)).json())
    bot = await Bot.make(there.client)
    assert (await here.call("POST", "/tenants/me/services", {"service_key_id": str(bot.id)})).status_code == 201
    async with system_scope() as connection:
        await connection.execute("UPDATE users SET telegram_user_id = 77")
    through = Seller.of(there.client, "", (await bot.ask(77)).json())
    assert [(await seller.get("/auth/me")).status_code for seller in (phone, through)] == [200, 200]

    changed = await here.call("POST", "/auth/password", {"current_password": PASSWORD, "new_password": "another horse battery"})

    assert changed.status_code == 204
    gone = [each for ended in (phone, through) for each in (ended, at(apis[0], ended))]
    assert [(await seller.get("/auth/me")).status_code for seller in (*gone, here, there)] == [401, 401, 401, 401, 200, 200]
    assert code_of(await phone.refresh()) == "401 refresh_token_invalid"
