"""Writing down who did what, in the transaction of the deed: the one is stored exactly if the other is."""

from collections.abc import Mapping
from contextvars import ContextVar
from uuid import UUID

import msgspec
import structlog

from app.audit.deeds import Deed
from app.database import Connection
from app.ids import new_id

caller_address: ContextVar[str | None] = ContextVar("caller_address", default=None)
"""Where the present request comes from; the authentication sets it. None outside of requests."""

subject: ContextVar[str | None] = ContextVar("subject", default=None)
"""Whom the service that makes the present request acts for, as `user:<id>`; the authentication sets it. None where users act themselves."""

RECORD = """
    INSERT INTO audit_log (id, tenant_id, actor, on_behalf_of, action, facts, request_id, ip_address, occurred_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())
"""


async def record(
    connection: Connection, tenant_id: UUID | None, actor: str, action: Deed, facts: Mapping[str, object] | None = None
) -> None:
    """Add an entry to the tenant's log, with the id and the address of the present request.

    Args:
        tenant_id: None for a deed that concerns no tenant, or an erased one; then in `system_scope()`.
        actor: `user:<id>`, `service:<id>`, `operator` or `system`.
        facts: what a reader needs to know besides; never a secret.
    """
    await connection.execute(
        RECORD,
        new_id(),
        tenant_id,
        actor,
        subject.get(),
        action,
        # What JSON doesn't know is written as its text; a secret masks itself there.
        msgspec.json.encode(facts or {}, enc_hook=str).decode(),
        structlog.contextvars.get_contextvars().get("request_id"),
        caller_address.get(),
    )
