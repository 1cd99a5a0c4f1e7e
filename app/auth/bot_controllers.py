"""Bots over HTTP: what they call with their service keys, their Mini Apps, and who lets them act."""

from uuid import UUID

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody

from app.api.bodies import MAX_AUTH_BODY_BYTES
from app.api.problem_details import problems
from app.api.roles import Caller, Role, ServiceCaller
from app.auth import linking, telegram
from app.auth.controllers import device_of
from app.auth.init_data import InitDataExpired, InitDataInvalid
from app.auth.schemas import ServiceLinkIn, ServiceLinkOut, SignedInOut, TelegramSignInIn, WebAppSignInIn
from app.auth.sessions import Device
from app.auth.telegram import InitDataUsed, TelegramNotConfigured, TelegramUserUnknown
from app.errors import Forbidden, NotFound


class TelegramController(Controller):
    """From a Telegram user to tokens."""

    path = "/auth/telegram"
    tags = ("Authentication",)
    opt = {"no_store": True}  # noqa: RUF012 - Litestar reads a class attribute
    dependencies = {"device": Provide(device_of, sync_to_thread=False)}  # noqa: RUF012 - likewise
    request_max_body_size = MAX_AUTH_BODY_BYTES

    @post(
        opt={"service": True},
        operation_id="signInByService",
        summary="Get tokens for a bot's seller",
        responses={200: ResponseSpec(SignedInOut, description="The seller was known.")} | problems(Forbidden, NotFound),
    )
    async def sign_in_by_service(
        self, service: NamedDependency[ServiceCaller], data: JSONBody[TelegramSignInIn], device: NamedDependency[Device]
    ) -> Response[SignedInOut]:
        """With a service key. A seller whom the bot brings for the first time gets a tenant, of which it is the owner; that is 201, and needs `company_name` and
        `marketplace_type`. Later the tokens are for the first tenant that the seller made, or for `tenant_id`. A bot reaches the tenants that it brought and
        those whose owner linked it; all else is as if it weren't there. What it does with the tokens is logged as the bot's deed for that user.
        """
        signed_in, made = await telegram.sign_in_by_service(service, data, device)
        return Response(signed_in, status_code=201 if made else 200)

    @post(
        "/web-app",
        opt={"public": True, "limit_by_address": True},
        operation_id="signInByWebApp",
        summary="Sign in from a Mini App",
        status_code=200,
        responses=problems(InitDataInvalid, InitDataExpired, InitDataUsed, TelegramUserUnknown, TelegramNotConfigured),
    )
    async def sign_in_by_web_app(self, data: JSONBody[WebAppSignInIn], device: NamedDependency[Device]) -> SignedInOut:
        """With the `initData` of a Telegram Mini App, which is good for an hour and for one sign-in. The tokens are the user's own, for the first tenant that the
        user made, or for `tenant_id`.
        """
        return await telegram.sign_in_by_web_app(telegram.init_data_verifier(), data, device)


class ServiceLinkController(Controller):
    """The bots that may act for the tenant."""

    path = "/tenants/me/services"
    tags = ("Tenant",)

    @get(opt={"role": Role.VIEWER}, operation_id="listServices", summary="List the bots that may act for the tenant")
    async def list_services(self, tenant_id: NamedDependency[UUID]) -> list[ServiceLinkOut]:
        """The oldest first; the one that brought the tenant is among them."""
        return await linking.list_links(tenant_id)

    @post(
        opt={"role": Role.OWNER},
        operation_id="linkService",
        summary="Let a bot act for the tenant",
        responses={200: ResponseSpec(ServiceLinkOut, description="It could already.")} | problems(NotFound),
    )
    async def link_service(self, caller: NamedDependency[Caller], data: JSONBody[ServiceLinkIn]) -> Response[ServiceLinkOut]:
        """From now on it gets tokens here, for the tenant's members on Telegram, each with the role that the member has."""
        link, added = await linking.link_service(caller, data.service_key_id)
        return Response(link, status_code=201 if added else 200)

    @delete("/{service_key_id:uuid}", opt={"role": Role.OWNER}, operation_id="unlinkService", summary="Let a bot act no more")
    async def unlink_service(self, caller: NamedDependency[Caller], service_key_id: FromPath[UUID]) -> None:
        """All sessions that it opened in the tenant end at once."""
        await linking.unlink_service(caller, service_key_id)
