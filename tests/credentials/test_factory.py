"""From a tenant's key to a client that asks the marketplace with it."""

from uuid import uuid4

import httpx
import pytest

from app.credentials.factory import create_marketplace_client
from app.errors import CredentialsMissing, NotFound
from app.marketplaces.contract import Marketplace
from app.vault import CredentialsUnreadable
from tests.application import Shop
from tests.factories import create_tenant

pytestmark = pytest.mark.anyio


async def test_the_client_asks_with_the_tenants_own_key(shop: Shop, sandbox: httpx.AsyncClient):
    await shop.give_key(shop.key(products=7))

    client = await create_marketplace_client(shop.tenant_id)
    products = await client.fetch_products()

    assert len(products) == 7
    assert "POST /content/v2/get/cards/list" in (await sandbox.get("/requests", params={"seller_id": str(shop.seller_id)})).json()


async def test_without_a_key_or_a_tenant_there_is_no_client(clean_database):
    tenant = await create_tenant()

    with pytest.raises(CredentialsMissing, match="wildberries"):
        await create_marketplace_client(tenant)
    with pytest.raises(CredentialsMissing, match="ozon"):
        await create_marketplace_client(tenant, Marketplace.OZON)
    with pytest.raises(NotFound):
        await create_marketplace_client(uuid4())


async def test_a_key_moved_to_another_tenant_does_not_open(shop: Shop, other_shop: Shop):
    await shop.give_key()
    await other_shop.give_key()
    await shop.rows(
        "UPDATE tenants SET wb_credentials_encrypted = (SELECT wb_credentials_encrypted FROM tenants WHERE id <> $1) WHERE id = $1 RETURNING 1"
    )

    with pytest.raises(CredentialsUnreadable):
        await create_marketplace_client(shop.tenant_id)
    await create_marketplace_client(other_shop.tenant_id)
