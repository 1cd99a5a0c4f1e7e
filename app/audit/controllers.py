"""The audit log over HTTP."""

from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from app.api.pagination import DEFAULT_LIMIT, Cursor, Limit, PageOut
from app.api.roles import Role
from app.api.structs import Instant
from app.audit import reading
from app.audit.schemas import Action, AuditEntryOut


class AuditController(Controller):
    """Who did what in the tenant. Nobody can change it."""

    path = "/tenants/me/audit-log"
    tags = ("Tenant",)
    opt = {"no_store": True}  # noqa: RUF012 - Litestar reads a class attribute

    @get(opt={"role": Role.OWNER}, operation_id="listAuditLog", summary="List who did what")
    async def list_audit_log(
        self,
        tenant_id: NamedDependency[UUID],
        action: FromQuery[Action | None] = None,
        since: FromQuery[Instant | None] = None,
        limit: FromQuery[Limit] = DEFAULT_LIMIT,
        cursor: FromQuery[Cursor | None] = None,
    ) -> PageOut[AuditEntryOut]:
        """The newest first: sign-ins and failures, changes of keys, members, settings and webhooks, and what bots and operators did."""
        return await reading.list_entries(tenant_id, action=action, since=since, limit=limit, cursor=cursor)
