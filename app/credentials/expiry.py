"""Keys that end: warned of in time, and called ended when they are. All of it is known without asking anybody.

Any number of schedulers may look at once; each key goes to one.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from app.credentials import messages
from app.credentials.service import end_credentials
from app.database import Connection, system_scope
from app.events.jobs import DeliverEvents
from app.events.outbox import record
from app.events.types import CredentialsExpiring
from app.jobs import enqueue
from app.marketplaces.contract import CredentialStatus, Marketplace

BATCH = 50

# A key that is given late gets the one warning that is due, not those that it missed. An unverified key keeps its status: nobody said yet that it is good.
DUE = """
    SELECT credentials.tenant_id, provider, status, expires_at, now() AS at, tenants.language, tenants.time_zone, due.days
      FROM credentials JOIN tenants ON tenants.id = credentials.tenant_id,
           LATERAL (SELECT CASE WHEN expires_at <= now() THEN 0
                                WHEN expires_at <= now() + interval '1 day' THEN 1
                                WHEN expires_at <= now() + interval '7 days' THEN 7
                                ELSE 30 END AS days) AS due
     WHERE expires_at <= now() + interval '30 days' AND status <> 'invalid' AND (due.days = 0 OR coalesce(warned_days, 31) > due.days)
     ORDER BY expires_at LIMIT $1
       FOR NO KEY UPDATE OF tenants, credentials SKIP LOCKED
"""

WARNED = """
    UPDATE credentials SET warned_days = $3, status = CASE WHEN status = $4 THEN $5 ELSE status END
     WHERE tenant_id = $1 AND provider = $2
"""


async def look_at_expiries() -> int:
    """Raise `credentials.expiring` 30, 7 and 1 days before a key ends, once each, and `credentials.invalid` when it has. Gives how many keys had something
    to be told, at most `BATCH`."""
    async with system_scope() as connection:
        rows = await connection.fetch(DUE, BATCH)
        for row in rows:
            if row["days"]:
                await _warn(connection, row)
            else:
                await _end(connection, row)
    if rows:
        await enqueue(DeliverEvents())
    return len(rows)


async def _warn(connection: Connection, row: Any) -> None:
    tenant_id: UUID = row["tenant_id"]
    expires_at: datetime = row["expires_at"]
    days_left = math.ceil((expires_at - row["at"]) / timedelta(days=1))
    await connection.execute(WARNED, tenant_id, row["provider"], row["days"], CredentialStatus.VALID, CredentialStatus.EXPIRING)
    ends_on = expires_at.astimezone(ZoneInfo(row["time_zone"])).date()
    event = CredentialsExpiring(
        tenant_id=tenant_id,
        provider=row["provider"],
        days_left=days_left,
        expires_at=expires_at.astimezone(UTC),
        message=messages.expiring(row["language"], row["provider"], ends_on, days_left),
    )
    await record(connection, tenant_id, event)


async def _end(connection: Connection, row: Any) -> None:
    ended_on = row["expires_at"].astimezone(ZoneInfo(row["time_zone"])).date()
    await end_credentials(
        connection, row["tenant_id"], Marketplace(row["provider"]),
        detail=f"The key ended on {ended_on}.", message=messages.expired(row["language"], row["provider"], ended_on),
    )  # fmt: skip
