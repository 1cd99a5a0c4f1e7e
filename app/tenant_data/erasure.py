"""Erasing a tenant: first it is closed, so that nothing of it can be used, then its rows go.

Each step is a short transaction that may be carried out again, by whoever comes to it: the mark `tenants.erasing_at` is there until the last one is done. So a
process may be killed anywhere, and a scheduler goes on.

What goes when:

1. The mark, and with it the keys. Nobody signs in any more: a sign-in holds the tenant's row, and looks at the mark.
2. Login sessions are ended and Redis is told, before their rows go: it may still have them as alive. Runs lose their row, so that a worker that has one writes
   nothing more. A pause stands before the workers, webhooks are switched off, bots and one-time pages are cut off.
3. The members, and those users who belong to no other tenant.
4. All other rows, in batches, inside the tenant's own walls: app.tenant_data.rows.
5. The tenant's own row. Its log goes along, and what a request added that was under way all the time: each table is below this row by foreign keys.
"""

from collections.abc import AsyncGenerator
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from app.audit.service import record, subject
from app.auth.service_keys import announce_revocations
from app.cache import get_cache
from app.database import Connection, system_scope, tenant_scope
from app.tenant_data.rows import WALK, remove_batch

STARTED: Final = "tenant.erasure_started"

# Sign-ins that are under way hold the row; who comes later waits, and finds the mark.
HOLD = "SELECT name FROM tenants WHERE id = $1 AND erasing_at IS NULL FOR UPDATE"

MARK = """
    UPDATE tenants
       SET erasing_at = now(), next_sync_at = NULL,
           wb_credentials_encrypted = NULL, ozon_credentials_encrypted = NULL, google_credentials_encrypted = NULL
     WHERE id = $1
"""

IS_MARKED = "SELECT EXISTS (SELECT FROM tenants WHERE id = $1 AND erasing_at IS NOT NULL)"

CLOSE = (
    "UPDATE login_sessions SET revoked_at = now() WHERE tenant_id = $1 AND revoked_at IS NULL",
    """
    INSERT INTO sync_pauses (id, tenant_id, reason, paused_at) VALUES (gen_random_uuid(), $1, 'The tenant is being erased.', now())
        ON CONFLICT (tenant_id, marketplace) DO NOTHING
    """,
    "UPDATE webhook_endpoints SET enabled = false WHERE tenant_id = $1 AND enabled",
)
CUT_OFF = (
    "DELETE FROM sync_runs WHERE tenant_id = $1 AND status IN ('queued', 'running')",
    "DELETE FROM credential_links WHERE tenant_id = $1",
    "DELETE FROM service_links WHERE tenant_id = $1",
)

# An access token lives 15 minutes, so nobody can have one of a session that was ended before.
LATELY_ENDED = "SELECT id FROM login_sessions WHERE tenant_id = $1 AND revoked_at > now() - interval '1 hour'"

# Who lets one of them into another tenant at this moment waits, or was first and is seen by the next statement.
HOLD_USERS = "SELECT id FROM users WHERE id IN (SELECT user_id FROM memberships WHERE tenant_id = $1) ORDER BY id FOR UPDATE"
REMOVE_USERS = "DELETE FROM users WHERE id = ANY ($1) AND NOT EXISTS (SELECT FROM memberships WHERE user_id = users.id)"

HOLD_ERASED = "SELECT true FROM tenants WHERE id = $1 AND erasing_at IS NOT NULL FOR NO KEY UPDATE"
COUNT = "UPDATE tenants SET erased_rows = erased_rows + $2 WHERE id = $1 RETURNING erased_rows"

LAST_HOLD = "SELECT erasing_at, erased_rows FROM tenants WHERE id = $1 AND erasing_at IS NOT NULL FOR UPDATE"
WHO_ASKED = "SELECT actor, on_behalf_of FROM audit_log WHERE tenant_id = $1 AND action = $2 ORDER BY id DESC LIMIT 1"

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class Erased(msgspec.Struct, frozen=True):
    """A step: so many rows of a table are gone, and of those that belong to them; `total` counts all so far, other processes' too."""

    table: str
    rows: int
    total: int


async def begin_erasure(tenant_id: UUID, actor: str) -> bool:
    """From now on nothing of the tenant can be used; a scheduler removes the rows. False: it was erased, or begun, already."""
    async with tenant_scope(tenant_id) as connection:
        if await connection.fetchrow(HOLD, tenant_id) is None:
            return False
        await connection.execute(MARK, tenant_id)
        await record(connection, tenant_id, actor, STARTED)
    log.info("tenant.erasure_started", tenant_id=tenant_id, actor=actor)
    await _close(tenant_id)
    return True


async def pending_erasures() -> list[UUID]:
    """The tenants that are to be erased, those that wait longest first."""
    async with system_scope() as connection:
        return [row["id"] for row in await connection.fetch("SELECT id FROM tenants WHERE erasing_at IS NOT NULL ORDER BY erasing_at")]


async def erase(tenant_id: UUID) -> AsyncGenerator[Erased]:
    """Remove all rows of a tenant whose erasure was begun, and tell each step. Several at once share the work; where it is done already, there are no steps.

    Raises:
        Unavailable: the database does not answer; whoever calls it again goes on.
    """
    yield await _close(tenant_id)
    for rows in WALK:
        after = None
        while True:
            async with tenant_scope(tenant_id) as connection:
                if not await connection.fetchval(HOLD_ERASED, tenant_id):
                    return
                removed, after = await remove_batch(connection, tenant_id, rows, after)
                total = await connection.fetchval(COUNT, tenant_id, removed)
            yield Erased(rows.table, removed, total)
            if after is None:
                break
    yield await _finish(tenant_id)


async def _close(tenant_id: UUID) -> Erased:
    """Close the tenant to everybody, and let its members go."""
    nothing = Erased("memberships", 0, 0)
    async with system_scope() as connection:
        if not await connection.fetchval(IS_MARKED, tenant_id):
            return nothing
        for statement in CLOSE:
            await connection.execute(statement, tenant_id)
        removed = sum([_count(await connection.execute(statement, tenant_id)) for statement in CUT_OFF])
        ended: list[UUID] = [row["id"] for row in await connection.fetch(LATELY_ENDED, tenant_id)]
    await announce_revocations(ended)
    await get_cache().flush_tenant(tenant_id)
    async with system_scope() as connection:
        if not await connection.fetchval(HOLD_ERASED, tenant_id):
            return nothing
        removed += await _remove_members(connection, tenant_id)
        return Erased("memberships", removed, await connection.fetchval(COUNT, tenant_id, removed))


async def _remove_members(connection: Connection, tenant_id: UUID) -> int:
    users = [row["id"] for row in await connection.fetch(HOLD_USERS, tenant_id)]
    left = _count(await connection.execute("DELETE FROM memberships WHERE tenant_id = $1", tenant_id))
    return left + _count(await connection.execute(REMOVE_USERS, users))


async def _finish(tenant_id: UUID) -> Erased:
    """Remove the tenant's row with all that is left, and write down what was done."""
    async with system_scope() as connection:
        held: Any = await connection.fetchrow(LAST_HOLD, tenant_id)
        if held is None:
            return Erased("tenants", 0, 0)
        # A request that was under way at the beginning may have let somebody in.
        removed = await _remove_members(connection, tenant_id)
        asked: Any = await connection.fetchrow(WHO_ASKED, tenant_id, STARTED)
        removed += await connection.fetchval("SELECT count(*) FROM audit_log WHERE tenant_id = $1", tenant_id)
        removed += _count(await connection.execute("DELETE FROM tenants WHERE id = $1", tenant_id))
        total: int = held["erased_rows"] + removed
        before = subject.set(asked and asked["on_behalf_of"])
        await record(
            connection, None, asked["actor"] if asked else "system", "tenant.erased", {"started_at": held["erasing_at"], "rows": total}
        )
        subject.reset(before)
    await get_cache().flush_tenant(tenant_id)
    log.info("tenant.erased", tenant_id=tenant_id, rows=total)
    return Erased("tenants", removed, total)


def _count(command_tag: str) -> int:
    return int(command_tag.rpartition(" ")[2])
