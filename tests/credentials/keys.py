"""Keys whose time is changed by hand, and what their sellers hear."""

from typing import Any

import msgspec

from app.database import system_scope
from tests.application import Shop

HEARD = "SELECT body FROM events WHERE tenant_id = $1 AND type LIKE 'credentials.%' ORDER BY sequence"


async def heard(shop: Shop) -> list[tuple[str, dict[str, Any]]]:
    """The events about keys: type and data."""
    bodies = [msgspec.json.decode(body) for (body,) in await shop.rows(HEARD)]
    return [(body["type"], body["data"]) for body in bodies]


async def change_key(shop: Shop, assignments: str, provider: str = "wildberries") -> None:
    """Set columns of what is known of the shop's key, as SQL."""
    async with system_scope() as connection:
        await connection.execute(f"UPDATE credentials SET {assignments} WHERE tenant_id = $1 AND provider = $2", shop.tenant_id, provider)


async def told(shop: Shop, provider: str = "wildberries") -> dict[str, Any]:
    """What the API says of the shop's key."""
    listed = await shop.expect(200, "GET", "/tenants/me/credentials")
    return next(item for item in listed if item["provider"] == provider)
