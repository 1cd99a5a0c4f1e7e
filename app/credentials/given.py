"""Which keys a request gives."""

from contextlib import suppress
from uuid import UUID

from msgspec import UNSET

from app.credentials.schemas import CredentialsPatch
from app.credentials.store import Credentials, WildberriesCredentials, get_ozon_credentials
from app.errors import CredentialsMissing, FieldError, InvalidInput
from app.marketplaces.contract import Marketplace
from app.marketplaces.ozon.keys import OzonCredentials, OzonToken
from app.vault import CredentialsUnreadable


async def keys_in(tenant_id: UUID, patch: CredentialsPatch) -> dict[Marketplace, Credentials]:
    """The keys that the patch names.

    Raises:
        InvalidInput: half of one.
    """
    keys: dict[Marketplace, Credentials] = {}
    if patch.wildberries_api_key is not UNSET:
        keys[Marketplace.WILDBERRIES] = WildberriesCredentials(patch.wildberries_api_key)
    if patch.ozon_access_token is not UNSET:
        if patch.ozon_client_id is not UNSET or patch.ozon_api_key is not UNSET:
            raise wrong("ozon_access_token", "Give either this, or ozon_client_id and ozon_api_key")
        keys[Marketplace.OZON] = OzonToken(patch.ozon_access_token)
    elif patch.ozon_api_key is not UNSET:
        client_id = await _stored_client_id(tenant_id) if patch.ozon_client_id is UNSET else patch.ozon_client_id
        keys[Marketplace.OZON] = OzonCredentials(client_id, patch.ozon_api_key)
    elif patch.ozon_client_id is not UNSET:
        raise wrong("ozon_api_key", "Required with ozon_client_id")
    return keys


async def _stored_client_id(tenant_id: UUID) -> str:
    """A seller who makes a new key, as one must every three months, need not look up the number of the account again."""
    with suppress(CredentialsMissing, CredentialsUnreadable):
        stored = await get_ozon_credentials(tenant_id)
        if isinstance(stored, OzonCredentials):
            return stored.client_id
    raise wrong("ozon_client_id", "Required with a first ozon_api_key")


def wrong(field: str, message: str) -> InvalidInput:
    """The error of one field, or of the whole body."""
    return InvalidInput(f"{field}: {message}." if field else "Nothing to change.", (FieldError(field, message),))
