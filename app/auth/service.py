"""Signing up, in and out."""

import asyncio
import time
from typing import Any, Final
from uuid import UUID

from app.api.roles import Caller, Role
from app.audit.service import record
from app.auth import sessions
from app.auth.attempts import begin_attempt, forget_attempts, remember_network
from app.auth.passwords import hash_password, needs_rehash, verify_password
from app.auth.schemas import LoginIn, MeOut, RegisterIn, SignedInOut, TokenPairOut, UserOut
from app.auth.sessions import Device
from app.auth.tokens import ACCESS_TOKEN_LIFETIME, RefreshToken, issue_access_token
from app.database import Connection, system_scope, tenant_scope
from app.errors import Conflict, Forbidden, Unauthenticated
from app.ids import new_id
from app.secret import Secret
from app.settings import get_settings
from app.tenants.service import create_tenant, read_tenant

FAILURE_STEP_S: Final = 0.1
"""A refused sign-in is answered at a multiple of this: the Argon2 check takes a third of it, and what else depends on the user drowns in the rest."""

USER: Final = "users.id, users.email, users.telegram_user_id, users.created_at"

# Whoever comes second waits for the first, and gets no row.
CREATE_USER = f"""
    INSERT INTO users (id, email, password_hash, created_at) VALUES ($1, $2, $3, now())
        ON CONFLICT (email) DO NOTHING
 RETURNING {USER}
"""

JOIN = "INSERT INTO memberships (id, tenant_id, user_id, role, created_at) VALUES ($1, $2, $3, $4, now())"

FIRST_MEMBERSHIP = "SELECT tenant_id FROM memberships WHERE user_id = $1 ORDER BY id LIMIT 1"

# A change of the password waits for this lock, and ends what was opened under it.
HOLD_PASSWORD = "SELECT true FROM users WHERE id = $1 AND password_hash = $2 FOR SHARE"  # noqa: S105 - a statement

# A removal and a change of the role wait for this lock, and end what was opened under it. First the tenant, as its erasure does, which marks it under a lock.
HOLD_MEMBERSHIP = """
    SELECT membership.role
      FROM memberships AS membership JOIN tenants AS tenant ON tenant.id = membership.tenant_id
     WHERE membership.tenant_id = $1 AND membership.user_id = $2 AND tenant.erasing_at IS NULL
       FOR KEY SHARE OF tenant FOR SHARE OF membership
"""


class EmailTaken(Conflict):
    """A user with this address exists already."""

    code = "email_taken"
    title = "Email taken"


class InvalidCredentials(Unauthenticated):
    """The address or the password is wrong; which of them, is not said."""

    code = "invalid_credentials"
    title = "Invalid credentials"


async def register(data: RegisterIn, device: Device) -> SignedInOut:
    """Make a tenant with its first user, and sign the user in.

    Raises:
        EmailTaken: there is such a user; nothing was made.
    """
    password_hash = await hash_password(data.password)
    async with system_scope() as connection:
        user = await connection.fetchrow(CREATE_USER, new_id(), data.email, password_hash)
        if user is None:
            raise EmailTaken("A user with this email address exists already.")
        tenant = await create_tenant(connection, data.company_name, data.marketplace_type)
        await connection.execute(JOIN, new_id(), tenant.id, user["id"], Role.OWNER)
        await record(connection, tenant.id, f"user:{user['id']}", "user.registered", {"marketplace_type": data.marketplace_type})
        signed_in = await sign_in(connection, user, tenant.id, device)
    await remember_network(data.email, device.ip_address)
    return signed_in


async def login(data: LoginIn, device: Device) -> SignedInOut:
    """Begin a login session in the user's first tenant.

    Raises:
        InvalidCredentials: in the same time, whether there is such a user or not.
        TooManyRequests: too many passwords were wrong of late; this one was not looked at.
        Forbidden: the user is a member of no tenant any more.
    """
    await begin_attempt(data.email, device.ip_address)
    begun_at = time.monotonic()
    async with system_scope() as connection:
        user = await connection.fetchrow(f"SELECT {USER}, password_hash FROM users WHERE email = $1", data.email)
    if not await verify_password(data.password, user and user["password_hash"]):
        if user is not None:
            await _note_failure(user["id"])
        elapsed_s = time.monotonic() - begun_at
        await asyncio.sleep(FAILURE_STEP_S - elapsed_s % FAILURE_STEP_S)
        raise InvalidCredentials("The email address or the password is wrong.")
    assert user is not None  # nobody's password is never right
    await forget_attempts(data.email, device.ip_address)
    new_hash = await hash_password(data.password) if needs_rehash(user["password_hash"]) else None
    async with system_scope() as connection:
        if new_hash is not None:
            await connection.execute(
                "UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = $3", user["id"], new_hash, user["password_hash"]
            )
        if not await connection.fetchval(HOLD_PASSWORD, user["id"], new_hash or user["password_hash"]):
            raise InvalidCredentials("The email address or the password is wrong.")
        tenant_id = await connection.fetchval(FIRST_MEMBERSHIP, user["id"])
        if tenant_id is None:
            raise Forbidden("This user is a member of no tenant.")
        return await sign_in(connection, user, tenant_id, device)


async def refresh(refresh_token: Secret) -> TokenPairOut:
    """A new token pair for a refresh token.

    Raises:
        RefreshTokenInvalid, RefreshTokenExpired, RefreshTokenReused: sign in again.
    """
    caller, successor = await sessions.rotate(refresh_token, get_settings().jwt_secrets)
    return TokenPairOut(**_pair(caller, successor))


async def logout(refresh_token: Secret) -> None:
    """End the session; its access tokens stop working at once.

    Raises:
        RefreshTokenInvalid: it was never given out.
    """
    await sessions.close(refresh_token, get_settings().jwt_secrets)


async def get_me(caller: Caller) -> MeOut:
    """The user, and the tenant that the token speaks for.

    Raises:
        Unauthenticated: the user was removed from it meanwhile.
    """
    async with tenant_scope(caller.tenant_id) as connection:
        user = await connection.fetchrow(f"SELECT {USER} FROM users WHERE id = $1", caller.user_id)
        if user is None:
            raise Unauthenticated("This user is no longer a member of the tenant.")
        return MeOut(_user_out(user), await read_tenant(connection, caller.tenant_id), caller.role)


async def sign_in(connection: Connection, user: Any, tenant_id: UUID, device: Device, service_key_id: UUID | None = None) -> SignedInOut:
    """Begin a login session in the caller's transaction, of `system_scope()`.

    Args:
        user: a row with the columns of `USER`.
        service_key_id: the service that asks for it, if it isn't the user.

    Raises:
        Forbidden: the user was removed from the tenant in this moment.
    """
    role = await connection.fetchval(HOLD_MEMBERSHIP, tenant_id, user["id"])
    if role is None:
        raise Forbidden("This user is no longer a member of the tenant.")
    session_id, token = await sessions.open_session(connection, user["id"], tenant_id, device, get_settings().jwt_secrets, service_key_id)
    caller = Caller(user["id"], tenant_id, session_id, Role(role), service_key_id)
    await record(connection, tenant_id, caller.actor, "user.signed_in", {"session_id": session_id})
    return SignedInOut(**_pair(caller, token), tenant=await read_tenant(connection, tenant_id), user=_user_out(user))


async def _note_failure(user_id: UUID) -> None:
    """Kept although the request fails, so in a transaction of its own."""
    async with system_scope() as connection:
        tenant_id = await connection.fetchval(FIRST_MEMBERSHIP, user_id)
        if tenant_id is not None:
            await record(connection, tenant_id, f"user:{user_id}", "user.sign_in_failed")


def _pair(caller: Caller, refresh_token: RefreshToken) -> dict[str, Any]:
    return {
        "access_token": issue_access_token(caller, get_settings().jwt_secrets),
        "refresh_token": refresh_token.text(),
        "token_type": "bearer",
        "expires_in": int(ACCESS_TOKEN_LIFETIME.total_seconds()),
    }


def _user_out(row: Any) -> UserOut:
    return UserOut(row["id"], row["email"], row["telegram_user_id"], row["created_at"])
