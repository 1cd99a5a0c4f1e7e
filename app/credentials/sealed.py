"""All columns that hold sealed values, in one list: a start looks for their keys, `keys status` counts them, `keys rotate` seals them anew."""

from typing import NamedTuple

from app.database import Connection
from app.vault import get_vault


class SealedColumn(NamedTuple):
    """A column of `v1.<key id>.<token>` values, or null. `tenant` is the column that names the row's tenant, `purpose` what the values were sealed for."""

    table: str
    column: str
    tenant: str
    purpose: str


# The purposes stand as words: their subjects lie on floors above. tests/credentials/test_sealed.py holds the list to the tables and to those subjects.
SEALED = (
    SealedColumn("tenants", "wb_credentials_encrypted", "id", "wildberries"),
    SealedColumn("tenants", "ozon_credentials_encrypted", "id", "ozon"),
    SealedColumn("tenants", "google_credentials_encrypted", "id", "google"),
    SealedColumn("webhook_endpoints", "secret_encrypted", "tenant_id", "webhook"),
    SealedColumn("idempotent_requests", "answer_encrypted", "tenant_id", "idempotency"),
)

KEY_ID = "split_part({}, '.', 2)"
"""SQL: the master key that a sealed value names; empty where it is no sealed value."""

COUNTS = " UNION ALL ".join(
    f"SELECT '{each.purpose}' AS purpose, {KEY_ID.format(each.column)} AS key_id, count(*) AS count FROM {each.table} "
    f"WHERE {each.column} IS NOT NULL GROUP BY 2"
    for each in SEALED
)


async def count_by_key(connection: Connection) -> dict[str, dict[str, int]]:
    """How many values each master key holds, by its id and their purpose. In `system_scope()`: it looks at all tenants."""
    counted: dict[str, dict[str, int]] = {}
    for row in await connection.fetch(COUNTS):
        counted.setdefault(row["key_id"], {})[row["purpose"]] = row["count"]
    return counted


async def count_values_without_key(connection: Connection) -> int:
    """How many sealed values name a master key that this process does not have. In `system_scope()`."""
    known = get_vault().key_ids
    return sum(sum(counts.values()) for name, counts in (await count_by_key(connection)).items() if name not in known)
