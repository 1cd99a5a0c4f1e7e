"""Sellers who have used all there is, and what is stored of them."""

from typing import Any
from uuid import UUID

import httpx

from app.auth.service_keys import ServiceKey, create_service_key
from app.database import system_scope, tenant_scope
from app.marketplaces.contract import Marketplace
from app.products.store import note_sightings
from app.runs.pauses import pause_syncs
from app.sandbox.ozon.keys import issue_ozon_key
from tests.application import Shop, everything_in_redis
from tests.auth.application import PASSWORD
from tests.credentials.google import SHEET, service_account

TABLES_OF_TENANTS = """
    SELECT table_name FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
     WHERE table_schema = 'public' AND column_name = 'tenant_id' AND table_type = 'BASE TABLE' AND table_name !~ '^stock_history_' ORDER BY 1
"""
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1"


async def use_everything(shop: Shop, mark: str) -> set[str]:
    """Through the product itself, but for what only a moment inside of it leaves behind. Gives texts that are this seller's alone: secrets, names, addresses."""
    number = int(mark.encode().hex()[:12], 16)
    key, ozon_key = shop.key(products=3), issue_ozon_key(number, products=2)
    await shop.expect(200, "PATCH", "/tenants/me", json={"name": f"Company {mark}"})
    await shop.expect(200, "PATCH", "/tenants/me/credentials", json={"wildberries_api_key": key})
    await shop.expect(200, "PATCH", "/tenants/me/credentials", json={"ozon_client_id": str(number), "ozon_api_key": ozon_key})
    google = {"google_sheet_id": SHEET, "google_credentials_json": service_account(client_email=f"{mark}@my-shop.iam.gserviceaccount.com")}
    await shop.expect(200, "PATCH", "/tenants/me/credentials", json=google)
    for marketplace in Marketplace:
        await shop.sync(marketplace=marketplace)
    hook = await shop.expect(201, "POST", "/webhooks", json={"url": f"http://127.0.0.1:9/{mark}"})
    await shop.expect(200, "POST", f"/webhooks/{hook['id']}/test")
    link = await shop.expect(201, "POST", "/tenants/me/credentials/links", json={"provider": "wildberries"})
    service = ServiceKey.parse((await create_service_key(f"bot-{mark[::-1]}")).reveal())
    assert service is not None
    await shop.expect(201, "POST", "/tenants/me/services", json={"service_key_id": str(service.id)})
    member = {"email": f"{mark}-viewer@example.com", "password": PASSWORD, "role": "viewer"}
    await shop.expect(201, "POST", "/tenants/me/users", json=member)
    await shop.expect(201, "POST", "/tenants/me/users", json={"telegram_user_id": number, "role": "viewer"})
    await repeat(shop, mark)
    await shop.expect(200, "GET", "/products")
    await pause_syncs(shop.tenant_id, None, f"asked for by {mark}")
    async with tenant_scope(shop.tenant_id) as connection:
        await note_sightings(connection, shop.tenant_id, Marketplace.WILDBERRIES, [f"sighted by {mark}"])
    return {str(shop.tenant_id), shop.tenant_id.hex, mark, key, ozon_key, hook["secret"], link["url"].rpartition("/")[2], str(number)}


async def repeat(shop: Shop, key: str) -> httpx.Response:
    """A request that is kept for whoever sends it again."""
    headers = {"Authorization": f"Bearer {shop.access_token}", "Idempotency-Key": f"key of {key}".replace(" ", "-")}
    answer = await shop.client.post("/sync", json={"marketplace": "ozon"}, headers=headers)
    assert answer.status_code in (200, 202), answer.text
    return answer


async def stored() -> dict[str, list[str]]:
    """Every row of every table, as text."""
    async with system_scope() as connection:
        return {
            table: [row[0] for row in await connection.fetch(f"SELECT whole::text FROM {table} AS whole ORDER BY 1")]
            for [table] in await connection.fetch(TABLES)
        }


async def rows_of(tenant_id: UUID) -> dict[str, list[Any]]:
    """Each table's rows of the tenant, the tenant's own and its users' too."""
    async with system_scope() as connection:
        found = {
            table: [
                row[0]
                for row in await connection.fetch(f"SELECT whole::text FROM {table} AS whole WHERE tenant_id = $1 ORDER BY 1", tenant_id)
            ]
            for [table] in await connection.fetch(TABLES_OF_TENANTS)
        }
        found["tenants"] = [row[0] for row in await connection.fetch("SELECT whole::text FROM tenants AS whole WHERE id = $1", tenant_id)]
        found["users"] = [
            row[0]
            for row in await connection.fetch(
                "SELECT whole::text FROM users AS whole WHERE id IN (SELECT user_id FROM memberships WHERE tenant_id = $1) ORDER BY 1",
                tenant_id,
            )
        ]
        return found


async def found_anywhere(marks: set[str]) -> set[tuple[str, str]]:
    """Which of the marks stand in the database or in Redis, and where."""
    places = {table: "\n".join(rows) for table, rows in (await stored()).items()} | {"Redis": repr(await everything_in_redis())}
    return {(place, mark) for place, text in places.items() for mark in marks if mark in text}
