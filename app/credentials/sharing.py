"""One shop in two tenants: whoever has a key of it is told that somebody else has one, and never who.

Only keys that a marketplace accepted count. What an unverified key says of its shop is a claim that anybody can write, and a notice of it would tell a
stranger which shops are here.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextvars import Context
from uuid import UUID

from app.audit.service import record as audit
from app.credentials import messages
from app.credentials.tables import Provider
from app.database import Connection, system_scope
from app.events.jobs import DeliverEvents
from app.events.outbox import record
from app.events.types import CredentialsShared
from app.jobs import enqueue
from app.marketplaces.contract import Marketplace

BATCH = 100

COUNTS = "status IN ('valid', 'expiring')"

# In one order, so that no two reviews wait for each other; before the keys are read, so that nobody changes them meanwhile.
LOCK = """
    SELECT id FROM tenants
     WHERE id IN (SELECT tenant_id FROM credentials WHERE provider = $1 AND seller_id = $2)
     ORDER BY id FOR NO KEY UPDATE
"""

HOLDERS = f"""
    SELECT credentials.tenant_id, language, shared, {COUNTS} AS counts
      FROM credentials JOIN tenants ON tenants.id = credentials.tenant_id
     WHERE provider = $1 AND seller_id = $2
     ORDER BY tenants.id
"""

# One walk over all keys, whatever the planner knows of them: a look-up for each key becomes a walk for each while it knows nothing.
OUTDATED = f"""
    SELECT provider, seller_id FROM credentials
     WHERE seller_id IS NOT NULL
     GROUP BY provider, seller_id
    HAVING CASE WHEN count(*) FILTER (WHERE {COUNTS}) > 1 THEN bool_or(shared <> ({COUNTS})) ELSE bool_or(shared) END
     LIMIT $1
"""


async def review_sharing(shops: Iterable[tuple[Provider | Marketplace, str]]) -> None:
    """Find out again whether several tenants have keys of these shops (each a provider and the account's id there), and tell them if one more has.

    Call it after the commit of what may have changed it; if that is left out, `review_outdated_sharing` finds it.
    """
    # Outside of the present request, whose id and address would else stand in the logs of the other tenants.
    if await asyncio.create_task(_review_all(tuple(shops)), context=Context()):
        await enqueue(DeliverEvents())


async def review_outdated_sharing() -> int:
    """Do so for shops of which it is not known yet, at most `BATCH`; gives how many there were."""
    async with system_scope() as connection:
        rows = await connection.fetch(OUTDATED, BATCH)
    await review_sharing((Provider(row["provider"]), row["seller_id"]) for row in rows)
    return len(rows)


async def _review_all(shops: Sequence[tuple[Provider | Marketplace, str]]) -> bool:
    told = False
    for provider, seller_id in shops:
        async with system_scope() as connection:
            told |= await _review(connection, Provider(provider), seller_id)
    return told


async def _review(connection: Connection, provider: Provider, seller_id: str) -> bool:
    await connection.execute(LOCK, provider, seller_id)
    holders = await connection.fetch(HOLDERS, provider, seller_id)
    shared = sum(holder["counts"] for holder in holders) > 1
    one_more = shared and any(holder["counts"] and not holder["shared"] for holder in holders)
    for holder in holders:
        tenant_id: UUID = holder["tenant_id"]
        if holder["shared"] != (shared and holder["counts"]):
            await connection.execute(
                "UPDATE credentials SET shared = NOT shared WHERE tenant_id = $1 AND provider = $2", tenant_id, provider
            )
            action = "credentials.no_longer_shared" if holder["shared"] else "credentials.shared"
            await audit(connection, tenant_id, "system", action, {"provider": provider})
        if one_more and holder["counts"]:
            message = messages.shared(holder["language"], provider)
            await record(connection, tenant_id, CredentialsShared(tenant_id=tenant_id, provider=provider, message=message))
    return one_more
