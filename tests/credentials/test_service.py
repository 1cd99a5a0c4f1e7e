"""Which shop a key is of decides what an earlier sync's knowledge is worth."""

import pytest

from app.sandbox.ozon.keys import issue_ozon_key, issue_ozon_token
from app.sandbox.tokens import issue_token
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
