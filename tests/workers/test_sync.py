"""`sync_tenant_products(tenant_id)` through Redis to a worker process, and its outcome back."""

import os
import subprocess
import sys
from collections.abc import Iterator
from uuid import UUID

import pytest
from taskiq import TaskiqResult

from app.credentials.store import update_wildberries_credentials
from app.database import tenant_scope
from app.ids import new_id
from app.jobs import broker
from app.runs.pauses import pause_syncs
from app.sandbox.control import environment as marketplaces_at
from app.sandbox.tokens import issue_token
from app.secret import Secret
from tests.application import everything_in_redis, redis, sandbox, sandbox_url, settings
from tests.factories import create_run, create_tenant, create_tenant_with_key
from workers.sync import sync_tenant_products

__all__ = ["redis", "sandbox", "sandbox_url", "settings"]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def worker(migrated_url: str, redis_url: str, sandbox_url: str) -> Iterator[None]:
    """One process for all of these tests."""
    hosts = marketplaces_at(sandbox_url)
    environment = os.environ | hosts | {"DATABASE_URL": migrated_url, "REDIS_URL": redis_url, "LOG_LEVEL": "error"}
    process = subprocess.Popen([sys.executable, "-m", "workers.main"], env=environment)
    yield
    process.terminate()
    assert process.wait(20) == 0


@pytest.fixture
async def started(settings: object, sandbox: object, worker: None) -> None:
    """The broker of this process, which asks."""
    await broker.startup()


async def outcome(tenant_id: UUID | str) -> TaskiqResult:
    task = await sync_tenant_products.kiq(str(tenant_id))
    return await task.wait_result(timeout=30, check_interval=0.05)


async def tenant_of_a_shop(products: int) -> UUID:
    return await create_tenant_with_key(issue_token(new_id(), products=products))


async def products_of(tenant_id: UUID) -> int:
    async with tenant_scope(tenant_id) as connection:
        return await connection.fetchval("SELECT count(*) FROM products")


async def test_the_outcome_is_the_run_that_copied_the_shop(started):
    tenant = await tenant_of_a_shop(120)

    result = await outcome(tenant)

    run = result.return_value
    assert not result.is_err
    assert (run["status"], run["trigger"], run["marketplace"]) == ("succeeded", "api", "wildberries")
    assert [stage["name"] for stage in run["stages"]] == ["products", "prices", "stocks", "orders"]
    assert {stage["status"] for stage in run["stages"]} == {"succeeded"}
    assert await products_of(tenant) == run["stages"][0]["created"] == 120


async def test_whoever_asks_while_a_run_goes_on_gets_a_finished_run_too(started):
    tenant = await tenant_of_a_shop(30)
    tasks = [await sync_tenant_products.kiq(str(tenant)) for _ in range(3)]

    runs = [(await task.wait_result(timeout=30, check_interval=0.05)).return_value for task in tasks]

    assert {run["status"] for run in runs} == {"succeeded"}
    assert await products_of(tenant) == 30


async def test_a_run_that_waits_already_is_the_one_that_is_seen_through(started):
    tenant = await tenant_of_a_shop(10)
    run_id = await create_run(tenant)

    result = await outcome(tenant)

    assert (result.return_value["id"], result.return_value["status"]) == (str(run_id), "succeeded")


async def test_a_tenant_without_a_key_is_an_error_of_the_task_that_names_it(started):
    result = await outcome(await create_tenant())

    assert result.is_err
    assert "wildberries key" in str(result.error)


@pytest.mark.parametrize("tenant_id", ["not-an-id", "00000000-0000-0000-0000-000000000000"])
async def test_a_tenant_that_is_not_there_is_an_error_and_the_worker_goes_on(started, tenant_id: str):
    result = await outcome(tenant_id)

    assert result.is_err
    assert (await outcome(await tenant_of_a_shop(1))).return_value["status"] == "succeeded"


async def test_no_key_is_in_what_redis_keeps_of_a_task(started, redis):
    key = issue_token(new_id(), products=3)
    tenant = await create_tenant()
    await update_wildberries_credentials(tenant, Secret(key))

    await outcome(tenant)

    kept = await everything_in_redis()
    assert b"succeeded" in kept
    assert not any(part.encode() in kept for part in (key, *key.split(".")[1:]))


async def test_a_run_that_an_operator_holds_up_is_told_as_it_stands_and_takes_no_place_meanwhile(started):
    tenant = await tenant_of_a_shop(1)
    await pause_syncs(tenant, None)

    result = await outcome(tenant)

    assert (result.return_value["status"], result.return_value["paused"]) == ("queued", True)
