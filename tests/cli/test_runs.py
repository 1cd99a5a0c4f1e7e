"""Runs as an operator sees them, holds them up, and asks for them again."""

import json
from typing import Any
from uuid import UUID

import pytest

from app.cache import close_cache, open_cache
from app.database import system_scope
from app.runs.lease import MOST_CRASHES, claim
from app.runs.schedule import queue_due_tenants
from app.runs.service import get_run, request_run
from app.runs.sweep import requeue_expired
from app.runs.tables import RunStatus, Stage, Trigger
from app.settings import get_settings
from app.sync.runner import Runner
from tests.cli.commands import run
from tests.factories import create_run, create_tenant_with_key, expire_lease

pytestmark = pytest.mark.anyio


def said(environment: dict[str, str], *arguments: str) -> str:
    done = run(environment, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def read(environment: dict[str, str], *arguments: str) -> Any:
    return json.loads(said(environment, *arguments, "--json"))


async def create_dead_run(tenant_id: UUID) -> UUID:
    """Its worker vanished three times; the fourth one ends it."""
    run_id = await create_run(tenant_id)
    for _ in range(MOST_CRASHES):
        assert await claim("a worker that vanishes", run_id) is not None
        await expire_lease(run_id)
        await requeue_expired()
        async with system_scope() as connection:
            await connection.execute("UPDATE sync_runs SET not_before = now()")
    open_cache(get_settings())
    assert await Runner("test").carry_out_run(run_id)
    await close_cache()
    return run_id


async def test_a_run_that_killed_its_worker_three_times_stays_visible_and_can_be_asked_for_again(
    environment: dict[str, str], clean_database
):
    tenant, other = await create_tenant_with_key(), await create_tenant_with_key()
    dead = await create_dead_run(tenant)
    await create_run(other)

    run_facts = await get_run(tenant, dead)
    listed = read(environment, "runs", "list", "--dead")
    shown = said(environment, "runs", "show", str(dead))
    answer = said(environment, "runs", "retry", str(dead))
    again = said(environment, "runs", "retry", str(dead))

    assert (run_facts.status, run_facts.error.code if run_facts.error else None) == (RunStatus.FAILED, "crashed")
    assert [(one["id"], one["crashes"]) for one in listed] == [(str(dead), 3)]
    assert "error crashed: " in shown
    [asked] = [one for one in read(environment, "runs", "list", "--tenant", str(tenant)) if one["status"] == "queued"]
    assert asked["id"] in answer
    assert f"One is queued already: {asked['id']}" in again
    lease = await claim("test", UUID(asked["id"]))
    assert lease is not None
    assert lease.crashes == 0


async def test_after_a_dead_run_a_seller_and_the_schedule_make_new_ones(clean_database):
    seller, scheduled = await create_tenant_with_key(), await create_tenant_with_key()
    dead = [await create_dead_run(seller), await create_dead_run(scheduled)]
    async with system_scope() as connection:
        await connection.execute("UPDATE tenants SET next_sync_at = now() WHERE id = $1", scheduled)

    asked, created = await request_run(seller, None, Trigger.MANUAL)
    turns = await queue_due_tenants()

    assert (created, turns) == (True, 1)
    assert asked.id not in dead
    async with system_scope() as connection:
        waiting = await connection.fetch("SELECT tenant_id FROM sync_runs WHERE status = 'queued'")
    assert {row["tenant_id"] for row in waiting} == {seller, scheduled}


async def test_a_failed_run_is_asked_for_again_with_its_stages(environment: dict[str, str], clean_database):
    tenant = await create_tenant_with_key()
    failed, _ = await request_run(tenant, None, Trigger.MANUAL, scopes=[Stage.PRICES], full=True)
    async with system_scope() as connection:
        await connection.execute("UPDATE sync_runs SET status = 'failed', error_code = 'unexpected_response', error_detail = 'x'")

    said(environment, "runs", "retry", str(failed.id))

    [asked] = read(environment, "runs", "list", "--status", "queued")
    assert (asked["scopes"], asked["full"], asked["tenant_id"]) == (["prices"], True, str(tenant))
    async with system_scope() as connection:
        deed = await connection.fetchrow("SELECT actor, action, facts FROM audit_log")
    assert (deed["actor"], deed["action"]) == ("operator", "sync.retried")
    assert str(failed.id) in deed["facts"]


@pytest.mark.parametrize(("status", "words"), [("running", "goes on by itself"), ("succeeded", "went well"), (None, "There is no run")])
async def test_what_can_not_be_asked_for_again_is_one_line(environment: dict[str, str], clean_database, status: str | None, words: str):
    run_id = await create_run(await create_tenant_with_key())
    async with system_scope() as connection:
        await connection.execute("UPDATE sync_runs SET status = coalesce($1, status)", status)

    done = run(environment, "runs", "retry", str(run_id) if status else "0123456789abcdef")

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith("stock-tracker: ")
    assert words in done.stderr


async def test_all_syncs_are_paused_and_resumed_and_a_paused_tenant_stays_so(environment: dict[str, str], clean_database):
    paused, other = await create_tenant_with_key(), await create_tenant_with_key()
    await create_run(paused)
    wanted = await create_run(other)

    said(environment, "tenants", "pause", str(paused))
    everything = said(environment, "runs", "pause", "--reason", "maintenance")
    nobody = await claim("test")
    text = said(environment, "runs", "list")
    resumed = said(environment, "runs", "resume")
    lease, none = await claim("test"), await claim("test")
    said(environment, "tenants", "resume", str(paused))

    assert "Paused the syncs of all tenants; 2 queued and running ones wait until they are resumed." in everything
    assert nobody is None
    assert text.count("queued, paused") == 2
    assert "Resumed all tenants, since " in resumed
    assert f"Still paused: tenant {paused}" in resumed
    assert none is None
    assert lease is not None
    assert lease.run_id == wanted


async def test_a_reason_that_is_too_long_is_one_line(environment: dict[str, str], clean_database):
    done = run(environment, "runs", "pause", "--reason", "x" * 201)

    assert (done.returncode, done.stderr) == (2, "stock-tracker: A reason has at most 200 characters.\n")
