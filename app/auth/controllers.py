"""Signing up, in and out over HTTP."""

from typing import Any

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody

from app.api.bodies import MAX_AUTH_BODY_BYTES
from app.api.problem_details import problems
from app.api.roles import Caller, Role
from app.auth import service
from app.auth.passwords import TooManySignIns
from app.auth.schemas import LoginIn, MeOut, RefreshTokenIn, RegisterIn, SignedInOut, TokenPairOut
from app.auth.service import EmailTaken, InvalidCredentials
from app.auth.sessions import Device, RefreshTokenExpired, RefreshTokenInvalid, RefreshTokenReused
from app.errors import Forbidden


def device_of(request: Request[Any, Any, Any]) -> Device:
    """Where a sign-in comes from."""
    user_agent = request.headers.get("user-agent")
    return Device(request.client.host if request.client else None, user_agent and user_agent[:200])


class AuthController(Controller):
    """From a password to tokens, and from tokens to nothing."""

    path = "/auth"
    tags = ("Authentication",)
    opt = {"no_store": True}  # noqa: RUF012 - Litestar reads a class attribute
    dependencies = {"device": Provide(device_of, sync_to_thread=False)}  # noqa: RUF012 - likewise
    request_max_body_size = MAX_AUTH_BODY_BYTES

    @post(
        "/register",
        opt={"public": True, "limit_by_address": True},
        operation_id="register",
        summary="Register a seller",
        responses=problems(EmailTaken, TooManySignIns),
    )
    async def register(self, data: JSONBody[RegisterIn], device: NamedDependency[Device]) -> SignedInOut:
        """Makes a tenant and its owner, and signs the owner in: both tokens are usable at once."""
        return await service.register(data, device)

    @post(
        "/login",
        opt={"public": True, "limit_by_address": True},
        operation_id="login",
        summary="Sign in",
        status_code=200,
        responses=problems(InvalidCredentials, Forbidden, TooManySignIns),
    )
    async def login(self, data: JSONBody[LoginIn], device: NamedDependency[Device]) -> SignedInOut:
        """A wrong password and an unknown address get the same answer, in the same time."""
        return await service.login(data, device)

    @post(
        "/refresh",
        opt={"public": True, "limit_by_address": True},
        operation_id="refresh",
        summary="Get a new token pair",
        status_code=200,
        responses=problems(RefreshTokenInvalid, RefreshTokenExpired, RefreshTokenReused),
    )
    async def refresh(self, data: JSONBody[RefreshTokenIn]) -> TokenPairOut:
        """Each refresh token works once. Using a replaced one again ends the whole session, except for a retry within 10 s, which gets a pair as
        the first try did.
        """
        return await service.refresh(data.refresh_token)

    @post(
        "/logout",
        opt={"public": True, "limit_by_address": True},
        operation_id="logout",
        summary="Sign out",
        status_code=204,
        responses=problems(RefreshTokenInvalid),
    )
    async def logout(self, data: JSONBody[RefreshTokenIn]) -> None:
        """Ends the session of the refresh token, which is all that is needed for it; its access tokens stop working at once."""
        await service.logout(data.refresh_token)

    @get("/me", opt={"role": Role.VIEWER}, operation_id="getMe", summary="Who am I")
    async def get_me(self, caller: NamedDependency[Caller]) -> MeOut:
        """The user, the tenant that the token speaks for, and the user's role there."""
        return await service.get_me(caller)
