"""Two API processes, over real HTTP: one deed for a key, also when one of them is killed behind the commit and before the answer."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import NamedTuple

import httpx
import msgspec
import pytest

from tests.application import Shop
from tests.cli.commands import serving, until_ready
from tests.idempotency.asking import ask, code, is_replay, said, webhooks
from tests.idempotency.severed import SeveredWay

pytestmark = pytest.mark.anyio

LAST_DEED = {"url": "http://127.0.0.1:9/the-last-deed"}


class Apis(NamedTuple):
    """The way to the database is severed where the first one does its last deed."""

    first: httpx.AsyncClient
    second: httpx.AsyncClient
    first_process: "subprocess.Popen[str]"
    way: SeveredWay


@pytest.fixture(scope="module")
async def apis(open_database: str, redis_url: str) -> AsyncIterator[Apis]:
    environment = {**os.environ, "REDIS_URL": redis_url, "METRICS_ADDRESS": "", "LOG_LEVEL": "warning"}
    way = SeveredWay(open_database, LAST_DEED["url"].encode())
    with ExitStack() as processes:
        async with way.open() as severed_url:
            clients: list[httpx.AsyncClient] = []
            started: list[subprocess.Popen[str]] = []
            for url in (severed_url, open_database):
                process, api = processes.enter_context(serving(environment | {"DATABASE_URL": url}))
                started.append(process)
                clients.append(httpx.AsyncClient(base_url=f"{api}/api/v1", trust_env=False, timeout=20))
            await asyncio.gather(*(until_ready(client) for client in clients))
            yield Apis(*clients, started[0], way)
            for client in clients:
                await client.aclose()


@pytest.fixture
async def shops(apis: Apis, clean_database: str) -> tuple[Shop, Shop]:
    """One seller, at both processes."""
    shop = await Shop.register(apis.second, "tg12345@example.com")
    return msgspec.structs.replace(shop, client=apis.first), shop


async def test_of_twenty_at_once_at_two_processes_one_does_it(shops: tuple[Shop, Shop]) -> None:
    answers = await asyncio.gather(*(ask(shops[number % 2]) for number in range(20)))

    made = [answer for answer in answers if answer.status_code == 201]
    assert await webhooks(shops[0]) == 1
    assert len({answer.content for answer in made}) == 1
    assert len([answer for answer in made if not is_replay(answer)]) == 1
    assert {code(answer) for answer in answers if answer not in made} <= {(409, "idempotency_request_in_progress")}


async def test_a_process_that_is_killed_behind_the_commit_leaves_its_answer(apis: Apis, shops: tuple[Shop, Shop]) -> None:
    first, second = shops

    unanswered = asyncio.create_task(ask(first, body=LAST_DEED))
    await asyncio.wait_for(apis.way.severed.wait(), 10)
    async with asyncio.timeout(10):
        while not await webhooks(second):
            await asyncio.sleep(0.01)
    apis.first_process.kill()
    with pytest.raises(httpx.TransportError):
        await unanswered
    again = await asyncio.gather(*(ask(second, body=LAST_DEED) for _ in range(5)))

    assert {answer.status_code for answer in again} == {201}
    assert all(is_replay(answer) for answer in again)
    assert len({said(answer) for answer in again}) == 1
    assert again[0].json()["secret"].startswith("whsec_")
    assert [again[0].json()["id"]] == [each["id"] for each in (await second.expect(200, "GET", "/webhooks"))["items"]]
