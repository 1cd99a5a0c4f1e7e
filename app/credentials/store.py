"""Keeping a seller's keys: sealed in the tenant's row, opened only to be used.

What is sealed is bound to the tenant and to its marketplace, so that it does not open in another row or another column.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import TypeAlias
from uuid import UUID

import msgspec

from app.credentials.google import GoogleCredentials, ServiceAccount, SheetId, read_service_account
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


GOOGLE = "google"

Credentials: TypeAlias = WildberriesCredentials | OzonKey


class _OzonSealed(msgspec.Struct, frozen=True, omit_defaults=True):
    """Either the first two, or the last."""

    client_id: str | None = None
    api_key: str | None = None
    access_token: str | None = None


class _GoogleSealed(msgspec.Struct, frozen=True):
    """A service account without the addresses that its file names."""

    client_email: str
    private_key_id: str
    private_key: str
    project_id: str


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


async def get_google_credentials(tenant_id: UUID) -> GoogleCredentials:
    """The tenant's spreadsheet and the service account that writes there.

    Raises:
        CredentialsMissing: one of the two is not stored; it says which.
        CredentialsUnreadable: the account does not open with the present master keys.
    """
    async with tenant_scope(tenant_id) as connection:
        row = await connection.fetchrow("SELECT google_sheet_id, google_credentials_encrypted FROM tenants WHERE id = $1", tenant_id)
    sheet_id: str | None = row and row["google_sheet_id"]
    sealed: str | None = row and row["google_credentials_encrypted"]
    if sheet_id is None or sealed is None:
        missing = (
            "google_credentials_json" if sheet_id else "google_sheet_id" if sealed else "google_sheet_id and no google_credentials_json"
        )
        raise CredentialsMissing(f"There is no {missing} yet; give it with PATCH /api/v1/tenants/me/credentials.")
    return GoogleCredentials(sheet_id, _open_account(tenant_id, sealed))


async def update_google_credentials(
    tenant_id: UUID,
    sheet_id: str | None,
    credentials_json: Secret | str | Mapping[str, object] | None,
    connection: Connection | None = None,
) -> None:
    """Store the spreadsheet's id (or its address, which is cut) and the service account's JSON (text or object), which is checked and sealed. What is None
    stays as it is.

    Raises:
        ValueError: it is no id of a spreadsheet.
        CredentialsRejected: it is no service account that can be used.
    """
    sheet = None if sheet_id is None else SheetId.parse(sheet_id)
    account = None
    if credentials_json is not None:
        text = json.dumps(credentials_json) if isinstance(credentials_json, Mapping) else credentials_json
        account = await asyncio.to_thread(read_service_account, text if isinstance(text, Secret) else Secret(text))
    if connection is None:
        async with tenant_scope(tenant_id) as own:
            await store_google_credentials(tenant_id, sheet, account, own)
    else:
        await store_google_credentials(tenant_id, sheet, account, connection)


async def store_google_credentials(
    tenant_id: UUID, sheet_id: SheetId | None, account: ServiceAccount | None, connection: Connection
) -> None:
    """Likewise what has been read already, in the given transaction."""
    sealed = None
    if account is not None:
        kept = _GoogleSealed(account.client_email, account.private_key_id, account.private_key.reveal(), account.project_id)
        sealed = get_vault().seal(Secret(msgspec.json.encode(kept).decode()), tenant_id=tenant_id, purpose=GOOGLE)
    await connection.execute(
        "UPDATE tenants SET google_sheet_id = coalesce($2, google_sheet_id), "
        "google_credentials_encrypted = coalesce($3, google_credentials_encrypted), updated_at = now() WHERE id = $1",
        tenant_id, sheet_id, sealed,
    )  # fmt: skip


async def delete_google_credentials(tenant_id: UUID, connection: Connection) -> bool:
    """Forget the spreadsheet and the account. False where there was neither."""
    tag = await connection.execute(
        "UPDATE tenants SET google_sheet_id = NULL, google_credentials_encrypted = NULL, updated_at = now() "
        "WHERE id = $1 AND (google_sheet_id IS NOT NULL OR google_credentials_encrypted IS NOT NULL)",
        tenant_id,
    )
    return tag != "UPDATE 0"


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


def _open_account(tenant_id: UUID, sealed: str) -> ServiceAccount:
    opened = get_vault().unseal(sealed, tenant_id=tenant_id, purpose=GOOGLE)
    kept = msgspec.json.decode(opened.reveal(), type=_GoogleSealed)
    return ServiceAccount(kept.client_email, kept.private_key_id, Secret(kept.private_key), kept.project_id)


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
