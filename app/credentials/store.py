"""Keeping a seller's keys: sealed in the tenant's row, opened only to be used.

What is sealed is bound to the tenant and to its marketplace, so that it does not open in another row or another column.
"""

from typing import TypeAlias
from uuid import UUID

import msgspec

from app.database import Connection, tenant_scope
from app.errors import CredentialsMissing
from app.marketplaces.contract import Marketplace
from app.marketplaces.ozon.keys import OzonCredentials, OzonKey, OzonToken
from app.secret import Secret
from app.tenants.rhythm import SEALED_KEY
from app.vault import get_vault


class WildberriesCredentials(msgspec.Struct, frozen=True):
    """What Wildberries asks for: one token, a JWT that the seller makes in the cabinet."""

    api_key: Secret


Credentials: TypeAlias = WildberriesCredentials | OzonKey


class _OzonSealed(msgspec.Struct, frozen=True, omit_defaults=True):
    """Either the first two, or the last."""

    client_id: str | None = None
    api_key: str | None = None
    access_token: str | None = None


async def get_wildberries_credentials(tenant_id: UUID) -> WildberriesCredentials:
    """The tenant's Wildberries key.

    Raises:
        CredentialsMissing: none is stored.
        CredentialsUnreadable: it does not open with the present master keys.
    """
    return WildberriesCredentials(await _unseal(tenant_id, Marketplace.WILDBERRIES))


async def get_ozon_credentials(tenant_id: UUID) -> OzonKey:
    """The tenant's Ozon account and key, or the token that stands for both.

    Raises:
        CredentialsMissing: none is stored.
        CredentialsUnreadable: it does not open with the present master keys.
    """
    opened = await _unseal(tenant_id, Marketplace.OZON)
    kept = msgspec.json.decode(opened.reveal(), type=_OzonSealed)
    if kept.client_id and kept.api_key:
        return OzonCredentials(kept.client_id, Secret(kept.api_key))
    return OzonToken(Secret(kept.access_token or ""))


async def update_wildberries_credentials(tenant_id: UUID, api_key: Secret, connection: Connection | None = None) -> None:
    """Seal and store the tenant's Wildberries key, in the given transaction or one of its own. Other keys stay as they are."""
    await _seal(tenant_id, Marketplace.WILDBERRIES, api_key, connection)


async def update_ozon_credentials(tenant_id: UUID, client_id: str, api_key: Secret, connection: Connection | None = None) -> None:
    """Likewise the tenant's Ozon account and key, sealed together."""
    await _seal(tenant_id, Marketplace.OZON, _as_one(_OzonSealed(client_id=client_id, api_key=api_key.reveal())), connection)


async def update_ozon_token(tenant_id: UUID, access_token: Secret, connection: Connection | None = None) -> None:
    """Likewise the OAuth token of an Ozon application, in the place of account and key."""
    await _seal(tenant_id, Marketplace.OZON, _as_one(_OzonSealed(access_token=access_token.reveal())), connection)


async def update_credentials_of(tenant_id: UUID, credentials: Credentials, connection: Connection) -> None:
    """Whichever they are for."""
    match credentials:
        case WildberriesCredentials(api_key):
            await update_wildberries_credentials(tenant_id, api_key, connection)
        case OzonCredentials(client_id, api_key):
            await update_ozon_credentials(tenant_id, client_id, api_key, connection)
        case OzonToken(access_token):
            await update_ozon_token(tenant_id, access_token, connection)


async def delete_credentials_of(tenant_id: UUID, marketplace: Marketplace, connection: Connection) -> bool:
    """Forget the tenant's key. False where there was none."""
    column = SEALED_KEY[marketplace]
    tag = await connection.execute(
        f"UPDATE tenants SET {column} = NULL, updated_at = now() WHERE id = $1 AND {column} IS NOT NULL", tenant_id
    )
    return tag != "UPDATE 0"


def masked(credentials: Credentials) -> str:
    """A form by which the seller recognises the key."""
    match credentials:
        case WildberriesCredentials(api_key) | OzonCredentials(_, api_key):
            return api_key.hint()
        case OzonToken(access_token):
            return access_token.hint()


def _as_one(ozon: _OzonSealed) -> Secret:
    return Secret(msgspec.json.encode(ozon).decode())


async def _unseal(tenant_id: UUID, marketplace: Marketplace) -> Secret:
    async with tenant_scope(tenant_id) as connection:
        sealed = await connection.fetchval(f"SELECT {SEALED_KEY[marketplace]} FROM tenants WHERE id = $1", tenant_id)
    if sealed is None:
        raise CredentialsMissing(f"There is no {marketplace} key yet; give one with PATCH /api/v1/tenants/me/credentials.")
    return get_vault().unseal(sealed, tenant_id=tenant_id, purpose=marketplace)


async def _seal(tenant_id: UUID, marketplace: Marketplace, value: Secret, connection: Connection | None) -> None:
    if connection is None:
        async with tenant_scope(tenant_id) as own:
            await _seal(tenant_id, marketplace, value, own)
        return
    sealed = get_vault().seal(value, tenant_id=tenant_id, purpose=marketplace)
    await connection.execute(f"UPDATE tenants SET {SEALED_KEY[marketplace]} = $2, updated_at = now() WHERE id = $1", tenant_id, sealed)
