"""The log of deeds: stored exactly if the deed is."""

import asyncpg
import pytest
import structlog

from app.audit.service import caller_address, record
from app.audit.tables import AuditEntry
from app.database import system_scope, tenant_scope
from app.secret import Secret
from tests.auth.application import Seller

pytestmark = pytest.mark.anyio


async def _entries(action: str) -> list[dict[str, object]]:
    async with system_scope():
        return await AuditEntry.select().where(AuditEntry.action == action).output(load_json=True)


async def test_an_entry_says_who_did_what_in_which_request_and_from_where(seller: Seller) -> None:
    address = caller_address.set("2001:db8::1")
    with structlog.contextvars.bound_contextvars(request_id="req-7"):
        async with tenant_scope(seller.tenant_id) as connection:
            await record(
                connection, seller.tenant_id, "user:1", "thing.done", {"thing": seller.user_id, "count": 3, "key": Secret("hidden")}
            )
    caller_address.reset(address)

    (entry,) = await _entries("thing.done")
    assert entry["tenant_id"] == seller.tenant_id
    assert entry["actor"] == "user:1"
    assert entry["facts"] == {"thing": str(seller.user_id), "count": 3, "key": "***"}
    assert entry["request_id"] == "req-7"
    assert entry["ip_address"] == "2001:db8::1"


async def test_outside_of_a_request_there_is_neither_id_nor_address(seller: Seller) -> None:
    structlog.contextvars.clear_contextvars()
    address = caller_address.set(None)
    async with tenant_scope(seller.tenant_id) as connection:
        await record(connection, seller.tenant_id, "system", "thing.done")
    caller_address.reset(address)

    (entry,) = await _entries("thing.done")
    assert entry["facts"] == {}
    assert entry["request_id"] is None
    assert entry["ip_address"] is None


async def test_a_deed_that_is_rolled_back_leaves_no_entry(seller: Seller) -> None:
    async def fail() -> None:
        async with tenant_scope(seller.tenant_id) as connection:
            await record(connection, seller.tenant_id, "system", "thing.done")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert await _entries("thing.done") == []


async def test_nobody_writes_into_the_log_of_another_tenant(seller: Seller) -> None:
    rival = await Seller.register(seller.client, "rival@example.com")

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with tenant_scope(rival.tenant_id) as connection:
            await record(connection, seller.tenant_id, "system", "thing.done")


@pytest.mark.parametrize("statement", ["UPDATE audit_log SET actor = 'system'", "DELETE FROM audit_log"])
async def test_what_is_written_stays(seller: Seller, statement: str) -> None:
    with pytest.raises(asyncpg.RaiseError, match="never changed or removed"):
        async with system_scope() as connection:
            await connection.execute(statement)

    assert len(await _entries("user.registered")) == 1
