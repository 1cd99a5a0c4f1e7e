"""Keys at rest: sealed, opened only for their tenant, counted by their master key."""

import pytest

from app.credentials.sealed import count_values_without_key
from app.credentials.store import (
    delete_credentials_of,
    get_ozon_credentials,
    get_wildberries_credentials,
    update_ozon_credentials,
    update_ozon_token,
    update_wildberries_credentials,
)
from app.database import system_scope, tenant_scope
from app.errors import CredentialsMissing
from app.marketplaces.contract import Marketplace
from app.marketplaces.ozon.keys import OzonCredentials, OzonToken
from app.secret import Secret
from app.settings import get_settings, new_master_key
from app.vault import CredentialsUnreadable, get_vault
from tests.application import Shop
from tests.factories import create_tenant

pytestmark = pytest.mark.anyio


@pytest.fixture
def with_another_master_key(settings, monkeypatch):
    """Call it to lose the present master key."""

    def lose() -> None:
        monkeypatch.setenv("ENCRYPTION_MASTER_KEY", new_master_key())
        get_settings.cache_clear()
        get_vault.cache_clear()

    yield lose
    monkeypatch.undo()
    get_settings.cache_clear()
    get_vault.cache_clear()


async def test_what_is_stored_is_what_is_read_and_the_column_is_sealed(clean_database):
    tenant = await create_tenant()

    await update_wildberries_credentials(tenant, Secret("the first key"))
    await update_wildberries_credentials(tenant, Secret("the second key"))

    assert (await get_wildberries_credentials(tenant)).api_key.reveal() == "the second key"
    async with tenant_scope(tenant) as connection:
        sealed = await connection.fetchval("SELECT wb_credentials_encrypted FROM tenants")
    assert sealed.startswith("v1.")
    assert "key" not in sealed


async def test_an_ozon_account_and_its_key_are_sealed_together(clean_database):
    tenant = await create_tenant()
    await update_wildberries_credentials(tenant, Secret("the key of wildberries"))

    await update_ozon_credentials(tenant, "1234567", Secret("the key of ozon"))

    stored = await get_ozon_credentials(tenant)
    assert isinstance(stored, OzonCredentials)
    assert (stored.client_id, stored.api_key.reveal()) == ("1234567", "the key of ozon")
    assert (await get_wildberries_credentials(tenant)).api_key.reveal() == "the key of wildberries"
    async with tenant_scope(tenant) as connection:
        sealed = await connection.fetchval("SELECT ozon_credentials_encrypted FROM tenants")
    assert "1234567" not in sealed


async def test_an_ozon_token_takes_the_place_of_account_and_key(clean_database):
    tenant = await create_tenant()
    await update_ozon_credentials(tenant, "1234567", Secret("the key of ozon"))

    await update_ozon_token(tenant, Secret("a token of an application"))

    stored = await get_ozon_credentials(tenant)
    assert isinstance(stored, OzonToken)
    assert stored.access_token.reveal() == "a token of an application"


async def test_a_key_that_is_moved_into_the_other_marketplaces_column_does_not_open(clean_database):
    tenant = await create_tenant()
    await update_wildberries_credentials(tenant, Secret("the key of wildberries"))

    async with tenant_scope(tenant) as connection:
        await connection.execute("UPDATE tenants SET ozon_credentials_encrypted = wb_credentials_encrypted")

    with pytest.raises(CredentialsUnreadable):
        await get_ozon_credentials(tenant)


async def test_a_change_in_a_transaction_that_fails_did_not_happen(clean_database):
    tenant = await create_tenant()

    with pytest.raises(ZeroDivisionError):
        async with tenant_scope(tenant) as connection:
            await update_wildberries_credentials(tenant, Secret("key"), connection)
            raise ZeroDivisionError

    with pytest.raises(CredentialsMissing):
        await get_wildberries_credentials(tenant)


async def test_deleting_says_whether_there_was_one(clean_database):
    tenant = await create_tenant()
    await update_wildberries_credentials(tenant, Secret("key"))

    async with tenant_scope(tenant) as connection:
        said = [await delete_credentials_of(tenant, Marketplace.WILDBERRIES, connection) for _ in range(2)]

    assert said == [True, False]


async def test_a_key_that_does_not_open_fails_its_tenants_run_and_nobody_elses(shop: Shop, other_shop: Shop, with_another_master_key):
    await shop.give_key()
    with_another_master_key()
    await other_shop.give_key()

    theirs, ours = await other_shop.sync(), await shop.sync()

    assert theirs["status"] == "succeeded"
    assert (ours["status"], ours["error"]["code"]) == ("failed", "credentials_unreadable")
    with pytest.raises(CredentialsUnreadable):
        await get_wildberries_credentials(shop.tenant_id)
    async with system_scope() as connection:
        assert await count_values_without_key(connection) == 1
    answer = await shop.call("POST", "/tenants/me/credentials/wildberries/verify")
    assert (answer.status_code, answer.json()["code"]) == (500, "credentials_unreadable")
    assert (await shop.give_key()).status_code == 200
    assert (await shop.sync())["status"] == "succeeded"
