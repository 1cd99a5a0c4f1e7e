"""One-time links: a page on which a seller gives a key in a browser, so that it never stands in a chat.

The address is the only thing that has the token; its hash is stored. A link works for 15 minutes, until a key was stored by it, and only as long as whoever
made it still owns the tenant, and the bot that acted for them is still linked to it.
"""

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
import structlog

from app.api.roles import Role
from app.audit.service import record as audit
from app.audit.service import subject
from app.credentials.schemas import LinkOut
from app.credentials.tables import Provider
from app.database import Connection, system_scope, tenant_scope
from app.errors import NotFound
from app.idempotency.reservations import keep_answer
from app.ids import new_id
from app.redis import REDIS_ERRORS, get_redis
from app.tenants.service import lock_tenant

LIFETIME: Final = timedelta(minutes=15)
MOST_OPEN: Final = 5
"""Of a tenant at once; one more takes the place of the oldest."""
MOST_ATTEMPTS: Final = 10
"""Keys that may be tried by one link."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits

ADD = """
    INSERT INTO credential_links (id, tenant_id, provider, token_hash, created_by, on_behalf_of, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, now(), now() + $7) RETURNING expires_at
"""

MAKE_ROOM = """
    DELETE FROM credential_links WHERE tenant_id = $1 AND used_at IS NULL AND id NOT IN (
        SELECT id FROM credential_links WHERE tenant_id = $1 AND used_at IS NULL AND expires_at > now() ORDER BY created_at DESC, id DESC LIMIT $2)
"""

FIND = f"""
    SELECT link.id, link.tenant_id, link.provider, link.created_by, link.on_behalf_of, tenants.name AS company_name, tenants.language
      FROM credential_links AS link JOIN tenants ON tenants.id = link.tenant_id
     WHERE token_hash = $1 AND used_at IS NULL AND expires_at > now()
       AND EXISTS (SELECT FROM memberships WHERE memberships.tenant_id = link.tenant_id AND role = '{Role.OWNER.value}'
                      AND 'user:' || user_id = coalesce(link.on_behalf_of, link.created_by))
       AND (link.created_by NOT LIKE 'service:%'
            OR EXISTS (SELECT FROM service_links JOIN service_keys ON service_keys.id = service_key_id
                        WHERE service_links.tenant_id = link.tenant_id AND revoked_at IS NULL AND 'service:' || service_keys.id = link.created_by))
"""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class LinkGone(NotFound):
    """The link is unknown, ended, used or called off: which of these, nobody is told."""

    def __init__(self) -> None:
        super().__init__("This link does not work any more.")


class Link(msgspec.Struct, frozen=True):
    """An open link. `created_by` and `on_behalf_of` are as the audit log names them."""

    id: UUID
    tenant_id: UUID
    provider: Provider
    created_by: str
    on_behalf_of: str | None
    company_name: str
    language: str


async def create_link(tenant_id: UUID, actor: str, provider: Provider, base_url: str) -> LinkOut:
    """Make a link to the page at `base_url`. The token is nowhere else."""
    token = secrets.token_urlsafe(32)
    async with tenant_scope(tenant_id) as connection:
        await lock_tenant(connection, tenant_id)
        await connection.execute(MAKE_ROOM, tenant_id, MOST_OPEN - 1)
        expires_at = await connection.fetchval(ADD, new_id(), tenant_id, provider, _hash(token), actor, subject.get(), LIFETIME)
        await audit(connection, tenant_id, actor, "credentials.link_created", {"provider": provider})
        link = LinkOut(f"{base_url}/connect/{token}", expires_at)
        await keep_answer(connection, link)
    return link


async def find_link(token: str) -> Link:
    """The open link of the token.

    Raises:
        LinkGone: there is none.
    """
    if not _TOKEN.fullmatch(token):
        raise LinkGone
    # Whose link it is, is not known before.
    async with system_scope() as connection:
        row = await connection.fetchrow(FIND, _hash(token))
    if row is None:
        raise LinkGone
    return msgspec.convert(dict(row), Link)


async def count_attempt(link: Link) -> None:
    """Call it before a key is tried. While Redis is away nobody counts, and only the window of the address holds.

    Raises:
        LinkGone: there were enough; the link is called off.
    """
    name = f"credentials:attempts:{link.id}"
    try:
        attempts = int(await get_redis().incr(name))
        await get_redis().expire(name, LIFETIME)
    except REDIS_ERRORS as error:
        log.warning("credentials.attempts_uncounted", error=str(error) or type(error).__name__)
        return
    if attempts > MOST_ATTEMPTS:
        async with tenant_scope(link.tenant_id) as connection:
            await connection.execute("DELETE FROM credential_links WHERE id = $1", link.id)
        raise LinkGone


def use_once(link: Link) -> Callable[[Connection], Awaitable[None]]:
    """What marks the link as used, in the transaction that stores the key. It raises `LinkGone` where another one was quicker."""

    async def use(connection: Connection) -> None:
        tag = await connection.execute("UPDATE credential_links SET used_at = now() WHERE id = $1 AND used_at IS NULL", link.id)
        if tag == "UPDATE 0":
            raise LinkGone
        await audit(connection, link.tenant_id, link.created_by, "credentials.link_used", {"provider": link.provider})

    return use


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
