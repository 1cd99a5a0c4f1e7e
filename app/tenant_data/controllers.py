"""All that is kept of a tenant, over HTTP: erased, and given out."""

from litestar import Controller, delete, get
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from litestar.types import ASGIApp

from app.api.bodies import MAX_AUTH_BODY_BYTES
from app.api.problem_details import problems
from app.api.roles import Admission, Caller, Role
from app.api.streams import Stream
from app.auth.password_change import CurrentPasswordWrong
from app.auth.passwords import TooManySignIns
from app.errors import InvalidInput
from app.tenant_data import service
from app.tenant_data.export import ExportRunning, export_tenant
from app.tenant_data.schemas import TenantErasureIn

MEDIA_TYPE = "application/zip"


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

    @get(
        "/export",
        opt={"role": Role.OWNER, "no_store": True},
        operation_id="exportTenant",
        summary="Export all data of the tenant",
        media_type=MEDIA_TYPE,
        responses={200: ResponseSpec(bytes, description="The zip, while it is made.", media_type=MEDIA_TYPE)} | problems(ExportRunning),
        response_headers=[ResponseHeader(name="Content-Disposition", description="With a name for the file.", documentation_only=True)],
    )
    async def export_tenant(self, caller: NamedDependency[Caller], admission: NamedDependency[Admission]) -> ASGIApp:
        """A zip with a file of JSON lines for each kind of thing, and a `README.txt` that says what is in them. Keys, secrets and whatever is made of them are in none.

        It is sent while it is made, so it has no `Content-Length`, and one that ends too soon lacks the list of its files: then the session was ended, the reader took
        nothing for a minute, or the service was restarted. Ask again. One export of a tenant at a time is made by a process.
        """
        export = await export_tenant(caller, admission)
        return Stream(export.pieces, ((b"content-type", MEDIA_TYPE.encode()), (b"content-disposition", export.disposition.encode())))
