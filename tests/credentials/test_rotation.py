"""Sealing everything anew, while sellers go on."""

import base64
import secrets

import pytest

from app.credentials import rotation
from app.credentials.rotation import count_left, rotate
from app.credentials.sealed import SEALED
from app.database import tenant_scope
from app.ids import new_id
from app.secret import Secret
from app.vault import Vault
from tests.factories import create_tenant

pytestmark = pytest.mark.anyio


def master() -> Secret:
    return Secret(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())


OLD, NEW = master(), master()
BEFORE, BOTH, AFTER = Vault([OLD]), Vault([NEW, OLD]), Vault([NEW])


async def fill_every_column(tenant_id) -> None:
    """A value sealed with the old key in each of them."""
    sealed = {each.column: BEFORE.seal(Secret(f"the {each.purpose}"), tenant_id=tenant_id, purpose=each.purpose) for each in SEALED}
    async with tenant_scope(tenant_id) as connection:
        for each in SEALED[:3]:
            await connection.execute(f"UPDATE tenants SET {each.column} = $1", sealed[each.column])
        await connection.execute(
            "INSERT INTO webhook_endpoints (id, tenant_id, url, event_types, secret_encrypted, enabled, failed_attempts, created_at, updated_at) "
            "VALUES ($1, $2, 'http://127.0.0.1:9/', '{}', $3, true, 0, now(), now())",
            new_id(), tenant_id, sealed["secret_encrypted"],
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO idempotent_requests (id, tenant_id, key, answer_encrypted, created_at) VALUES ($1, $2, 'k', $3, now())",
            new_id(), tenant_id, sealed["answer_encrypted"],
        )  # fmt: skip


async def values_of(tenant_id) -> dict[str, str]:
    async with tenant_scope(tenant_id) as connection:
        return {
            each.purpose: await connection.fetchval(f"SELECT {each.column} FROM {each.table} WHERE {each.column} IS NOT NULL")
            for each in SEALED
        }


async def set_key(tenant_id, sealed: str) -> None:
    async with tenant_scope(tenant_id) as connection:
        await connection.execute("UPDATE tenants SET wb_credentials_encrypted = $1", sealed)


async def test_every_value_opens_with_the_new_key_alone_and_is_what_it_was(clean_database):
    tenants = [await create_tenant(), await create_tenant()]
    for tenant in tenants:
        await fill_every_column(tenant)

    steps = [step async for step in rotate(BOTH)]

    assert sum(step.resealed for step in steps) == 2 * len(SEALED)
    assert await count_left(BOTH) == 0
    for tenant in tenants:
        for purpose, value in (await values_of(tenant)).items():
            assert AFTER.unseal(value, tenant_id=tenant, purpose=purpose).reveal() == f"the {purpose}"
    assert [step async for step in rotate(BOTH)] == []


async def test_a_key_that_a_seller_gives_meanwhile_is_kept(clean_database, monkeypatch):
    tenant = await create_tenant()
    await fill_every_column(tenant)
    anew, reseal = BOTH.seal(Secret("another one"), tenant_id=tenant, purpose="wildberries"), rotation._reseal

    async def the_seller_first(vault, column, batch):
        if column.purpose == "wildberries":
            await set_key(tenant, anew)
        return await reseal(vault, column, batch)

    monkeypatch.setattr(rotation, "_reseal", the_seller_first)
    steps = [step async for step in rotate(BOTH)]

    assert (steps[0].column.purpose, steps[0].seen, steps[0].resealed) == ("wildberries", 1, 0)
    assert (await values_of(tenant))["wildberries"] == anew


async def test_what_does_not_open_is_told_and_left_as_it_is(clean_database):
    good, lost = await create_tenant(), await create_tenant()
    await fill_every_column(good)
    damaged = Vault([master()]).seal(Secret("lost"), tenant_id=lost, purpose="wildberries")
    await set_key(lost, damaged)

    steps = [step async for step in rotate(BOTH)]

    assert [(step.column.purpose, [each.tenant_id for each in step.unreadable]) for step in steps if step.unreadable] == [
        ("wildberries", [lost])
    ]
    assert await count_left(BOTH) == 1
    async with tenant_scope(lost) as connection:
        assert await connection.fetchval("SELECT wb_credentials_encrypted FROM tenants") == damaged


async def test_many_unreadable_ones_do_not_keep_it_from_going_on(clean_database, monkeypatch):
    monkeypatch.setattr(rotation, "BATCH", 2)
    stranger = Vault([master()])
    for _ in range(5):
        tenant = await create_tenant()
        await set_key(tenant, stranger.seal(Secret("lost"), tenant_id=tenant, purpose="wildberries"))
    last = await create_tenant()
    await fill_every_column(last)

    steps = [step async for step in rotate(BOTH)]

    assert sum(len(step.unreadable) for step in steps) == 5
    assert await count_left(BOTH) == 5
