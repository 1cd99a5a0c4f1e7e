"""Who calls, and what that caller may do. A handler names its role as data, `opt={"role": Role.VIEWER}`; app.auth checks it."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from uuid import UUID

import msgspec


class Role(StrEnum):
    """What a member may do: an owner all, a viewer only read."""

    OWNER = "owner"
    VIEWER = "viewer"

    def may_act_as(self, needed: "Role") -> bool:
        return self is Role.OWNER or self is needed


class Caller(msgspec.Struct, frozen=True):
    """Whom the token of a request speaks for. The tenant comes from there alone, never from a body, path or query."""

    user_id: UUID
    tenant_id: UUID
    session_id: UUID
    role: Role
    service_key_id: UUID | None = None
    """The bot that acts for the user, with tokens that it got by its own key."""

    @property
    def actor(self) -> str:
        """Who acts, as the audit log names it; whom for, the log knows beside it."""
        return f"user:{self.user_id}" if self.service_key_id is None else f"service:{self.service_key_id}"


class ServiceCaller(msgspec.Struct, frozen=True):
    """A bot that calls with its own key, for no tenant: only handlers with `opt={"service": True}` are open to it.

    `secret_hash` is of the secret that it gave, which may be replaced while the request is under way.
    """

    service_key_id: UUID
    secret_hash: bytes

    @property
    def actor(self) -> str:
        return f"service:{self.service_key_id}"


class Admission(msgspec.Struct, frozen=True):
    """How long an answer that goes on may do so: until the access token ends at `expires_at`, in seconds since 1970, or its login session before that.

    `is_live` raises `Unavailable` where nobody can tell at present.
    """

    expires_at: float
    is_live: Callable[[], Awaitable[bool]]
