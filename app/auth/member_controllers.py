"""A user's tenants, and a tenant's users, over HTTP."""

from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.api.bodies import MAX_AUTH_BODY_BYTES
from app.api.pagination import DEFAULT_LIMIT, Cursor, Limit, PageOut
from app.api.problem_details import problems
from app.api.roles import Caller, Role
from app.auth import members, tenancies
from app.auth.members import AlreadyMember, LastOwner, TooManyMembers, UserUnknown
from app.auth.passwords import TooManySignIns
from app.auth.schemas import MemberIn, MemberOut, MemberPatch, TenancyOut, TenantIn
from app.auth.service import EmailTaken
from app.auth.tenancies import TooManyTenants
from app.errors import NotFound
from app.tenants.schemas import TenantOut


class TenancyController(Controller):
    """All tenants of the user."""

    path = "/tenants"
    tags = ("Tenant",)

    @get(opt={"role": Role.VIEWER}, operation_id="listTenants", summary="List the user's tenants")
    async def list_tenants(
        self, caller: NamedDependency[Caller], limit: FromQuery[Limit] = DEFAULT_LIMIT, cursor: FromQuery[Cursor | None] = None
    ) -> PageOut[TenancyOut]:
        """With the user's role in each, the oldest first. A bot sees those that it may act for."""
        return await tenancies.list_tenants(caller, limit=limit, cursor=cursor)

    @post(
        opt={"role": Role.VIEWER},
        operation_id="createTenant",
        summary="Make another tenant",
        responses=problems(TooManyTenants),
        response_headers=[
            ResponseHeader(name="Location", description="Where the tenant is, for tokens that speak for it.", documentation_only=True)
        ],
    )
    async def create_tenant(self, caller: NamedDependency[Caller], data: JSONBody[TenantIn]) -> Response[TenantOut]:
        """The user is its owner, whatever the role in the present tenant. To get into it, give its `id` to `POST /auth/switch-tenant`."""
        tenant = await tenancies.add_tenant(caller, data)
        return Response(tenant, status_code=201, headers={"Location": "/api/v1/tenants/me"})


class MemberController(Controller):
    """The users of the tenant that the token speaks for."""

    path = "/tenants/me/users"
    tags = ("Tenant",)
    request_max_body_size = MAX_AUTH_BODY_BYTES

    @get(opt={"role": Role.VIEWER}, operation_id="listMembers", summary="List the tenant's users")
    async def list_members(
        self, tenant_id: NamedDependency[UUID], limit: FromQuery[Limit] = DEFAULT_LIMIT, cursor: FromQuery[Cursor | None] = None
    ) -> PageOut[MemberOut]:
        """With the role of each."""
        return await members.list_members(tenant_id, limit=limit, cursor=cursor)

    @post(
        opt={"role": Role.OWNER},
        operation_id="addMember",
        summary="Add a user to the tenant",
        responses=problems(UserUnknown, EmailTaken, AlreadyMember, TooManyMembers, TooManyTenants, TooManySignIns),
        response_headers=[ResponseHeader(name="Location", description="Where the member can be changed.", documentation_only=True)],
    )
    async def add_member(self, caller: NamedDependency[Caller], data: JSONBody[MemberIn]) -> Response[MemberOut]:
        """By `email` alone a user who exists; by `email` and `password` a new one, who should change the password; by `telegram_user_id` whoever has that account.
        A tenant has 100 members at most, and a user is a member of 100 tenants at most.
        """
        member = await members.add_member(caller, data)
        return Response(member, status_code=201, headers={"Location": f"/api/v1/tenants/me/users/{member.id}"})

    @patch(
        "/{user_id:uuid}",
        opt={"role": Role.OWNER},
        operation_id="changeRole",
        summary="Change a member's role",
        responses=problems(NotFound, LastOwner),
    )
    async def change_role(self, caller: NamedDependency[Caller], user_id: FromPath[UUID], data: JSONBody[MemberPatch]) -> MemberOut:
        """At once: the member's sessions in the tenant end, and the next sign-in has the new role. The last owner can't become a viewer."""
        return await members.change_role(caller, user_id, data.role)

    @delete(
        "/{user_id:uuid}",
        opt={"role": Role.OWNER},
        operation_id="removeMember",
        summary="Remove a user from the tenant",
        responses=problems(NotFound, LastOwner),
    )
    async def remove_member(self, caller: NamedDependency[Caller], user_id: FromPath[UUID]) -> None:
        """The user's sessions in the tenant end at once. The last owner can't be removed."""
        await members.remove_member(caller, user_id)
