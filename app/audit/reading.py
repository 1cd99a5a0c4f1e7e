"""Who did what, for a tenant's owners."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from app.api.pagination import PageOut, decode_cursor, encode_cursor
from app.audit.schemas import ActorKind, ActorOut, AuditEntryOut
from app.database import tenant_scope

# An id begins with its time, so the newest is the largest.
ENTRIES = """
    SELECT id, occurred_at, actor, on_behalf_of, action, facts, request_id, ip_address
      FROM audit_log
     WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3::varchar IS NULL OR action = $3)
       AND ($4::timestamptz IS NULL OR occurred_at >= $4)
     ORDER BY id DESC LIMIT $5
"""


async def list_entries(
    tenant_id: UUID, *, action: str | None, since: datetime | None, limit: int, cursor: str | None
) -> PageOut[AuditEntryOut]:
    """The newest first.

    Raises:
        InvalidInput: the cursor belongs to another query.
    """
    query = ("audit log", tenant_id, action, since)
    [before] = decode_cursor(cursor, query, (UUID,)) if cursor is not None else [None]
    async with tenant_scope(tenant_id) as connection:
        rows = await connection.fetch(ENTRIES, tenant_id, before, action, since, limit + 1)
    items = [_entry(row) for row in rows[:limit]]
    return PageOut(items, encode_cursor(query, (items[-1].id,)) if len(rows) > limit else None)


def _entry(row: Any) -> AuditEntryOut:
    kind, _, actor_id = row["actor"].partition(":")
    subject: str | None = row["on_behalf_of"]
    return AuditEntryOut(
        id=row["id"],
        occurred_at=row["occurred_at"],
        actor=ActorOut(ActorKind(kind), UUID(actor_id) if actor_id else None),
        on_behalf_of=UUID(subject.partition(":")[2]) if subject else None,
        action=row["action"],
        facts=msgspec.json.decode(row["facts"]),
        request_id=row["request_id"],
        ip_address=row["ip_address"],
    )
