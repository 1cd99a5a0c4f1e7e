"""The keys of services, such as bots: made by an operator, shown once, looked up for each request that brings one.

A key is `stk_<id>_<secret>`: 32 hexadecimal digits of its id, 64 of its secret. Of the secret only the SHA-256 is stored, which is enough for 256 random
bits. A key is looked up whenever it is brought, so a revocation counts from its commit on, everywhere; services bring their keys seldom, their sellers'
requests come with access tokens. All that a process remembers is which keys were right: the others count as tries to sign in from their address.
"""

import hashlib
import hmac
import os
import re
from datetime import datetime, timedelta
from typing import Any, Final, Self
from uuid import UUID

import msgspec

from app.api.roles import ServiceCaller
from app.audit.deeds import Deed
from app.audit.service import record
from app.auth.liveness import announce_revocation
from app.database import Connection, system_scope
from app.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from app.ids import new_id
from app.secret import Secret

OVERLAP: Final = timedelta(hours=24)
"""How long the former secret works beside a new one."""

MAX_NAME_LENGTH: Final = 100

_PREFIX: Final = "stk_"
_FORM: Final = re.compile(_PREFIX + r"([0-9a-f]{32})_([0-9a-f]{64})")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NO_HASH: Final = bytes(32)

_right: set[bytes] = set()
"""The SHA-256 of the keys that were right when this process saw them last."""

FIND = """
    SELECT secret_hash, previous_secret_hash, coalesce(previous_until > now(), false) AS previous_works, revoked_at IS NOT NULL AS revoked,
           coalesce(last_used_at < now() - interval '1 minute', true) AS use_is_news
      FROM service_keys WHERE id = $1
"""

# Of several requests at once one writes.
NOTE_USE = """
    UPDATE service_keys SET last_used_at = now()
     WHERE id = $1 AND coalesce(last_used_at < now() - interval '1 minute', true)
"""

CREATE = """
    INSERT INTO service_keys (id, name, secret_hash, created_at) VALUES ($1, $2, $3, now()) ON CONFLICT (name) DO NOTHING RETURNING id
"""

# What works now becomes the former one; with an overlap of nothing it ends here.
ROTATE = """
    UPDATE service_keys
       SET secret_hash = $2,
           previous_secret_hash = CASE WHEN $3::interval > interval '0' THEN secret_hash END,
           previous_until = CASE WHEN $3::interval > interval '0' THEN now() + $3::interval END
     WHERE name = $1 AND revoked_at IS NULL
 RETURNING id
"""

REVOKE = "UPDATE service_keys SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL RETURNING id"

LIST = """
    SELECT id, name, created_at, last_used_at, revoked_at, CASE WHEN previous_until > now() THEN previous_until END AS previous_until,
           (SELECT count(*) FROM service_links WHERE service_key_id = service_keys.id) AS tenants
      FROM service_keys ORDER BY name
"""

END_SESSIONS = """
    UPDATE login_sessions SET revoked_at = now()
     WHERE service_key_id = $1 AND ($2::uuid IS NULL OR tenant_id = $2) AND revoked_at IS NULL
 RETURNING id
"""


class ServiceKeyExists(Conflict):
    """There is, or was, a key of this name."""

    code = "service_key_exists"
    title = "Service key exists"


class ServiceKey(msgspec.Struct, frozen=True):
    """A service key taken apart, or made. It is only as true as the stored hash says."""

    id: UUID
    secret: bytes

    @classmethod
    def new(cls, key_id: UUID) -> Self:
        return cls(key_id, os.urandom(32))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None: it has not the form of our keys."""
        form = _FORM.fullmatch(text)
        return form and cls(UUID(form[1]), bytes.fromhex(form[2]))

    def text(self) -> Secret:
        return Secret(f"{_PREFIX}{self.id.hex}_{self.secret.hex()}")

    def hash(self) -> bytes:
        """What is stored of it: 32 bytes."""
        return hashlib.sha256(self.secret).digest()

    def __repr__(self) -> str:
        return f"ServiceKey({self.id}, {Secret.MASK})"


class ServiceKeyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A key as an operator sees it. `previous_until`: so long the former secret works too; `tenants`: that it may act for."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    previous_until: datetime | None
    tenants: int


def is_service_key(token: str) -> bool:
    """Whether this wants to be a service key, and not an access token."""
    return token.startswith(_PREFIX)


def was_right(token: str) -> bool:
    """Whether this process has looked the key up before, and it was right. It may have been revoked since."""
    return _fingerprint(token) in _right


def _fingerprint(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def verify_service_key(token: str) -> ServiceCaller:
    """The service whose key this is; once a minute its use is noted.

    Raises:
        Unauthenticated: no key of ours, or one that was revoked or replaced; which of them, is not said.
        Unavailable: the database can't tell.
    """
    key = ServiceKey.parse(token)
    if key is not None:
        async with system_scope() as connection:
            row = await connection.fetchrow(FIND, key.id)
            if _is_true(key, row):
                if row["use_is_news"]:
                    await connection.execute(NOTE_USE, key.id)
                _right.add(_fingerprint(token))
                return ServiceCaller(key.id, key.hash())
    _right.discard(_fingerprint(token))
    raise Unauthenticated("The service key is not valid.")


def _is_true(key: ServiceKey, row: Any | None) -> bool:
    """With the same work whatever the row says, and whether there is one."""
    given = key.hash()
    is_newest = hmac.compare_digest(given, row["secret_hash"] if row else _NO_HASH)
    is_former = hmac.compare_digest(given, (row and row["previous_secret_hash"]) or _NO_HASH)
    return row is not None and not row["revoked"] and (is_newest or (is_former and row["previous_works"]))


async def create_service_key(name: str) -> Secret:
    """Make a key. It is shown this once.

    Raises:
        InvalidInput: the name is none.
        ServiceKeyExists: the name is taken, be it by a key that was revoked: the audit log would speak of two.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"A name has 1 to {MAX_NAME_LENGTH} letters, digits, dots, dashes and underscores, and begins with a letter or digit."
        )
    key = ServiceKey.new(new_id())
    async with system_scope() as connection:
        if await connection.fetchval(CREATE, key.id, name, key.hash()) is None:
            raise ServiceKeyExists(f"There is a key {name} already, or there was one.")
        await _note(connection, "service_key.created", key.id, name)
    return key.text()


async def rotate_service_key(name: str, overlap: timedelta) -> Secret:
    """Give the key another secret, shown this once; the present one works for the overlap. Without any, the sessions that the key opened end too: who had
    stolen the secret may have opened them.

    Raises:
        NotFound: there is no such key, or it was revoked.
    """
    secret = os.urandom(32)
    async with system_scope() as connection:
        key_id = await connection.fetchval(ROTATE, name, hashlib.sha256(secret).digest(), overlap)
        if key_id is None:
            raise NotFound(f"There is no key {name} that works.")
        ended = [] if overlap else await end_sessions(connection, key_id)
        await _note(connection, "service_key.rotated", key_id, name, ended_sessions=len(ended), overlap_s=int(overlap.total_seconds()))
    await announce_revocations(ended)
    return ServiceKey(key_id, secret).text()


async def revoke_service_key(name: str) -> int:
    """End the key and all login sessions that it opened; gives how many. Its access tokens stop working at once.

    Raises:
        NotFound: there is no such key, or it was revoked.
    """
    async with system_scope() as connection:
        key_id = await connection.fetchval(REVOKE, name)
        if key_id is None:
            raise NotFound(f"There is no key {name} that works.")
        ended = await end_sessions(connection, key_id)
        await _note(connection, "service_key.revoked", key_id, name, ended_sessions=len(ended))
    await announce_revocations(ended)
    return len(ended)


async def list_service_keys() -> list[ServiceKeyFacts]:
    """All that there are and were, by name."""
    async with system_scope() as connection:
        return [msgspec.convert(dict(row), ServiceKeyFacts) for row in await connection.fetch(LIST)]


async def end_sessions(connection: Connection, service_key_id: UUID, tenant_id: UUID | None = None) -> list[UUID]:
    """End what the key opened, in one tenant or in all, in the caller's transaction. After the commit `announce_revocations` makes it known."""
    return [row["id"] for row in await connection.fetch(END_SESSIONS, service_key_id, tenant_id)]


async def announce_revocations(session_ids: list[UUID]) -> None:
    """Make known what was ended: from now on the sessions' access tokens are refused."""
    for session_id in session_ids:
        await announce_revocation(session_id)


async def _note(connection: Connection, action: Deed, key_id: UUID, name: str, **facts: int) -> None:
    await record(connection, None, "operator", action, {"service_key_id": key_id, "name": name, **facts})
