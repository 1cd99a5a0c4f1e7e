"""Keeping a seller's keys: sealed in the tenant's row, opened only to be used."""

from uuid import UUID

import msgspec

from app.database import Connection, tenant_scope
from app.errors import CredentialsMissing
from app.secret import Secret
from app.vault import get_vault

WILDBERRIES_PURPOSE = "wildberries"


class WildberriesCredentials(msgspec.Struct, frozen=True):
    """What Wildberries asks for: one token, a JWT that the seller makes in the cabinet."""

    api_key: Secret


async def get_wildberries_credentials(tenant_id: UUID) -> WildberriesCredentials:
    """The tenant's Wildberries key.

    Raises:
        CredentialsMissing: none is stored.
        CredentialsUnreadable: it does not open with the present master keys.
    """
    async with tenant_scope(tenant_id) as connection:
        sealed = await connection.fetchval("SELECT wb_credentials_encrypted FROM tenants WHERE id = $1", tenant_id)
    if sealed is None:
        raise CredentialsMissing("There is no wildberries key yet; give one with PATCH /api/v1/tenants/me/credentials.")
    return WildberriesCredentials(get_vault().unseal(sealed, tenant_id=tenant_id, purpose=WILDBERRIES_PURPOSE))


async def update_wildberries_credentials(tenant_id: UUID, api_key: Secret, connection: Connection | None = None) -> None:
    """Seal and store the tenant's Wildberries key, in the given transaction or one of its own. Other keys stay as they are."""
    if connection is None:
        async with tenant_scope(tenant_id) as own:
            await update_wildberries_credentials(tenant_id, api_key, own)
        return
    sealed = get_vault().seal(api_key, tenant_id=tenant_id, purpose=WILDBERRIES_PURPOSE)
    await connection.execute("UPDATE tenants SET wb_credentials_encrypted = $2, updated_at = now() WHERE id = $1", tenant_id, sealed)


async def delete_wildberries_credentials(tenant_id: UUID, connection: Connection) -> bool:
    """Forget the tenant's Wildberries key. False where there was none."""
    tag = await connection.execute(
        "UPDATE tenants SET wb_credentials_encrypted = NULL, updated_at = now() WHERE id = $1 AND wb_credentials_encrypted IS NOT NULL",
        tenant_id,
    )
    return tag != "UPDATE 0"


async def count_values_without_key(connection: Connection) -> int:
    """How many sealed values name a master key that this process does not have. In `system_scope()`: it looks at all tenants."""
    return await connection.fetchval(
        """
        SELECT count(*) FROM (
               SELECT wb_credentials_encrypted FROM tenants UNION ALL
               SELECT ozon_credentials_encrypted FROM tenants UNION ALL
               SELECT google_credentials_encrypted FROM tenants UNION ALL
               SELECT secret_encrypted FROM webhook_endpoints) AS sealed (value)
         WHERE value IS NOT NULL AND split_part(value, '.', 2) <> ALL($1::text[])
        """,
        list(get_vault().key_ids),
    )
