"""A shop's orders and prices are copied as its marketplace tells them, whatever happens between two syncs."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app.database import system_scope
from app.sandbox.tokens import Category
from tests.application import Shop

pytestmark = pytest.mark.anyio

ORDERS = """
    SELECT product.external_id, orders.ordered_at, orders.status FROM orders
      JOIN order_lines AS line ON line.order_id = orders.id JOIN products AS product ON product.id = line.product_id
     WHERE orders.tenant_id = $1
"""
VERSIONS = """
    SELECT 'order', id, ctid::text, xmin::text FROM orders WHERE tenant_id = $1
     UNION ALL SELECT 'line', id, ctid::text, xmin::text FROM order_lines WHERE tenant_id = $1
     UNION ALL SELECT 'product', id, ctid::text, xmin::text FROM products WHERE tenant_id = $1
"""


async def open_shop(shop: Shop, sandbox: httpx.AsyncClient, hours_ago: int = 0, **key: Any) -> dict[str, Any]:
    """Give a key; the marketplace's clock stands still from here on, at an hour, when all that has happened is in its reports."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago)
    assert (await sandbox.post("/clock", json={"freeze_at": now.isoformat()})).is_success
    await shop.give_key(shop.key(products=40, **key))
    return await shop.sync()


async def assert_orders_are_the_shops_own(shop: Shop, sandbox: httpx.AsyncClient, *, with_older: bool = False) -> None:
    """`with_older`: there may be more, that were made before."""
    told = (await sandbox.get(f"/shops/{shop.seller_id}/orders", params={"order_days": 30})).json()
    assert len(told) > 100
    # Wildberries has no word for an order that is on its way.
    expected = [
        (str(order["nm_id"]), order["ordered_at"][:19], {"delivering": "created"}.get(order["status"], order["status"])) for order in told
    ]
    stored = [(external_id, ordered_at.isoformat()[:19], status) for external_id, ordered_at, status in await shop.rows(ORDERS)]
    oldest = min(ordered_at for _, ordered_at, _ in expected)
    recent = sorted(order for order in stored if order[1] >= oldest)
    if with_older:
        assert not Counter(expected) - Counter(recent)
    else:
        assert recent == sorted(expected)


def stage(run: dict[str, Any], name: str) -> dict[str, Any]:
    return next(report for report in run["stages"] if report["name"] == name)


async def test_orders_and_prices_are_the_shops_own_and_a_second_sync_writes_nothing(shop: Shop, sandbox: httpx.AsyncClient):
    first = await open_shop(shop, sandbox)
    before = await shop.rows(VERSIONS)

    second = await shop.sync()

    assert (first["status"], second["status"]) == ("succeeded", "succeeded")
    await assert_orders_are_the_shops_own(shop, sandbox)
    totals = (await sandbox.get(f"/shops/{shop.seller_id}")).json()
    [[price, discounted]] = await shop.rows("SELECT sum(price), sum(discounted_price) FROM products WHERE tenant_id = $1")
    assert (price, discounted) == (totals["price_sum"], Decimal(totals["discounted_price_sum"]))
    assert [(stage(second, name)["created"], stage(second, name)["updated"]) for name in ("products", "prices", "orders")] == [(0, 0)] * 3
    assert await shop.rows(VERSIONS) == before


async def test_what_happens_between_two_syncs_is_found_by_the_second_also_what_is_told_late(shop: Shop, sandbox: httpx.AsyncClient):
    await open_shop(shop, sandbox)
    late = (await sandbox.post(f"/shops/{shop.seller_id}/orders/late", json={"count": 2, "delay_s": 1800})).json()["numbers"]

    for _ in range(4):
        await sandbox.post("/clock", json={"advance_s": 6 * 3600})
        run = await shop.sync()

    assert len(late) == 2
    assert stage(run, "orders")["updated"] > 0
    await assert_orders_are_the_shops_own(shop, sandbox)


async def test_what_the_marketplace_told_too_late_for_the_windows_is_found_within_a_day(shop: Shop, sandbox: httpx.AsyncClient):
    await open_shop(shop, sandbox, hours_ago=20)
    await sandbox.post(f"/shops/{shop.seller_id}/orders/late", json={"count": 12, "delay_s": 6 * 3600})
    for _ in range(3):
        await sandbox.post("/clock", json={"advance_s": 5 * 3600})
        await shop.sync()
    missed = await shop.rows(ORDERS)
    async with system_scope() as connection:
        await connection.execute("UPDATE checkpoints SET full_pass_at = full_pass_at - interval '25 hours'")

    run = await shop.sync()

    # Which of them the windows found all the same, since their status changed later, is the shop's chance.
    found = stage(run, "orders")["created"]
    assert found > 0
    assert len(await shop.rows(ORDERS)) == len(missed) + found
    await assert_orders_are_the_shops_own(shop, sandbox)


async def test_a_changed_price_is_all_that_is_written_and_shows_in_the_list(shop: Shop, sandbox: httpx.AsyncClient):
    await open_shop(shop, sandbox)
    before = {item["external_id"]: item for item in (await shop.expect(200, "GET", "/products"))["items"]}
    external_id = next(iter(before))
    await sandbox.patch(f"/shops/{shop.seller_id}/products/{external_id}", json={"price": 5000, "discount": 10})

    run = await shop.sync(scopes=["prices"])

    after = {item["external_id"]: item for item in (await shop.expect(200, "GET", "/products"))["items"]}
    assert (stage(run, "prices")["updated"], stage(run, "prices")["unchanged"]) == (1, 39)
    assert (after[external_id]["price"], after[external_id]["discounted_price"], after[external_id]["currency"]) == (
        "5000.00",
        "4500.00",
        "RUB",
    )
    assert datetime.fromisoformat(after[external_id]["updated_at"]) > datetime.fromisoformat(before[external_id]["updated_at"])
    assert {name: item for name, item in after.items() if name != external_id} == {
        name: item for name, item in before.items() if name != external_id
    }


async def test_a_key_without_a_category_skips_what_it_opens_and_names_it_in_russian(shop: Shop, sandbox: httpx.AsyncClient):
    run = await open_shop(shop, sandbox, categories=[Category.CONTENT, Category.STATISTICS])

    assert run["status"] == "partial"
    assert [report["status"] for report in run["stages"]] == ["succeeded", "skipped", "skipped", "succeeded"]
    assert "Цены" in stage(run, "prices")["error"]["detail"]
    # Of an order that was made before the list of orders begins, the list of sales tells only when it was sold.
    await assert_orders_are_the_shops_own(shop, sandbox, with_older=True)


@pytest.mark.parametrize("kind", ["undocumented", "unavailable", "disconnect"])
async def test_an_order_feed_that_fails_stops_nothing_else_and_the_next_sync_recovers(shop: Shop, sandbox: httpx.AsyncClient, kind: str):
    await open_shop(shop, sandbox)
    await sandbox.post("/clock", json={"advance_s": 24 * 3600})
    before = await shop.rows(ORDERS)
    fault = {"kind": kind, "times": 99, "path": "/api/analytics/v1/order-feed"}
    faults = await sandbox.post("/faults", json=fault)

    failed = await shop.sync()
    kept = await shop.rows(ORDERS)
    await sandbox.delete("/faults")
    recovered = await shop.sync()

    assert faults.is_success, faults.text
    assert (failed["status"], recovered["status"]) == ("partial", "succeeded")
    assert [report["status"] for report in failed["stages"]] == ["succeeded", "succeeded", "succeeded", "failed"]
    assert sorted(kept) == sorted(before)
    await assert_orders_are_the_shops_own(shop, sandbox)
