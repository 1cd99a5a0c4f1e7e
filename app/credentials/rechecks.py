"""Stored keys, shown to their marketplace again once a day, where that is what the marketplace wants (`ASKED_DAILY`).

The scheduler rings, a worker asks, one key after the other, and rings again while there are more.
"""

from datetime import timedelta
from uuid import UUID

import structlog

from app.credentials.jobs import CheckKeys
from app.credentials.service import verify_credentials
from app.credentials.tables import Provider
from app.credentials.verification import ASKED_DAILY
from app.database import system_scope
from app.errors import CredentialsMissing
from app.jobs import enqueue
from app.marketplaces.errors import MarketplaceDown, MarketplaceError, RateLimited
from app.redis import REDIS_ERRORS, get_redis
from app.vault import CredentialsUnreadable

BATCH = 20
"""A few seconds' work, so that it holds up no worker that is to stop."""

PAUSE = timedelta(hours=1)
"""After an attempt that told nothing; for that long no other worker asks, either."""

# A day, give or take an hour by a hash, so that keys that were given together aren't asked about together. A key that nobody was asked
# about yet is due at once. A rejected one is not shown again.
IS_DUE = """
    provider = ANY ($1) AND status <> 'invalid'
    AND (verified_at IS NULL OR verified_at < now() - make_interval(secs => 82800 + mod(abs(hashtext(id::text)::bigint), 7200)))
"""

# In no order, so that keys that can't be asked about now don't keep others waiting.
DUE = f"SELECT tenant_id, provider FROM credentials WHERE {IS_DUE} ORDER BY random() LIMIT $2"

log = structlog.get_logger(__name__)


async def ring_for_rechecks() -> bool:
    """Wake a worker if a key is due."""
    async with system_scope() as connection:
        due: bool = await connection.fetchval(f"SELECT EXISTS (SELECT FROM credentials WHERE {IS_DUE})", list(ASKED_DAILY))
    if due:
        await enqueue(CheckKeys())
    return due


async def recheck_keys() -> int:
    """Ask about the keys that are due, at most `BATCH`, and keep the answers; if there are more, ring again. Gives how many were asked about. Several workers
    may do so at once."""
    async with system_scope() as connection:
        rows = await connection.fetch(DUE, list(ASKED_DAILY), BATCH)
    asked = 0
    for row in rows:
        tenant_id, provider = row["tenant_id"], Provider(row["provider"])
        if not await _claim(tenant_id, provider):
            continue
        asked += 1
        try:
            await verify_credentials(tenant_id, provider)
        except (MarketplaceDown, RateLimited) as error:
            # It has trouble of its own. The others are asked about when the scheduler rings again.
            log.info("credentials.recheck_put_off", provider=provider, code=error.code)
            return asked
        except CredentialsMissing:
            continue  # taken back meanwhile
        except (MarketplaceError, CredentialsUnreadable) as error:
            log.warning("credentials.recheck_failed", tenant_id=str(tenant_id), provider=provider, code=error.code)
    if asked and len(rows) == BATCH:
        await enqueue(CheckKeys())
    return asked


async def _claim(tenant_id: UUID, provider: Provider) -> bool:
    """False: somebody asked about it within `PAUSE`, or Redis can't tell."""
    try:
        return bool(await get_redis().set(f"credentials:asked:{tenant_id}:{provider}", 1, nx=True, ex=PAUSE))
    except REDIS_ERRORS:
        return False
