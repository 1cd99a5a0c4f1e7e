"""The audit log as it crosses the wire."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from uuid import UUID

from msgspec import Meta

from app.api.structs import Out

Action = Annotated[
    str, Meta(min_length=1, max_length=50, pattern=r"^[a-z_]+\.[a-z_]+$", description="Only these deeds.", examples=["credentials.updated"])
]
"""As a parameter. It need not be one that we know: what is logged grows."""


class ActorKind(StrEnum):
    """Who may do something: a member, a bot with a service key, whoever runs the installation, or the service by itself."""

    USER = "user"
    SERVICE = "service"
    OPERATOR = "operator"
    SYSTEM = "system"


class ActorOut(Out, frozen=True):
    """`id` is the user's or the service key's; an operator and the system have none."""

    kind: ActorKind
    id: UUID | None


class AuditEntryOut(Out, frozen=True, kw_only=True):
    """One deed. `on_behalf_of` is the user for whom a bot did it; `facts` say what a reader needs to know besides, and never hold a secret.
    `request_id` is that of the answer to the request, if there was one."""

    EXAMPLE: ClassVar[dict[str, object]] = {
        "id": "019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d5e",
        "occurred_at": "2026-11-22T10:00:00Z",
        "actor": {"kind": "service", "id": "019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d5f"},
        "on_behalf_of": "019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d60",
        "action": "credentials.updated",
        "facts": {"provider": "wildberries", "status": "valid"},
        "request_id": "019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d61",
        "ip_address": "203.0.113.7",
    }

    id: UUID
    occurred_at: datetime
    actor: ActorOut
    on_behalf_of: UUID | None
    action: str
    facts: dict[str, Any]
    request_id: str | None
    ip_address: str | None
