"""What the database says when it can't do something at present is `Unavailable`, whatever the statement was."""

import pytest

from app.database import database, tenant_scope
from app.errors import Unavailable
from app.ids import new_id
from app.secret import Secret

pytestmark = pytest.mark.anyio

RAISE = "DO $$ BEGIN RAISE EXCEPTION 'as the server would say it' USING ERRCODE = '{}'; END $$"


@pytest.mark.parametrize(
    "code",
    ["53100", "53200", "57014", "58030", "40001", "40P01", "25006", "55P03"],
    ids=["disk full", "out of memory", "cancelled", "disk fails", "not serializable", "deadlock", "only reads", "locked"],
)
async def test_what_may_succeed_later_is_unavailable_and_the_connection_goes_on(open_database, code: str):
    with pytest.raises(Unavailable):
        async with tenant_scope(new_id()) as connection:
            await connection.execute(RAISE.format(code))

    async with tenant_scope(new_id()) as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_faulty_statement_stays_a_fault_of_ours(open_database):
    with pytest.raises(Exception, match="as the server would say it") as raised:
        async with tenant_scope(new_id()) as connection:
            await connection.execute(RAISE.format("22012"))

    assert not isinstance(raised.value, Unavailable)


async def test_a_server_that_hangs_is_unavailable(open_database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.database.STATEMENT_TIMEOUT_S", 0.3)
    before = database.pool
    database.pool = None
    try:
        await database.open(Secret(open_database), pool_size=2, production=False)
        with pytest.raises(Unavailable):
            async with tenant_scope(new_id()) as connection:
                await connection.execute("SELECT pg_sleep(20)")
        async with tenant_scope(new_id()) as connection:
            assert await connection.fetchval("SELECT 1") == 1
        await database.close()
    finally:
        database.pool = before
