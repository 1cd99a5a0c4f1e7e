"""Which shop a key is of decides what an earlier sync's knowledge is worth, and which key was asked about whom a verdict is on."""

import asyncio
import contextvars

import httpx
import pytest

from app.database import tenant_scope
from app.sandbox.ozon.keys import issue_ozon_key, issue_ozon_token
from app.sandbox.tokens import issue_token
from app.tenants.service import lock_tenant
from tests.application import Shop

pytestmark = pytest.mark.anyio

FORMER, PRESENT = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2))
CATALOGUE = (
    "SELECT count(*) FILTER (WHERE archived_at IS NULL), count(*) FILTER (WHERE archived_at IS NOT NULL) FROM products WHERE tenant_id = $1"
)


async def give_ozon(shop: Shop, **key: str) -> None:
    await shop.expect(200, "PATCH", "/tenants/me/credentials", json=key)


@pytest.mark.parametrize("how", ["replaced", "taken back first"])
async def test_a_key_of_another_shop_copies_that_shop_and_archives_the_former(shop: Shop, how: str):
    await shop.give_key(issue_token(FORMER, products=60))
    await shop.sync()
    if how == "taken back first":
        await shop.expect(204, "DELETE", "/tenants/me/credentials/wildberries")

    await shop.give_key(issue_token(PRESENT, products=30))
    run = await shop.sync()

    assert (run["trigger"], run["status"]) == ("credentials", "succeeded")
    assert await shop.rows(CATALOGUE) == [(30, 60)]


async def test_a_key_that_does_not_say_its_shop_is_taken_for_one_of_another(shop: Shop):
    await give_ozon(shop, ozon_client_id="1", ozon_api_key=issue_ozon_key(1, products=60))
    await shop.sync(marketplace="ozon")
    [[of_former, _]] = await shop.rows(CATALOGUE)

    await give_ozon(shop, ozon_access_token=issue_ozon_token(2, products=30))
    run = await shop.sync(marketplace="ozon")

    [[active, archived]] = await shop.rows(CATALOGUE)
    assert (run["trigger"], run["status"]) == ("credentials", "succeeded")
    assert 0 < active < of_former <= archived


async def test_a_verdict_on_the_former_key_is_not_passed_on_one_that_is_just_being_stored(shop: Shop, sandbox: httpx.AsyncClient):
    await shop.give_key(issue_token(FORMER))
    await sandbox.post("/faults", json={"kind": "unauthorized", "path": "/ping"})
    async with tenant_scope(shop.tenant_id) as storing:
        # Begun before the former key is asked about, committed after it was read.
        await lock_tenant(storing, shop.tenant_id)
        await storing.execute("UPDATE credentials SET updated_at = now() WHERE tenant_id = $1", shop.tenant_id)
        # In a context of its own: a request knows nothing of our open transaction.
        verify = shop.call("POST", "/tenants/me/credentials/wildberries/verify")
        verifying = asyncio.create_task(verify, context=contextvars.Context())
        async with asyncio.timeout(10):
            while (await sandbox.get("/requests")).json().get("GET /ping", {}).get("401") != 1:
                await asyncio.sleep(0.01)

    answer = (await verifying).json()

    assert answer["status"] == "valid"
    assert await shop.rows("SELECT status FROM credentials WHERE tenant_id = $1") == [("valid",)]
