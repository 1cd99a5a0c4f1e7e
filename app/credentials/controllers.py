"""Credentials over HTTP."""

from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET

from app.api.problem_details import problems
from app.api.roles import Caller, Role
from app.credentials import service
from app.credentials.schemas import CredentialOut, CredentialsPatch, CredentialsUpdated
from app.credentials.tables import Provider
from app.errors import CredentialsMissing, FieldError, InvalidInput
from app.marketplaces.errors import CredentialsRejected, MarketplaceDown, RateLimited


class CredentialController(Controller):
    """What a seller entrusts to us. A secret comes in and never goes out."""

    path = "/tenants/me/credentials"
    tags = ("Credentials",)
    opt = {"no_store": True}  # noqa: RUF012 - Litestar reads a class attribute

    @get(opt={"role": Role.VIEWER}, operation_id="listCredentials", summary="What is known of the keys")
    async def list_credentials(self, tenant_id: NamedDependency[UUID]) -> list[CredentialOut]:
        """One entry per provider, configured or not; a key shows only its first and last letters."""
        return await service.list_credentials(tenant_id)

    @patch(
        opt={"role": Role.OWNER}, operation_id="updateCredentials", summary="Give or replace a key", responses=problems(CredentialsRejected)
    )
    async def update_credentials(
        self, caller: NamedDependency[Caller], data: JSONBody[CredentialsPatch], verify: FromQuery[bool] = True
    ) -> CredentialsUpdated:
        """The key is read, then shown to the marketplace once: one that it rejects is 422 `credentials_rejected` and nothing changes. If the
        marketplace can't be reached, the key is stored as `unverified` and checked by the next sync. The first valid key starts a sync.
        """
        if data.wildberries_api_key is UNSET:
            raise InvalidInput("Nothing to change.", (FieldError("", "Give at least one key, such as wildberries_api_key"),))
        credentials = await service.update_credentials(caller.tenant_id, caller.actor, data.wildberries_api_key, verify=verify)
        return CredentialsUpdated("Credentials updated successfully", credentials)

    @post(
        "/{provider:str}/verify",
        opt={"role": Role.OWNER},
        operation_id="verifyCredentials",
        summary="Check a stored key now",
        status_code=200,
        responses=problems(CredentialsMissing, RateLimited, MarketplaceDown),
    )
    async def verify_credentials(self, tenant_id: NamedDependency[UUID], provider: FromPath[Provider]) -> CredentialOut:
        """Asks the marketplace whether it accepts the key, and keeps the answer."""
        return await service.verify_credentials(tenant_id, provider)

    @delete(
        "/{provider:str}",
        opt={"role": Role.OWNER},
        operation_id="deleteCredentials",
        summary="Take a key back",
        responses=problems(CredentialsMissing),
    )
    async def delete_credentials(self, caller: NamedDependency[Caller], provider: FromPath[Provider]) -> None:
        """The key is forgotten, its sync called off and its schedule ended; what was copied stays."""
        await service.delete_credentials(caller.tenant_id, caller.actor, provider)
