"""Which events go out, when, and how often: the section on what a seller hears of the sync engine's design.

That they arrive, signed and in order, are promises of design and tests of their own: tests/webhooks. Of exports and digests others tell.
"""

from typing import Any

import pytest

from app.credentials.expiry import look_at_expiries
from app.events.types import CATALOGUE, MAX_ORDERS
from app.marketplaces.errors import CredentialsRejected, MarketplaceDown
from app.runs.tables import Stage
from tests.application import Shop
from tests.credentials.keys import change_key
from tests.credentials.keys import heard as heard_of_keys
from tests.factories import product
from tests.scripted_client import ordered, price, shelf
from tests.scripted_shop import PlayShop, ScriptedShop

pytestmark = pytest.mark.anyio


async def told(shop: ScriptedShop) -> list[str]:
    """The types of what was heard beside how the syncs went."""
    return [event["type"] for event in await shop.heard() if event["type"] != "sync.completed"]


async def count(shop: ScriptedShop, *units: int) -> list[str]:
    """As many syncs, before each of which the product has so many units; what they tell."""
    before = len(await told(shop))
    for number in units:
        shop.says(stocks=[[shelf("1", number)]])
        await shop.start(Stage.STOCKS)
    return (await told(shop))[before:]


@pytest.fixture
async def stocked(play_shop: PlayShop) -> ScriptedShop:
    """A shop with 50 units of one product, whose threshold is the tenant's: 5."""
    shop = await play_shop(products=[[product("1")]], stocks=[[shelf("1", 50)]])
    await shop.start()
    return shop


def test_each_event_of_the_document_is_in_the_catalogue_that_bots_can_read():
    """“`sync.completed`, `sync.failed`, `stock.low`, `stock.out`, `stock.replenished`, `orders.created` …, `credentials.invalid`, `credentials.expiring` …,
    `webhook.test`.”"""
    promised = {
        "sync.completed", "sync.failed", "stock.low", "stock.out", "stock.replenished", "orders.created", "credentials.invalid",
        "credentials.expiring", "webhook.test",
    }  # fmt: skip

    assert promised <= CATALOGUE.keys()


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ([[price("1")]], ("sync.completed", "succeeded")),
        ([MarketplaceDown("It does not answer.")], ("sync.completed", "partial")),
        ([CredentialsRejected("The key was revoked.")], ("sync.failed", None)),
    ],
    ids=["succeeded", "partial", "failed"],
)
async def test_each_run_ends_with_one_sync_completed_or_sync_failed(play_shop: PlayShop, said: list[Any], heard: tuple[str, str | None]):
    """“`sync.completed`, `sync.failed`.” However a run ends: tests/sync/test_notices.py; however often its workers are killed: tests/faults."""
    shop = await play_shop(prices=said)

    run = await shop.start()

    [event] = [event for event in await shop.heard() if event["type"].startswith("sync.")]
    assert (event["type"], event["data"].get("status"), event["data"]["sync_id"]) == (*heard, str(run.id))


async def test_orders_created_is_one_event_per_sync_that_lists_at_most_50_new_orders_and_the_count(play_shop: PlayShop):
    """“`orders.created` (one event per sync, listing at most 50 new orders, and the count).”"""
    shop = await play_shop(orders=[[ordered("old")]])
    await shop.start()
    shop.says(orders=[[ordered(f"{page}-{n}", minutes_ago=n) for n in range(40)] for page in range(3)])

    await shop.start()
    await shop.start()

    [event] = [event for event in await shop.heard() if event["type"] == "orders.created"]
    assert (len(event["data"]["orders"]), event["data"]["total"], MAX_ORDERS) == (50, 120, 50)


async def test_stock_low_fires_on_the_crossing_and_not_at_each_sync(stocked: ScriptedShop):
    """“`stock.low` fires on the crossing, not at each sync, …” Each step of the ladder: tests/stocks/test_low_stock.py."""
    heard = await count(stocked, 6, 5, 5, 4, 4, 1, 3)

    assert heard == ["stock.low"]


async def test_stock_low_fires_again_only_after_the_stock_was_back_above_the_threshold(stocked: ScriptedShop):
    """“… and again only after the stock was back above the threshold.”"""
    heard = [await count(stocked, units) for units in (5, 3, 5, 50, 5)]

    assert heard == [["stock.low"], [], [], ["stock.replenished"], ["stock.low"]]


async def test_a_product_that_is_sold_out_and_one_that_is_replenished_is_told_of_once_each(stocked: ScriptedShop):
    """“`stock.out`, `stock.replenished`.”"""
    heard = [await count(stocked, units) for units in (0, 0, 50, 60, 50)]

    assert heard == [["stock.out"], [], ["stock.replenished"], [], []]


async def test_the_threshold_of_a_product_comes_before_the_tenants_default(stocked: ScriptedShop):
    """“Thresholds: product over tenant default.”"""
    await stocked.rows("UPDATE products SET low_stock_threshold = 20 RETURNING id")
    by_its_own = await count(stocked, 30, 20)
    await stocked.rows("UPDATE products SET low_stock_threshold = NULL RETURNING id")
    await stocked.rows("UPDATE tenants SET low_stock_threshold = 10 RETURNING id")
    by_the_tenants = await count(stocked, 50, 20, 10)

    assert (by_its_own, by_the_tenants) == (["stock.low"], ["stock.replenished", "stock.low"])


async def test_a_key_that_ends_is_told_of_30_7_and_1_days_before(shop: Shop):
    """“`credentials.expiring` (30, 7, 1 days before).” Once each, by many schedulers, in the seller's time zone: tests/credentials/test_expiry.py."""
    await shop.give_key()

    for hours_left in range(40 * 24, 0, -6):
        await change_key(shop, f"expires_at = now() + interval '{hours_left} hours'")
        await look_at_expiries()

    assert [(event, data["days_left"]) for event, data in await heard_of_keys(shop)] == [
        ("credentials.expiring", 30), ("credentials.expiring", 7), ("credentials.expiring", 1)]  # fmt: skip
