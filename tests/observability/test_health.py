"""An orchestrator is answered soon and truly, whatever hangs."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from litestar import Litestar
from structlog.testing import capture_logs

from app.observability.health import Check, create_health_router

pytestmark = pytest.mark.anyio


async def good() -> None:
    return None


async def bad() -> None:
    raise ConnectionError("connection to 10.0.0.7 refused for user app")


async def hanging() -> None:
    await asyncio.Event().wait()


def client_of(**checks: Check) -> httpx.AsyncClient:
    app = Litestar([create_health_router(checks)], openapi_config=None, logging_config=None)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


async def ready(**checks: Check) -> tuple[int, Any]:
    async with client_of(**checks) as client:
        answer = await client.get("/health/ready")
    return answer.status_code, answer.json()


async def test_a_process_that_runs_is_alive_though_nothing_else_works() -> None:
    async with client_of(database=bad, redis=hanging) as client:
        answer = await client.get("/health/live")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_with_all_well_it_is_ready() -> None:
    answer = await ready(database=good, redis=good, migrations=good)

    assert answer == (200, {"status": "ok", "checks": {"database": "ok", "redis": "ok", "migrations": "ok"}})


async def test_what_fails_is_named_and_the_reason_is_for_the_log_alone() -> None:
    with capture_logs() as logs:
        status, body = await ready(database=bad, redis=good)

    assert (status, body) == (503, {"status": "unavailable", "checks": {"database": "failed", "redis": "ok"}})
    assert [(line["check"], line["reason"]) for line in logs] == [
        ("database", "ConnectionError: connection to 10.0.0.7 refused for user app")
    ]


async def test_it_answers_within_a_second_though_everything_hangs() -> None:
    started = time.perf_counter()

    status, body = await ready(database=hanging, redis=hanging, migrations=good)

    assert time.perf_counter() - started < 1
    assert (status, body["checks"]) == (503, {"database": "timed out", "redis": "timed out", "migrations": "ok"})


async def test_it_answers_within_a_second_though_a_check_will_not_be_cancelled() -> None:
    let_go = asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    async with client_of(database=stubborn, redis=good) as client:
        started = time.perf_counter()
        answer = await client.get("/health/ready")
        took = time.perf_counter() - started
        let_go.set()

    assert took < 1
    assert answer.json()["checks"] == {"database": "timed out", "redis": "ok"}


async def test_many_probes_at_once_ask_once() -> None:
    times, asked, answer = 0, asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        nonlocal times
        times += 1
        asked.set()
        await answer.wait()

    async with client_of(database=slow) as client:
        probes = [asyncio.create_task(client.get("/health/ready")) for _ in range(20)]
        await asked.wait()
        answer.set()
        statuses = {(await probe).status_code for probe in probes}

    assert (times, statuses) == (1, {200})


async def test_it_is_ready_again_as_soon_as_what_failed_is_back() -> None:
    outcomes = iter([ConnectionError("gone"), None])

    async def recovering() -> None:
        if error := next(outcomes):
            raise error

    async with client_of(database=recovering) as client:
        first = await client.get("/health/ready")
        second = await client.get("/health/ready")

    assert (first.status_code, second.status_code) == (503, 200)
