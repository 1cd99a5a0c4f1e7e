"""A user's own sessions and password over HTTP."""

from uuid import UUID

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody

from app.api.bodies import MAX_AUTH_BODY_BYTES
from app.api.pagination import DEFAULT_LIMIT, Cursor, Limit, PageOut
from app.api.problem_details import problems
from app.api.roles import Caller, Role
from app.auth import sessions
from app.auth.controllers import device_of
from app.auth.password_change import CurrentPasswordWrong, PasswordNotSet, change_password
from app.auth.passwords import TooManySignIns
from app.auth.schemas import PasswordChangeIn, SessionOut, SignedInOut, SwitchTenantIn
from app.auth.sessions import Device
from app.auth.tenancies import switch_tenant
from app.errors import Forbidden, NotFound


class SessionController(Controller):
    """Where the user is signed in. A bot that acts for the user reaches the sessions of the tenant that it acts in."""

    path = "/auth"
    tags = ("Authentication",)
    opt = {"no_store": True}  # noqa: RUF012 - Litestar reads a class attribute
    dependencies = {"device": Provide(device_of, sync_to_thread=False)}  # noqa: RUF012 - likewise
    request_max_body_size = MAX_AUTH_BODY_BYTES

    @get("/sessions", opt={"role": Role.VIEWER}, operation_id="listSessions", summary="List the user's sessions")
    async def list_sessions(
        self, caller: NamedDependency[Caller], limit: FromQuery[Limit] = DEFAULT_LIMIT, cursor: FromQuery[Cursor | None] = None
    ) -> PageOut[SessionOut]:
        """Those that live, newest first, in all of the user's tenants. A user has at most 100 in a tenant: one more ends the one that was not used for the
        longest time.
        """
        return await sessions.list_sessions(caller, limit=limit, cursor=cursor)

    @delete(
        "/sessions/{session_id:uuid}",
        opt={"role": Role.VIEWER},
        operation_id="endSession",
        summary="End a session",
        responses=problems(NotFound),
    )
    async def end_session(self, caller: NamedDependency[Caller], session_id: FromPath[UUID]) -> None:
        """Its access tokens stop working at once. It may be the present one."""
        await sessions.end_session(caller, session_id)

    @post("/logout-all", opt={"role": Role.VIEWER}, operation_id="logoutAll", summary="Sign out everywhere", status_code=204)
    async def logout_all(self, caller: NamedDependency[Caller]) -> None:
        """Ends every session of the user in all tenants, the present one and those that bots opened too, at once."""
        await sessions.end_all_sessions(caller)

    @post(
        "/password",
        opt={"role": Role.VIEWER},
        operation_id="changePassword",
        summary="Change the password",
        status_code=204,
        responses=problems(CurrentPasswordWrong, PasswordNotSet, Forbidden, TooManySignIns),
    )
    async def change_password(self, caller: NamedDependency[Caller], data: JSONBody[PasswordChangeIn]) -> None:
        """All other sessions of the user end at once; the present one lives on. Wrong tries count as failed sign-ins. A user who came by Telegram has no
        password, and gets none this way. Bots may not do this.
        """
        await change_password(caller, data)

    @post(
        "/switch-tenant",
        # Tokens are stored nowhere.
        opt={"role": Role.VIEWER, "idempotency_key": False},
        operation_id="switchTenant",
        summary="Get tokens for another tenant",
        status_code=200,
        responses=problems(NotFound),
    )
    async def switch_tenant(
        self, caller: NamedDependency[Caller], data: JSONBody[SwitchTenantIn], device: NamedDependency[Device]
    ) -> SignedInOut:
        """A new session in another of the user's tenants, which `GET /tenants` lists. The present session stays as it is, so both can be used side by side."""
        return await switch_tenant(caller, data.tenant_id, device)
