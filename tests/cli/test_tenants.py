"""Tenants as an operator sees them and holds them up."""

import json
from typing import Any
from uuid import UUID

import pytest

from app.credentials.store import update_wildberries_credentials
from app.database import system_scope, tenant_scope
from app.ids import new_id
from app.runs.lease import claim
from app.secret import Secret
from tests.cli.commands import run
from tests.factories import create_run, create_tenant

pytestmark = pytest.mark.anyio

KEY = "eyJhbGciOiJFUzI1NiJ9.a-key-that-nobody-may-see.9fQ2"


@pytest.fixture
async def tenant(clean_database: str) -> UUID:
    """With a user and a key."""
    tenant_id = await create_tenant("Romashka [LLC]")
    await update_wildberries_credentials(tenant_id, Secret(KEY))
    user_id = new_id()
    async with system_scope() as connection:
        await connection.execute(
            "INSERT INTO users (id, email, password_hash, created_at) VALUES ($1, 'tg12345@example.com', 'x', now())", user_id
        )
        await connection.execute(
            "INSERT INTO memberships (id, tenant_id, user_id, role, created_at) VALUES ($1, $2, $3, 'owner', now())",
            new_id(), tenant_id, user_id,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO credentials (id, tenant_id, provider, status, masked, scopes, missing_scopes, shared, least_interval_minutes, updated_at) "
            "VALUES ($1, $2, 'wildberries', 'valid', 'eyJ…9fQ2', '{}', '{}', false, 180, now())",
            new_id(), tenant_id,
        )  # fmt: skip
    return tenant_id


def said(environment: dict[str, str], *arguments: str) -> str:
    done = run(environment, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "a-key-that-nobody-may-see" not in done.stdout
    return done.stdout


def read(environment: dict[str, str], *arguments: str) -> Any:
    return json.loads(said(environment, *arguments, "--json"))


async def test_a_tenant_is_shown_with_its_schedule_its_masked_key_and_its_runs(environment: dict[str, str], tenant: UUID):
    run_id = await create_run(tenant)

    text = said(environment, "tenants", "show", "TG12345@example.com")
    [listed] = read(environment, "tenants", "list")
    shown = read(environment, "tenants", "show", str(tenant))

    for words in (str(tenant), "Romashka [LLC]", "tg12345@example.com", "eyJ…9fQ2", str(run_id), "every 180 min (wished: 30)"):
        assert words in text
    assert "behind 0 more urgent runs" in text
    assert (listed["emails"], listed["keys"], listed["last_run"]) == (["tg12345@example.com"], ["wildberries valid"], "queued")
    assert shown["tenant"] == listed
    assert [account["masked"] for account in shown["accounts"]] == ["eyJ…9fQ2"]
    assert [one["id"] for one in shown["runs"]] == [str(run_id)]


async def test_a_tenant_is_paused_and_resumed_by_the_beginning_of_its_id(environment: dict[str, str], tenant: UUID):
    await create_run(tenant)
    beginning = tenant.hex[:20]

    paused = said(environment, "tenants", "pause", beginning, "--reason", "the seller asked")
    nobody = await claim("test")
    shown = read(environment, "tenants", "show", beginning)
    other = said(environment, "tenants", "resume", beginning, "--marketplace", "ozon")
    resumed = said(environment, "tenants", "resume", beginning)

    assert "1 queued and running ones wait" in paused
    assert nobody is None
    assert (shown["tenant"]["sync_paused"], shown["pauses"][0]["reason"]) == (True, "the seller asked")
    assert "waits for the end of: tenant" in shown["waits"][0]
    assert "Nothing of the kind was paused." in other
    assert "Still paused: tenant" in other
    assert "(the seller asked)" in resumed
    assert await claim("test") is not None


async def test_a_tenant_without_a_key_that_works_is_shown_as_waiting_for_one(environment: dict[str, str], tenant: UUID):
    async with tenant_scope(tenant) as connection:
        await connection.execute("UPDATE credentials SET status = 'invalid'")

    shown = read(environment, "tenants", "show", str(tenant))

    assert shown["waits"] == ["wildberries: waits for a key that works"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("nobody@example.com", "There is no tenant nobody@example.com."), ("01234567", "There is no tenant 01234567."),
     ("0123456", "names no tenant: name it by its id, or by the first 8 or more digits of that, or by its user's e-mail address."),
     ("'; DROP TABLE tenants", "names no tenant")],
    ids=["an address", "an id", "too few digits", "nonsense"],
)  # fmt: skip
async def test_a_tenant_that_is_not_found_is_one_line(environment: dict[str, str], tenant: UUID, name: str, words: str):
    done = run(environment, "tenants", "pause", name)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("stock-tracker: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_a_beginning_that_several_have_in_common_names_none(environment: dict[str, str], clean_database: str):
    first, second = await create_tenant(), await create_tenant()

    done = run(environment, "tenants", "show", str(first)[:8])

    assert first.hex[:8] == second.hex[:8]
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert f"may be several: {first}, {second}. Name one tenant by its id." in done.stderr
