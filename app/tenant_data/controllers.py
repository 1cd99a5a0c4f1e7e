"""All that is kept of a tenant, over HTTP: erased, and given out."""

from litestar import Controller, delete
from litestar.di import NamedDependency
from litestar.params import JSONBody

from app.api.bodies import MAX_AUTH_BODY_BYTES
from app.api.problem_details import problems
from app.api.roles import Caller, Role
from app.auth.password_change import CurrentPasswordWrong
from app.auth.passwords import TooManySignIns
from app.errors import InvalidInput
from app.tenant_data import service
from app.tenant_data.schemas import TenantErasureIn


class TenantDataController(Controller):
    """The whole of the tenant that the token speaks for."""

    path = "/tenants/me"
    tags = ("Tenant",)

    @delete(
        opt={"role": Role.OWNER},
        operation_id="eraseTenant",
        summary="Erase the tenant",
        request_max_body_size=MAX_AUTH_BODY_BYTES,
        responses=problems(InvalidInput, CurrentPasswordWrong, TooManySignIns),
    )
    async def erase_tenant(self, caller: NamedDependency[Caller], data: JSONBody[TenantErasureIn]) -> None:
        """For good: from the answer on nothing of the tenant can be used, its keys and tokens least of all, and its rows go within seconds; of a very large shop within
        minutes. Users who belong to no other tenant go too. Whoever has a password gives it; who has none, gives the tenant's `name`. A bot may ask for the latter only.
        """
        await service.erase_tenant(caller, data)
