"""Who belongs to a tenant, and as what. Changes of one tenant's members take turns, so that an owner is always left."""

from typing import Any, Final
from uuid import UUID

import msgspec

from app.api.pagination import PageOut, decode_cursor, encode_cursor
from app.api.roles import Caller, Role
from app.audit.service import record
from app.auth.passwords import hash_password
from app.auth.schemas import MemberIn, MemberOut
from app.auth.service import CREATE_USER, EmailTaken
from app.auth.service_keys import announce_revocations
from app.auth.sessions import end_many
from app.auth.tenancies import MAX_TENANTS, TooManyTenants
from app.database import Connection, system_scope, tenant_scope
from app.errors import Conflict, FieldError, InvalidInput, NotFound
from app.idempotency.reservations import keep_answer
from app.ids import new_id
from app.tenants.service import lock_tenant

MEMBER: Final = """
    SELECT users.id, users.email, users.telegram_user_id, membership.role, membership.created_at AS joined_at
      FROM memberships AS membership JOIN users ON users.id = membership.user_id
     WHERE membership.tenant_id = $1
"""

LIST = f"{MEMBER} AND ($2::uuid IS NULL OR users.id > $2) ORDER BY users.id LIMIT $3"
FIND = f"{MEMBER} AND users.id = $2"

JOIN = """
    INSERT INTO memberships (id, tenant_id, user_id, role, created_at) VALUES ($1, $2, $3, $4, now())
        ON CONFLICT (tenant_id, user_id) DO NOTHING RETURNING true
"""

TAKE_TELEGRAM_USER = """
    INSERT INTO users (id, telegram_user_id, created_at) VALUES ($1, $2, now())
        ON CONFLICT (telegram_user_id) DO UPDATE SET telegram_user_id = excluded.telegram_user_id RETURNING id
"""

OTHER_OWNERS = "SELECT EXISTS (SELECT FROM memberships WHERE tenant_id = $1 AND user_id <> $2 AND role = 'owner')"


MAX_MEMBERS: Final = 100
"""Of one tenant: a company's people, not its customers."""


class TooManyMembers(Conflict):
    """The tenant has as many members as one may have."""

    code = "too_many_members"
    title = "Too many members"


class AlreadyMember(Conflict):
    """The user belongs to the tenant already; PATCH changes the role."""

    code = "already_member"
    title = "Already a member"


class LastOwner(Conflict):
    """Without this one nobody could manage the tenant: make another member an owner first, or erase the tenant."""

    code = "last_owner"
    title = "Last owner"


class UserUnknown(NotFound):
    """Nobody has this email address yet; with a `password` the user is made."""

    code = "user_unknown"
    title = "User unknown"


async def list_members(tenant_id: UUID, *, limit: int, cursor: str | None) -> PageOut[MemberOut]:
    """The members, in the order in which they first came to the service."""
    query = ("members",)
    after = decode_cursor(cursor, query, (UUID,))[0] if cursor else None
    async with tenant_scope(tenant_id) as connection:
        rows = await connection.fetch(LIST, tenant_id, after, limit + 1)
    items = [msgspec.convert(dict(row), MemberOut) for row in rows[:limit]]
    return PageOut(items, encode_cursor(query, (items[-1].id,)) if len(rows) > limit else None)


async def add_member(caller: Caller, data: MemberIn) -> MemberOut:
    """Let somebody in.

    Raises:
        InvalidInput: not exactly one of `email` and `telegram_user_id`, or a password without an address.
        UserUnknown: nobody has the address, and there is no password to make the user with.
        EmailTaken: there is a password, and the user exists; an owner sets nobody else's.
        AlreadyMember: nothing was changed, whatever the role.
        TooManyMembers: the tenant is full.
        TooManyTenants: the user belongs to as many tenants as one may.
    """
    if (data.email is None) == (data.telegram_user_id is None):
        raise InvalidInput("Who is it?", (FieldError("email", "Give either email or telegram_user_id"),))
    if data.password is not None and data.email is None:
        raise InvalidInput("A password belongs to an address.", (FieldError("password", "Only together with email"),))
    password_hash = await hash_password(data.password) if data.password is not None else None
    async with system_scope() as connection:
        await lock_tenant(connection, caller.tenant_id)
        user_id = await _user_of(connection, data, password_hash)
        if not await connection.fetchval(JOIN, new_id(), caller.tenant_id, user_id, data.role):
            raise AlreadyMember("This user is a member already.")
        await _refuse_too_many(connection, caller.tenant_id, user_id)
        await record(connection, caller.tenant_id, caller.actor, "member.added", {"user_id": user_id, "role": data.role})
        member = await _find(connection, caller.tenant_id, user_id)
        await keep_answer(connection, member, location=f"/api/v1/tenants/me/users/{member.id}")
    return member


async def change_role(caller: Caller, user_id: UUID, role: Role) -> MemberOut:
    """Another role for a member, whose sessions in the tenant end at once: the role stands in their access tokens. The same role changes nothing.

    Raises:
        NotFound: there is no such member.
        LastOwner: nobody would be left to own the tenant.
    """
    ended: list[UUID] = []
    async with tenant_scope(caller.tenant_id) as connection:
        await lock_tenant(connection, caller.tenant_id)
        member = await _find(connection, caller.tenant_id, user_id)
        if member.role is not role:
            if role is not Role.OWNER:
                await _keep_an_owner(connection, caller.tenant_id, user_id)
            await connection.execute(
                "UPDATE memberships SET role = $3 WHERE tenant_id = $1 AND user_id = $2", caller.tenant_id, user_id, role
            )
            ended = await end_many(connection, user_id, caller.tenant_id)
            await record(connection, caller.tenant_id, caller.actor, "member.role_changed", {"user_id": user_id, "role": role})
            member = await _find(connection, caller.tenant_id, user_id)
    await announce_revocations(ended)
    return member


async def remove_member(caller: Caller, user_id: UUID) -> None:
    """The user belongs to the tenant no more, and the sessions there end at once. The user and other tenants stay as they are.

    Raises:
        NotFound: there is no such member.
        LastOwner: nobody would be left to own the tenant.
    """
    async with tenant_scope(caller.tenant_id) as connection:
        await lock_tenant(connection, caller.tenant_id)
        member = await _find(connection, caller.tenant_id, user_id)
        if member.role is Role.OWNER:
            await _keep_an_owner(connection, caller.tenant_id, user_id)
        await connection.execute("DELETE FROM memberships WHERE tenant_id = $1 AND user_id = $2", caller.tenant_id, user_id)
        ended = await end_many(connection, user_id, caller.tenant_id)
        await record(connection, caller.tenant_id, caller.actor, "member.removed", {"user_id": user_id, "ended_sessions": len(ended)})
    await announce_revocations(ended)


async def _user_of(connection: Connection, data: MemberIn, password_hash: str | None) -> UUID:
    if data.telegram_user_id is not None:
        return await connection.fetchval(TAKE_TELEGRAM_USER, new_id(), data.telegram_user_id)
    if password_hash is not None:
        made = await connection.fetchrow(CREATE_USER, new_id(), data.email, password_hash)
        if made is None:
            raise EmailTaken("A user with this email address exists already; leave out the password to add that one.")
        return made["id"]
    user_id = await connection.fetchval("SELECT id FROM users WHERE email = $1", data.email)
    if user_id is None:
        raise UserUnknown("No user has this email address; give a password to make one.")
    return user_id


async def _refuse_too_many(connection: Connection, tenant_id: UUID, user_id: UUID) -> None:
    """With the new membership counted in, which goes if this raises. The caller holds the tenant; those who add the same user to others take turns here."""
    if await connection.fetchval("SELECT count(*) FROM memberships WHERE tenant_id = $1", tenant_id) > MAX_MEMBERS:
        raise TooManyMembers(f"A tenant has {MAX_MEMBERS} members at most.")
    await connection.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)
    if await connection.fetchval("SELECT count(*) FROM memberships WHERE user_id = $1", user_id) > MAX_TENANTS:
        raise TooManyTenants(f"A user is a member of {MAX_TENANTS} tenants at most.")


async def _keep_an_owner(connection: Connection, tenant_id: UUID, but: UUID) -> None:
    if not await connection.fetchval(OTHER_OWNERS, tenant_id, but):
        raise LastOwner("This is the last owner of the tenant.")


async def _find(connection: Connection, tenant_id: UUID, user_id: UUID) -> MemberOut:
    row = await connection.fetchrow(FIND, tenant_id, user_id)
    if row is None:
        raise NotFound("There is no such member.")
    return _member_out(row)


def _member_out(row: Any) -> MemberOut:
    return msgspec.convert(dict(row), MemberOut)
