"""Credentials over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.api.problem_details import problems
from app.api.roles import Caller, Role
from app.credentials import service
from app.credentials.links import create_link
from app.credentials.schemas import CredentialOut, CredentialsPatch, CredentialsUpdated, LinkIn, LinkOut
from app.credentials.tables import Provider
from app.credentials.verification import KeysRejected
from app.errors import CredentialsMissing
from app.marketplaces.errors import MarketplaceDown, RateLimited
from app.settings import get_settings


class CredentialController(Controller):
    """What a seller entrusts to us. A secret comes in and never goes out."""

    path = "/tenants/me/credentials"
    tags = ("Credentials",)
    opt = {"no_store": True}  # noqa: RUF012 - Litestar reads a class attribute

    @get(opt={"role": Role.VIEWER}, operation_id="listCredentials", summary="What is known of the keys")
    async def list_credentials(self, tenant_id: NamedDependency[UUID]) -> list[CredentialOut]:
        """One entry per provider, configured or not; a key shows only its first and last letters."""
        return await service.list_credentials(tenant_id)

    @patch(opt={"role": Role.OWNER}, operation_id="updateCredentials", summary="Give or replace keys", responses=problems(KeysRejected))
    async def update_credentials(
        self, caller: NamedDependency[Caller], data: JSONBody[CredentialsPatch], verify: FromQuery[bool] = True
    ) -> CredentialsUpdated:
        """Each key is read, then shown to its marketplace once. If one is rejected, that is 422 `credentials_rejected`, which names it, and nothing changes.
        If a marketplace can't be reached, its key is stored as `unverified` and checked by the next sync. The first valid key starts a sync.
        """
        credentials = await service.update_credentials(caller.tenant_id, caller.actor, data, verify=verify)
        return CredentialsUpdated("Credentials updated successfully", credentials)

    @post("/links", opt={"role": Role.OWNER}, operation_id="createCredentialLink", summary="Make a page for giving a key")
    async def create_link(self, request: Request[Any, Any, Any], caller: NamedDependency[Caller], data: JSONBody[LinkIn]) -> LinkOut:
        """For 15 minutes the seller can give the provider's key there, in a browser and in no chat. It works once, without JavaScript, in Russian and English,
        says where the key is made, and checks it as `PATCH` does. Five pages of a tenant are open at most; one more takes the place of the oldest.
        """
        base_url = get_settings().public_url or str(request.base_url).rstrip("/")
        return await create_link(caller.tenant_id, caller.actor, data.provider, base_url)

    @post(
        "/{provider:str}/verify",
        opt={"role": Role.OWNER},
        operation_id="verifyCredentials",
        summary="Check a stored key now",
        status_code=200,
        responses=problems(CredentialsMissing, RateLimited, MarketplaceDown),
    )
    async def verify_credentials(self, tenant_id: NamedDependency[UUID], provider: FromPath[Provider]) -> CredentialOut:
        """Asks the marketplace whether it accepts the key, and keeps the answer. The first time that it does starts a sync.
        Google is not asked yet: the account is read again, and stays `unverified`."""
        return await service.verify_credentials(tenant_id, provider)

    @delete(
        "/{provider:str}",
        opt={"role": Role.OWNER},
        operation_id="deleteCredentials",
        summary="Take a key back",
        responses=problems(CredentialsMissing),
    )
    async def delete_credentials(self, caller: NamedDependency[Caller], provider: FromPath[Provider]) -> None:
        """The key is forgotten and its sync called off; what was copied stays, and so does the other marketplace's schedule."""
        await service.delete_credentials(caller.tenant_id, caller.actor, provider)
