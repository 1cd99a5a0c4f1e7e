"""The tenants of one user: looked through, added to, and changed between."""

from typing import Final
from uuid import UUID

import msgspec

from app.api.pagination import PageOut, decode_cursor, encode_cursor
from app.api.roles import Caller, Role
from app.audit.service import record
from app.auth.linking import ADD_LINK, HOLD_KEY
from app.auth.schemas import SignedInOut, TenancyOut, TenantIn
from app.auth.service import JOIN, USER, sign_in
from app.auth.sessions import Device
from app.database import Connection, system_scope
from app.errors import Conflict, NotFound, Unauthenticated
from app.idempotency.reservations import keep_answer
from app.ids import new_id
from app.tenants.schemas import TenantOut
from app.tenants.service import create_tenant

MAX_TENANTS: Final = 100
"""That one user makes, since each is synced on its own; and that one is a member of."""

# Its eldest member made the tenant.
MADE_BY_USER = """
    NOT EXISTS (SELECT FROM memberships AS other WHERE other.tenant_id = membership.tenant_id
                   AND (other.created_at, other.id) < (membership.created_at, membership.id))
"""

# Those that others let the user into don't count: anybody may add anybody, and so could keep a user from having tenants of his own.
COUNT_MADE = f"SELECT count(*) FROM memberships AS membership WHERE membership.user_id = $1 AND {MADE_BY_USER}"

# For a bot, what it may not act for is as if it weren't there.
LIST = """
    SELECT tenant.id, tenant.name, tenant.marketplace_type, membership.role, tenant.id = $2 AS is_current, membership.created_at AS joined_at
      FROM memberships AS membership JOIN tenants AS tenant ON tenant.id = membership.tenant_id
     WHERE membership.user_id = $1
       AND ($3::uuid IS NULL OR EXISTS (SELECT FROM service_links WHERE tenant_id = tenant.id AND service_key_id = $3))
       AND ($4::uuid IS NULL OR tenant.id > $4)
     ORDER BY tenant.id LIMIT $5
"""

FIND = f"""
    SELECT {USER}
      FROM users JOIN memberships AS membership ON membership.user_id = users.id
     WHERE users.id = $1 AND membership.tenant_id = $2
"""

# An unlinking and an erasure wait for these locks, and end what was opened under them. First the tenant.
HOLD_LINK = """
    SELECT true FROM service_links AS link JOIN tenants AS tenant ON tenant.id = link.tenant_id
     WHERE link.service_key_id = $1 AND link.tenant_id = $2
       FOR KEY SHARE OF tenant FOR SHARE OF link
"""


LIVES = "SELECT revoked_at IS NULL FROM login_sessions WHERE id = $1"


class TooManyTenants(Conflict):
    """The user made, or is a member of, as many tenants as one may."""

    code = "too_many_tenants"
    title = "Too many tenants"


async def list_tenants(caller: Caller, *, limit: int, cursor: str | None) -> PageOut[TenancyOut]:
    """The user's tenants, the oldest first; for a bot, those of them that it may act for."""
    query = ("tenants", caller.user_id, caller.service_key_id)
    after = decode_cursor(cursor, query, (UUID,))[0] if cursor else None
    async with system_scope() as connection:
        rows = await connection.fetch(LIST, caller.user_id, caller.tenant_id, caller.service_key_id, after, limit + 1)
    items = [msgspec.convert(dict(row), TenancyOut) for row in rows[:limit]]
    return PageOut(items, encode_cursor(query, (items[-1].id,)) if len(rows) > limit else None)


async def add_tenant(caller: Caller, data: TenantIn) -> TenantOut:
    """Make another tenant, which the user owns. A bot that asks for it brought it, and may act for it.

    Raises:
        Unauthenticated: the bot's key was revoked in this moment.
        TooManyTenants: nothing was made.
    """
    async with system_scope() as connection:
        await _hold_key(connection, caller)
        # Two at once take turns, so that they don't pass the limit together.
        await connection.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", caller.user_id)
        if await connection.fetchval(COUNT_MADE, caller.user_id) >= MAX_TENANTS:
            raise TooManyTenants(f"A user makes {MAX_TENANTS} tenants at most.")
        tenant = await create_tenant(connection, data.company_name, data.marketplace_type)
        await connection.execute(JOIN, new_id(), tenant.id, caller.user_id, Role.OWNER)
        if caller.service_key_id is not None:
            await connection.execute(ADD_LINK, new_id(), caller.service_key_id, tenant.id, caller.actor)
        await record(connection, tenant.id, caller.actor, "tenant.created", {"marketplace_type": data.marketplace_type})
        await keep_answer(connection, tenant, location="/api/v1/tenants/me")
    return tenant


async def switch_tenant(caller: Caller, tenant_id: UUID, device: Device) -> SignedInOut:
    """Begin a login session in another tenant of the user; the present one lives on.

    Raises:
        NotFound: the user is no member of it, or the bot that asks may not act for it.
        Unauthenticated: the present session was ended in this moment, or the bot's key was revoked.
    """
    async with system_scope() as connection:
        await _hold_key(connection, caller)
        linked = caller.service_key_id is None or await connection.fetchval(HOLD_LINK, caller.service_key_id, tenant_id)
        user = await connection.fetchrow(FIND, caller.user_id, tenant_id) if linked else None
        if user is None:
            raise NotFound("There is no such tenant of yours.")
        signed_in = await sign_in(connection, user, tenant_id, device, caller.service_key_id)
        # Last, since whoever ends sessions holds the tenant before the user.
        await connection.execute("SELECT FROM users WHERE id = $1 FOR SHARE", caller.user_id)
        if not await connection.fetchval(LIVES, caller.session_id):
            raise Unauthenticated("The session of this access token was ended; sign in again.")
        return signed_in


async def _hold_key(connection: Connection, caller: Caller) -> None:
    if caller.service_key_id is not None and not await connection.fetchval(HOLD_KEY, caller.service_key_id):
        raise Unauthenticated("The service key is not valid.")
