"""What changed in the catalogue since somebody last asked."""

from datetime import UTC, datetime
from uuid import UUID

from app.api.pagination import decode_cursor, encode_cursor
from app.database import tenant_scope
from app.marketplaces.contract import Marketplace
from app.products.schemas import ChangeOut, ChangesOut
from app.products.service import DETAIL_COLUMNS, product_of

BEGINNING, FIRST_ID, LAST_ID = datetime.min.replace(tzinfo=UTC), UUID(int=0), UUID(int=2**128 - 1)

# The last condition is written so that no index serves it: the planner would rather sort all of one marketplace than walk along the changes.
CHANGES = f"""
    SELECT CASE WHEN archived_at IS NOT NULL THEN 'archived' WHEN created_at > $4 THEN 'added' ELSE 'updated' END, {DETAIL_COLUMNS}
      FROM products AS product
     WHERE tenant_id = $1 AND (updated_at, id) > ($2, $3) AND coalesce(marketplace = $5, true)
     ORDER BY updated_at, id LIMIT $6
"""


async def list_changes(tenant_id: UUID, *, marketplace: Marketplace | None, limit: int, cursor: str | None) -> ChangesOut:
    """The products that changed behind the cursor, each once, as it is now.

    A cursor is a place in the order of the changes, and the instant up to which its holder knows every product: the place at which he was last told that there
    is no more. What was made later he may not know, however early in this walk it stood when it was made.

    Raises:
        InvalidInput: the cursor belongs to another query, or to another tenant.
    """
    query = ("changes", tenant_id, marketplace)
    changed_at, product_id, known_until = BEGINNING, FIRST_ID, BEGINNING
    if cursor is not None:
        changed_at, product_id, known_until = decode_cursor(cursor, query, (datetime, UUID, datetime))
    async with tenant_scope(tenant_id) as connection:
        # Read before the products are: what is later than this, and not seen below, has a later instant.
        newest: datetime | None = await connection.fetchval("SELECT changed_at FROM tenants WHERE id = $1", tenant_id)
        rows = await connection.fetch(CHANGES, tenant_id, changed_at, product_id, known_until, marketplace, limit + 1)
    more = len(rows) > limit
    items = [ChangeOut(change, product_of(columns)) for change, *columns in rows[:limit]]
    if items:
        changed_at, product_id = items[-1].product.updated_at, items[-1].product.id
    if not more:
        if newest is not None and newest >= changed_at:
            # Of one marketplace nothing may change for long: the next look need not walk through what changed at the other one.
            changed_at, product_id = newest, LAST_ID
        known_until = changed_at
    return ChangesOut(items, encode_cursor(query, (changed_at, product_id, known_until)), more)
