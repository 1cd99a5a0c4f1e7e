"""design: security, "Two walls between tenants": the database's wall."""

import asyncio
import contextvars
import re
from pathlib import Path

import asyncpg
import pytest

from app.database import database, system_scope, tenant_scope
from app.errors import StartRefused, Unavailable
from app.ids import new_id
from app.marketplaces.contract import Marketplace
from app.products.store import note_sightings, write_products
from app.secret import Secret
from tests.factories import create_tenant, product

pytestmark = pytest.mark.anyio

# Who may see all tenants, and why that can't be less.
WHO_USES_THE_SYSTEM_DOOR = {
    "app/auth/members.py": "a new member is looked up among all users",
    "app/auth/password_change.py": "a password is the user's, and its change ends sessions in all tenants",
    "app/auth/tenancies.py": "a user's tenants, and a new one, are outside the walls of the present one",
    "app/auth/linking.py": "a service key is no tenant's, and is seen by one only once it is linked",
    "app/auth/service_keys.py": "a service's key belongs to no tenant",
    "app/auth/telegram.py": "sign-in happens before a tenant is known",
    "app/auth/service.py": "sign-in happens before a tenant is known",
    "app/auth/sessions.py": "a refresh token comes without a tenant",
    "app/credentials/expiry.py": "the daily look at all keys that end soon",
    "app/credentials/rechecks.py": "whose key is due to be shown to its marketplace again",
    "app/cli/erasure.py": "an operator sees which tenant is about to be erased",
    "app/cli/keys.py": "an operator counts the values that each master key holds",
    "app/credentials/links.py": "a one-time page is asked for by its token alone",
    "app/credentials/rotation.py": "a rotation seals all tenants' values anew",
    "app/credentials/sharing.py": "which shop several tenants have a key of, to warn each without naming the other",
    "app/cli/operating.py": "an operator's command looks whether the database is as it must be",
    "app/cli/preflight.py": "an operator's start: are there values that nobody can open",
    "app/cli/runs.py": "an operator looks at any run",
    "app/cli/tenants.py": "an operator looks at any tenant",
    "app/runs/lease.py": "a worker claims the most urgent run of all tenants",
    "app/runs/pauses.py": "an operator holds up any tenant's syncs, or all",
    "app/runs/progress.py": "one look at all runs that somebody follows; each was found inside its tenant's walls first",
    "app/runs/schedule.py": "who is due",
    "app/tenant_data/erasure.py": "an erased tenant's members may belong to others, and what is said of it at its end is no tenant's",
    "app/stocks/history.py": "the partitions of all tenants' history, made and dropped",
    "app/runs/sweep.py": "whose worker vanished",
    "app/sync/cancel.py": "which runs ended with their key, and have not been told of",
    "app/webhooks/dispatch.py": "which events have no deliveries yet",
    "app/webhooks/delivery.py": "which deliveries are due",
    "workers/gauges.py": "how many runs and deliveries of all tenants wait, in numbers",
    "workers/housekeeping.py": "what of all tenants is old enough to go",
}


async def test_a_query_without_where_sees_only_its_own_tenants_rows(clean_database):
    acme, rival = await create_tenant(), await create_tenant()
    for tenant, title in ((acme, "of acme"), (rival, "of rival")):
        async with tenant_scope(tenant) as connection:
            await write_products(connection, tenant, Marketplace.WILDBERRIES, [product("1", title)])

    async with tenant_scope(acme) as connection:
        titles = [row["title"] for row in await connection.fetch("SELECT title FROM products")]
        updated = await connection.execute("UPDATE products SET title = 'stolen'")
        deleted = await connection.execute("DELETE FROM tenants WHERE id = $1", rival)

    assert titles == ["of acme"]
    assert (updated, deleted) == ("UPDATE 1", "DELETE 0")


async def test_a_row_cannot_be_written_into_another_tenant(clean_database):
    acme, rival = await create_tenant(), await create_tenant()

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with tenant_scope(acme) as connection:
            await note_sightings(connection, rival, Marketplace.WILDBERRIES, ["1"])


async def test_outside_of_a_door_no_row_is_visible(clean_database):
    await create_tenant()

    connection = await database.acquire()
    try:
        seen = await connection.fetchval("SELECT count(*) FROM tenants")
    finally:
        await database.release(connection)

    assert seen == 0


async def test_a_door_closes_behind_its_transaction(clean_database):
    acme = await create_tenant()
    for _ in range(3):
        async with tenant_scope(acme) as connection:
            assert await connection.fetchval("SELECT count(*) FROM tenants") == 1

        connection = await database.acquire()
        try:
            assert await connection.fetchval("SELECT count(*) FROM tenants") == 0
        finally:
            await database.release(connection)


async def test_every_table_with_tenant_data_has_a_forced_wall(clean_database):
    async with system_scope() as connection:
        rows = await connection.fetch(
            """
            SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS walled,
                   -- Without a policy a partition is closed; its table's policy rules where it is reached through that.
                   c.relispartition OR EXISTS (SELECT FROM pg_policies p WHERE p.tablename = c.relname AND p.with_check IS NOT NULL) AS policed
              FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
            """
        )

    open_tables = {row["relname"] for row in rows if not (row["walled"] and row["policed"])}

    assert open_tables == {"migration"}


async def test_a_role_that_bypasses_the_walls_is_refused_in_production(open_database, postgres_superuser_url):
    before = database.pool
    database.pool = None
    try:
        with pytest.raises(StartRefused, match="superuser"):
            await database.open(Secret(postgres_superuser_url), pool_size=2, production=True)
    finally:
        database.pool = before
        database.configure(Secret(open_database))


async def test_a_failed_statement_whose_error_was_caught_is_no_silent_rollback(clean_database):
    acme = await create_tenant()

    with pytest.raises(RuntimeError, match="rolled back"):
        async with tenant_scope(acme) as connection:
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute("SELECT 1 / 0")


async def test_failed_commits_do_not_empty_the_pool(clean_database):
    acme = await create_tenant()
    for _ in range(30):
        with pytest.raises(asyncpg.PostgresError):
            async with tenant_scope(acme) as connection:
                await connection.execute("CREATE TEMP TABLE t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP")
                await connection.execute("INSERT INTO t VALUES (1), (1)")

    async with asyncio.timeout(5), tenant_scope(acme) as connection:
        assert await connection.fetchval("SELECT 1") == 1


@pytest.mark.parametrize("when", ["before a query", "before the commit", "in a query"])
async def test_a_connection_that_the_server_ends_is_unavailability_and_the_next_door_opens(clean_database, when):
    acme = await create_tenant()

    async def end(backend: int) -> None:
        async with tenant_scope(acme) as other:
            await other.execute("SELECT pg_terminate_backend($1)", backend)

    with pytest.raises(Unavailable):
        async with asyncio.timeout(10), tenant_scope(acme) as connection:
            backend = await connection.fetchval("SELECT pg_backend_pid()")
            ending = asyncio.create_task(end(backend), context=contextvars.Context())
            if when == "in a query":
                await connection.execute("SELECT pg_sleep(5)")
            await ending
            if when == "before a query":
                await connection.execute("SELECT 1")

    async with asyncio.timeout(5), tenant_scope(acme) as connection:
        assert await connection.fetchval("SELECT count(*) FROM tenants") == 1


async def test_the_audit_log_only_grows_and_goes_with_its_tenant(clean_database):
    acme = await create_tenant()
    insert = "INSERT INTO audit_log (id, tenant_id, actor, action, facts, occurred_at) VALUES ($1, $2, 'system', 'test.done', '{}', now())"
    async with tenant_scope(acme) as connection:
        await connection.execute(insert, new_id(), acme)

    for change in ("UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log", "TRUNCATE tenants CASCADE"):
        with pytest.raises(asyncpg.RaiseError):
            async with tenant_scope(acme) as connection:
                await connection.execute(change)

    async with tenant_scope(acme) as connection:
        await connection.execute("DELETE FROM tenants WHERE id = $1", acme)
        assert await connection.fetchval("SELECT count(*) FROM audit_log") == 0


def test_few_use_the_system_door_and_each_says_why():
    root = Path(__file__).parents[2]
    users = {
        str(file.relative_to(root))
        for folder in ("app", "workers")
        for file in (root / folder).rglob("*.py")
        if re.search(r"async with .*\bsystem_scope\(\)", file.read_text())
    }

    assert users == set(WHO_USES_THE_SYSTEM_DOOR)
