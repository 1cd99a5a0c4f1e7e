"""The caller's own tenant over HTTP."""

from uuid import UUID

from litestar import Controller, get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody

from app.api.roles import Caller, Role
from app.tenants import service
from app.tenants.schemas import TenantOut, TenantPatch


class TenantController(Controller):
    """The seller's company that the token speaks for."""

    path = "/tenants/me"
    tags = ("Tenant",)

    @get(opt={"role": Role.VIEWER}, operation_id="getTenant", summary="Look at the tenant")
    async def get_tenant(self, tenant_id: NamedDependency[UUID]) -> TenantOut:
        """The company, its settings, and when its next sync is due."""
        return await service.get_tenant(tenant_id)

    @patch(opt={"role": Role.OWNER}, operation_id="updateTenant", summary="Change settings of the tenant")
    async def update_tenant(self, caller: NamedDependency[Caller], data: JSONBody[TenantPatch]) -> TenantOut:
        """What is left out stays as it is. With a new interval, or with the sync switched on again, the next sync is at most one interval away."""
        return await service.update_tenant(caller.tenant_id, caller.actor, data)
