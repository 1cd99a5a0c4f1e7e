"""The spreadsheet of a tenant, and the account that writes there: given, looked at, checked and taken back. Google itself is not asked."""

import asyncio
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import UNSET

from app.audit.service import record as audit
from app.credentials import messages
from app.credentials.google import LONGEST_MASK, ServiceAccount, SheetId, read_service_account
from app.credentials.schemas import CredentialOut, CredentialsPatch
from app.credentials.store import delete_google_credentials, get_google_credentials, store_google_credentials
from app.credentials.tables import Provider
from app.credentials.verification import KeysRejected
from app.database import Connection, tenant_scope
from app.errors import CredentialsMissing
from app.ids import new_id
from app.marketplaces.contract import CredentialStatus
from app.marketplaces.errors import CredentialsRejected
from app.tenants.service import lock_tenant

# What is shown is the account; a spreadsheet alone is shown by its id until there is one.
KEEP = """
    INSERT INTO credentials (id, tenant_id, provider, status, masked, scopes, missing_scopes, shared, updated_at)
    VALUES ($1, $2, 'google', 'unverified', coalesce($3, $4), '{}', '{}', false, now())
        ON CONFLICT (tenant_id, provider) DO UPDATE
       SET status = excluded.status, masked = coalesce($3, CASE WHEN $5 THEN credentials.masked END, excluded.masked), verified_at = NULL, updated_at = now()
"""

STATE = "SELECT google_sheet_id, google_credentials_encrypted IS NOT NULL AS has_account, language FROM tenants WHERE id = $1"


class Given(NamedTuple):
    """What a request gives, read and checked; None: nothing."""

    sheet_id: SheetId | None
    account: ServiceAccount | None


async def read_given(patch: CredentialsPatch) -> Given | None:
    """What the patch says of Google, if anything.

    Raises:
        KeysRejected: it is no service account that can be used.
    """
    sheet_id = None if patch.google_sheet_id is UNSET else patch.google_sheet_id
    if patch.google_credentials_json is UNSET:
        return None if sheet_id is None else Given(sheet_id, None)
    try:
        return Given(sheet_id, await asyncio.to_thread(read_service_account, patch.google_credentials_json))
    except CredentialsRejected as error:
        raise KeysRejected([("google_credentials_json", error)]) from None


async def keep_given(connection: Connection, tenant_id: UUID, actor: str, given: Given) -> None:
    """Store it, in the caller's transaction; what is not given stays."""
    await store_google_credentials(tenant_id, given.sheet_id, given.account, connection)
    state = await connection.fetchrow(STATE, tenant_id)
    sheet_id: str = state["google_sheet_id"] or ""
    account = None if given.account is None else given.account.masked()
    await connection.execute(KEEP, new_id(), tenant_id, account, _shortened(sheet_id), state["has_account"])
    parts = [name for name, value in zip(("sheet", "account"), given, strict=True) if value is not None]
    await audit(
        connection,
        tenant_id,
        actor,
        "credentials.updated",
        {"provider": Provider.GOOGLE, "status": CredentialStatus.UNVERIFIED, "parts": parts},
    )


async def check_spreadsheet(tenant_id: UUID) -> None:
    """Whether both parts are there, open and can be used.

    Raises:
        CredentialsMissing: one is not stored.
        CredentialsUnreadable: the account does not open with the present master keys.
    """
    await get_google_credentials(tenant_id)


async def forget_spreadsheet(tenant_id: UUID, actor: str) -> None:
    """Both parts.

    Raises:
        CredentialsMissing: there was neither.
    """
    async with tenant_scope(tenant_id) as connection:
        await lock_tenant(connection, tenant_id)
        if not await delete_google_credentials(tenant_id, connection):
            raise CredentialsMissing("There is no google key.")
        await connection.execute("DELETE FROM credentials WHERE tenant_id = $1 AND provider = 'google'", tenant_id)
        await audit(connection, tenant_id, actor, "credentials.deleted", {"provider": Provider.GOOGLE})


def describe(row: Any, tenant: Any) -> CredentialOut:
    """As the API shows it: `row` of credentials, `tenant` with `language`, `google_sheet_id` and `has_account`."""
    return CredentialOut(
        provider=Provider.GOOGLE,
        configured=True,
        status=CredentialStatus(row["status"]),
        masked=row["masked"],
        scopes=[],
        missing_scopes=[],
        advice=messages.spreadsheet_advice(
            tenant["language"], has_sheet=tenant["google_sheet_id"] is not None, has_account=tenant["has_account"]
        ),
        shared=False,
        verified_at=row["verified_at"],
        updated_at=row["updated_at"],
    )


def _shortened(sheet_id: str) -> str:
    return sheet_id if len(sheet_id) <= LONGEST_MASK else f"{sheet_id[:8]}…{sheet_id[-4:]}"
