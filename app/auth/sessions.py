"""Login sessions: opened by a sign-in, carried on by refresh tokens that replace each other, ended by a sign-out or a theft."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from app.api.pagination import PageOut, decode_cursor, encode_cursor
from app.api.roles import Caller, Role
from app.audit.deeds import Deed
from app.audit.service import record, subject
from app.auth.liveness import announce_revocation
from app.auth.schemas import SessionOut
from app.auth.service_keys import announce_revocations
from app.auth.tokens import RefreshToken
from app.database import Connection, system_scope
from app.errors import NotFound, Unauthenticated
from app.ids import new_id
from app.secret import Secret

LIFETIME: Final = timedelta(days=30)
"""Of a refresh token, and so of a session that nobody uses."""

MAX_LIVE: Final = 100
"""Sessions of one user in one tenant; one more ends the one that was not used for the longest time, within a minute."""

GRACE: Final = timedelta(seconds=10)
"""For so long after a refresh the same token may be used once more: an answer can get lost on the way."""

OPEN = """
    INSERT INTO login_sessions
           (id, user_id, tenant_id, refresh_token_hash, rotated_at, expires_at, created_at, last_used_at, ip_address, user_agent, service_key_id)
    VALUES ($1, $2, $3, $4, now(), now() + $5, now(), now(), $6, $7, $8)
"""

# Two at once are decided one after the other: the second sees what the first made of the row.
FIND = """
    SELECT session.user_id, session.tenant_id, session.service_key_id, membership.role, refresh_token_hash, previous_token_hash,
           revoked_at IS NOT NULL AS revoked, expires_at <= now() AS expired, rotated_at > now() - $2::interval AS just_rotated
      FROM login_sessions AS session
      LEFT JOIN memberships AS membership ON membership.tenant_id = session.tenant_id AND membership.user_id = session.user_id
     WHERE session.id = $1
       FOR UPDATE OF session
"""

ROTATE = """
    UPDATE login_sessions
       SET refresh_token_hash = $2, previous_token_hash = $3, rotated_at = CASE WHEN $4 THEN now() ELSE rotated_at END,
           last_used_at = now(), expires_at = now() + $5
     WHERE id = $1
"""

LIVE = "revoked_at IS NULL AND expires_at > now()"

# Those that were not used for the longest time. Deleted rather than ended, so that a bot which signs in for each message leaves no heap.
REMOVE_SURPLUS = f"""
    DELETE FROM login_sessions WHERE id IN (
        SELECT id FROM login_sessions
         WHERE user_id = $1 AND tenant_id = $2 AND {LIVE} ORDER BY last_used_at DESC, id DESC OFFSET $3
           FOR UPDATE SKIP LOCKED
    )
"""

# A bot reaches the tenant that it acts in, and nothing else of the user's.
REACHED = "user_id = $1 AND ($2::uuid IS NULL OR tenant_id = $2)"

LIST = f"""
    SELECT session.id, tenant_id, session.id = $3 AS is_current, ip_address, user_agent, service_key_id, service.name AS service,
           session.created_at, session.last_used_at, expires_at
      FROM login_sessions AS session LEFT JOIN service_keys AS service ON service.id = session.service_key_id
     WHERE {REACHED} AND session.revoked_at IS NULL AND expires_at > now() AND ($4::uuid IS NULL OR session.id < $4)
     ORDER BY session.id DESC LIMIT $5
"""

END_ONE = f"UPDATE login_sessions SET revoked_at = now() WHERE id = $3 AND {REACHED} AND {LIVE} RETURNING tenant_id"

END_MANY = f"""
    UPDATE login_sessions SET revoked_at = now()
     WHERE {REACHED} AND revoked_at IS NULL AND ($3::uuid IS NULL OR id <> $3) RETURNING id
"""

REVOKE = "UPDATE login_sessions SET revoked_at = now() WHERE id = $1"

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class RefreshTokenInvalid(Unauthenticated):
    """The refresh token is none of ours, or its session was ended."""

    code = "refresh_token_invalid"
    title = "Refresh token invalid"


class RefreshTokenExpired(Unauthenticated):
    """The refresh token was not used for 30 days."""

    code = "refresh_token_expired"
    title = "Refresh token expired"


class RefreshTokenReused(Unauthenticated):
    """The refresh token had been replaced already: somebody else has it, so the whole session is revoked."""

    code = "refresh_token_reused"
    title = "Refresh token reused"


class Device(msgspec.Struct, frozen=True):
    """Where a sign-in comes from, as far as the request tells."""

    ip_address: str | None
    user_agent: str | None


async def open_session(
    connection: Connection, user_id: UUID, tenant_id: UUID, device: Device, secrets: Sequence[Secret], service_key_id: UUID | None = None
) -> tuple[UUID, RefreshToken]:
    """Begin a login session in the caller's transaction. Gives its id and its first refresh token.

    Args:
        service_key_id: the service that opens it for the user, if it isn't the user. All tokens of the session name it.
    """
    session_id = new_id()
    token = RefreshToken.first(session_id, secrets)
    await connection.execute(
        OPEN, session_id, user_id, tenant_id, token.hash(), LIFETIME, device.ip_address, device.user_agent, service_key_id
    )
    await connection.execute(REMOVE_SURPLUS, user_id, tenant_id, MAX_LIVE)
    return session_id, token


async def rotate(given: Secret, secrets: Sequence[Secret]) -> tuple[Caller, RefreshToken]:
    """Replace a refresh token by its successor. Within the grace the one that was just replaced gives the same successor again.

    Raises:
        RefreshTokenInvalid, RefreshTokenExpired: there is nothing to carry on; a new sign-in is needed.
        RefreshTokenReused: it had been replaced before; the session is revoked now.
    """
    token = _parse(given)
    async with system_scope() as connection:
        row = await connection.fetchrow(FIND, token.session_id, GRACE)
        if row is None or row["revoked"] or row["role"] is None:
            raise RefreshTokenInvalid("The session of this refresh token was ended; sign in again.")
        is_current = token.matches(row["refresh_token_hash"])
        is_repeated = row["just_rotated"] and token.matches(row["previous_token_hash"])
        if is_current or is_repeated:
            if row["expired"]:
                raise RefreshTokenExpired("The refresh token was not used for 30 days; sign in again.")
            successor = token.successor(secrets)
            await connection.execute(ROTATE, token.session_id, successor.hash(), token.hash(), is_current, LIFETIME)
            return Caller(row["user_id"], row["tenant_id"], token.session_id, Role(row["role"]), row["service_key_id"]), successor
        if not _was_given_out(token, row, secrets):
            raise RefreshTokenInvalid("The refresh token is not valid.")
        await connection.execute(REVOKE, token.session_id)
        await _audit(connection, row, "session.reuse_detected", token.session_id)
    await announce_revocation(token.session_id)
    log.warning("sessions.reuse_detected", session_id=token.session_id, tenant_id=row["tenant_id"])
    raise RefreshTokenReused(
        "The refresh token had been replaced already, so somebody else may have it. The session was ended; sign in again."
    )


async def close(given: Secret, secrets: Sequence[Secret]) -> None:
    """End the session of a refresh token, whether it works now or did once; ending it again changes nothing.

    Raises:
        RefreshTokenInvalid: it was never given out.
    """
    token = _parse(given)
    async with system_scope() as connection:
        row = await connection.fetchrow(FIND, token.session_id, GRACE)
        if not _was_given_out(token, row, secrets):
            raise RefreshTokenInvalid("The refresh token is not valid.")
        if row is None:
            return
        if not row["revoked"]:
            await connection.execute(REVOKE, token.session_id)
            await _audit(connection, row, "session.closed", token.session_id)
    # Also for one that was revoked before: Redis may not have heard of it.
    await announce_revocation(token.session_id)


async def list_sessions(caller: Caller, *, limit: int, cursor: str | None) -> PageOut[SessionOut]:
    """The user's live sessions, newest first: in all tenants, or, if a bot asks, in the one that it acts in."""
    query = ("sessions", caller.user_id, _reach(caller))
    after = decode_cursor(cursor, query, (UUID,))[0] if cursor else None
    async with system_scope() as connection:
        rows = await connection.fetch(LIST, caller.user_id, _reach(caller), caller.session_id, after, limit + 1)
    items = [msgspec.convert(dict(row), SessionOut) for row in rows[:limit]]
    return PageOut(items, encode_cursor(query, (items[-1].id,)) if len(rows) > limit else None)


async def end_session(caller: Caller, session_id: UUID) -> None:
    """End one of the sessions that `list_sessions` gives; its access tokens stop working at once.

    Raises:
        NotFound: it is none of them.
    """
    async with system_scope() as connection:
        tenant_id = await connection.fetchval(END_ONE, caller.user_id, _reach(caller), session_id)
        if tenant_id is None:
            raise NotFound("There is no such session.")
        await record(connection, tenant_id, caller.actor, "session.closed", {"session_id": session_id})
    await announce_revocation(session_id)


async def end_all_sessions(caller: Caller) -> None:
    """End all sessions that `list_sessions` gives, the present one too."""
    async with system_scope() as connection:
        ended = await end_many(connection, caller.user_id, _reach(caller))
        await record(connection, caller.tenant_id, caller.actor, "session.all_closed", {"ended_sessions": len(ended)})
    await announce_revocations(ended)


async def end_many(connection: Connection, user_id: UUID, tenant_id: UUID | None, but: UUID | None = None) -> list[UUID]:
    """End the user's sessions in a tenant, or in all, in the caller's transaction; then give their ids to `announce_revocations()`."""
    # Whoever opens a session by one of these holds the user too, so that it is ended with them or finds its own ended.
    await connection.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)
    return [row["id"] for row in await connection.fetch(END_MANY, user_id, tenant_id, but)]


def _reach(caller: Caller) -> UUID | None:
    return None if caller.service_key_id is None else caller.tenant_id


def _parse(given: Secret) -> RefreshToken:
    token = RefreshToken.parse(given.reveal())
    if token is None:
        raise RefreshTokenInvalid("This is not a refresh token of ours.")
    return token


def _was_given_out(token: RefreshToken, row: Any | None, secrets: Sequence[Secret]) -> bool:
    """By the seal, or, if it was sealed with a secret that is gone, by the hashes."""
    known = row is not None and (token.matches(row["refresh_token_hash"]) or token.matches(row["previous_token_hash"]))
    return known or token.is_ours(secrets)


async def _audit(connection: Connection, row: Any, action: Deed, session_id: UUID) -> None:
    user = f"user:{row['user_id']}"
    if row["service_key_id"] is not None:
        subject.set(user)
    actor = user if row["service_key_id"] is None else f"service:{row['service_key_id']}"
    await record(connection, row["tenant_id"], actor, action, {"session_id": session_id})
