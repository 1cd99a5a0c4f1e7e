"""Which services may act for a tenant: those that brought it, and those that its owner linked."""

from uuid import UUID

import msgspec

from app.api.roles import Caller
from app.audit.service import record
from app.auth.schemas import ServiceLinkOut
from app.auth.service_keys import announce_revocations, end_sessions
from app.database import Connection, system_scope, tenant_scope
from app.errors import NotFound
from app.idempotency.reservations import keep_answer
from app.ids import new_id

# A revocation waits for this lock, and ends what was opened under it.
HOLD_KEY = "SELECT true FROM service_keys WHERE id = $1 AND revoked_at IS NULL FOR SHARE"

# Likewise, with a secret that still works: it may have been replaced since it was looked at.
HOLD_GIVEN_KEY = """
    SELECT true FROM service_keys
     WHERE id = $1 AND revoked_at IS NULL AND (secret_hash = $2 OR (previous_secret_hash = $2 AND previous_until > now()))
       FOR SHARE
"""

ADD_LINK = """
    INSERT INTO service_links (id, service_key_id, tenant_id, linked_by, created_at) VALUES ($1, $2, $3, $4, now())
        ON CONFLICT (service_key_id, tenant_id) DO NOTHING RETURNING true
"""

REMOVE_LINK = "DELETE FROM service_links WHERE service_key_id = $1 AND tenant_id = $2 RETURNING true"

LIST = """
    SELECT link.service_key_id, service.name, link.created_at AS linked_at, link.linked_by,
           (SELECT max(last_used_at) FROM login_sessions AS session
             WHERE session.tenant_id = link.tenant_id AND session.service_key_id = link.service_key_id) AS last_used_at
      FROM service_links AS link JOIN service_keys AS service ON service.id = link.service_key_id
     WHERE link.tenant_id = $1 AND ($2::uuid IS NULL OR link.service_key_id = $2) AND service.revoked_at IS NULL
     ORDER BY link.id
"""


async def list_links(tenant_id: UUID) -> list[ServiceLinkOut]:
    """Who may act for the tenant, the oldest link first."""
    async with tenant_scope(tenant_id) as connection:
        return await _read(connection, tenant_id, None)


async def link_service(caller: Caller, service_key_id: UUID) -> tuple[ServiceLinkOut, bool]:
    """Let a service act for the tenant's members; False: it could already.

    Raises:
        NotFound: there is no such key, or it was revoked.
    """
    async with system_scope() as connection:
        if not await connection.fetchval(HOLD_KEY, service_key_id):
            raise NotFound("There is no such service key.")
        added = bool(await connection.fetchval(ADD_LINK, new_id(), service_key_id, caller.tenant_id, f"user:{caller.user_id}"))
        [link] = await _read(connection, caller.tenant_id, service_key_id)
        if added:
            facts = {"service_key_id": service_key_id, "name": link.name}
            await record(connection, caller.tenant_id, caller.actor, "service.linked", facts)
        await keep_answer(connection, link, status=201 if added else 200)
    return link, added


async def unlink_service(caller: Caller, service_key_id: UUID) -> None:
    """Let it act no more: what it opened in the tenant ends at once.

    Raises:
        NotFound: there is no such link.
    """
    async with tenant_scope(caller.tenant_id) as connection:
        if not await connection.fetchval(REMOVE_LINK, service_key_id, caller.tenant_id):
            raise NotFound("There is no such link.")
        ended = await end_sessions(connection, service_key_id, caller.tenant_id)
        facts = {"service_key_id": service_key_id, "ended_sessions": len(ended)}
        await record(connection, caller.tenant_id, caller.actor, "service.unlinked", facts)
    await announce_revocations(ended)


async def _read(connection: Connection, tenant_id: UUID, service_key_id: UUID | None) -> list[ServiceLinkOut]:
    return [msgspec.convert(dict(row), ServiceLinkOut) for row in await connection.fetch(LIST, tenant_id, service_key_id)]
