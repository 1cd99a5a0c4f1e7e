"""A seller sets what no marketplace knows of a product: when it is low in stock, and how long a delivery takes."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from app.database import system_scope
from app.tenants.service import lock_tenant
from tests.application import Shop
from tests.auth.application import PASSWORD
from tests.products.transactions import uncommitted, until_somebody_waits_for

pytestmark = pytest.mark.anyio

SETTINGS = {"low_stock_threshold", "lead_time_days"}


async def fullest_product(shop: Shop) -> dict[str, Any]:
    await shop.give_key(shop.key(products=3))
    await shop.sync()
    return (await shop.expect(200, "GET", "/products", params={"sort": "-stock"}))["items"][0]


async def audit(shop: Shop) -> list[tuple[str, dict[str, Any]]]:
    entries = await shop.rows("SELECT actor, facts FROM audit_log WHERE tenant_id = $1 AND action = 'product.updated' ORDER BY id")
    return [(actor, msgspec.json.decode(facts)) for actor, facts in entries]


async def test_a_product_has_none_of_its_own_at_first(shop: Shop):
    product = await fullest_product(shop)

    detail = await shop.expect(200, "GET", f"/products/{product['id']}")

    assert {name: detail[name] for name in SETTINGS} == dict.fromkeys(SETTINGS)
    assert not SETTINGS & product.keys()


async def test_what_is_named_changes_null_takes_it_back_and_the_rest_stays(shop: Shop):
    product = await fullest_product(shop)
    path = f"/products/{product['id']}"

    both = await shop.expect(200, "PATCH", path, json={"low_stock_threshold": 20, "lead_time_days": 14})
    one = await shop.expect(200, "PATCH", path, json={"low_stock_threshold": None})

    assert (both["low_stock_threshold"], both["lead_time_days"]) == (20, 14)
    assert (one["low_stock_threshold"], one["lead_time_days"]) == (None, 14)
    assert one == await shop.expect(200, "GET", path)
    assert one["stocks"]
    assert {name: one[name] for name in product if name != "updated_at"} == {
        name: product[name] for name in product if name != "updated_at"
    }


async def test_no_sync_overwrites_them(shop: Shop, sandbox: httpx.AsyncClient):
    product = await fullest_product(shop)
    await shop.expect(200, "PATCH", f"/products/{product['id']}", json={"low_stock_threshold": 20, "lead_time_days": 14})
    await sandbox.patch(f"/shops/{shop.seller_id}/products/{product['external_id']}", json={"title": "Renamed"})

    await shop.sync(full=True)

    detail = await shop.expect(200, "GET", f"/products/{product['id']}")
    assert (detail["title"], detail["low_stock_threshold"], detail["lead_time_days"]) == ("Renamed", 20, 14)


async def test_a_list_that_was_kept_is_forgotten_and_followers_are_told(shop: Shop):
    product = await fullest_product(shop)
    await shop.expect(200, "PATCH", "/tenants/me", json={"low_stock_threshold": 0})
    copied = await shop.expect(200, "GET", "/changes")
    low = {"low_stock": "true"}
    assert product["id"] not in [item["id"] for item in (await shop.expect(200, "GET", "/products", params=low))["items"]]

    detail = await shop.expect(200, "PATCH", f"/products/{product['id']}", json={"low_stock_threshold": 1_000_000})

    assert product["id"] in [item["id"] for item in (await shop.expect(200, "GET", "/products", params=low))["items"]]
    later = await shop.expect(200, "GET", "/changes", params={"cursor": copied["next_cursor"]})
    assert later["items"] == [{"change": "updated", "product": detail}]


async def test_who_changed_what_is_on_record_and_what_is_so_already_is_no_change(shop: Shop):
    product = await fullest_product(shop)
    path = f"/products/{product['id']}"
    changed = await shop.expect(200, "PATCH", path, json={"lead_time_days": 14, "low_stock_threshold": None})

    again = await shop.expect(200, "PATCH", path, json={"lead_time_days": 14})

    assert again == changed
    [(actor, facts)] = await audit(shop)
    assert actor.startswith("user:")
    assert facts == {"product_id": product["id"], "lead_time_days": 14, "low_stock_threshold": None}


async def test_an_owner_waits_for_the_sync_that_writes_and_not_the_other_way_round(shop: Shop):
    product = await fullest_product(shop)
    path = f"/products/{product['id']}"

    async with uncommitted(shop.tenant_id, lambda connection, _: lock_tenant(connection, shop.tenant_id)) as sync:
        waiting = asyncio.create_task(shop.call("PATCH", path, json={"lead_time_days": 3}))
        await until_somebody_waits_for(sync)
        # The product's row is still free.
        await shop.rows("SELECT FROM products WHERE tenant_id = $1 FOR UPDATE NOWAIT")

    assert (await waiting).status_code == 200


@pytest.mark.parametrize("value", [0, 1_000_000, None])
async def test_a_threshold_may_be(shop: Shop, value: int | None):
    product = await fullest_product(shop)

    detail = await shop.expect(200, "PATCH", f"/products/{product['id']}", json={"low_stock_threshold": value})

    assert detail["low_stock_threshold"] == value


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"low_stock_threshold": -1}, "low_stock_threshold"),
        ({"low_stock_threshold": 1_000_001}, "low_stock_threshold"),
        ({"low_stock_threshold": "5"}, "low_stock_threshold"),
        ({"lead_time_days": -1}, "lead_time_days"),
        ({"lead_time_days": 366}, "lead_time_days"),
        ({"lead_time_days": 1.5}, "lead_time_days"),
        ({"title": "Mine"}, "title"),
    ],
)
async def test_a_wrong_setting_is_named_and_nothing_changes(shop: Shop, body: dict[str, Any], field: str):
    product = await fullest_product(shop)
    path = f"/products/{product['id']}"
    before = await shop.expect(200, "GET", path)

    answer = await shop.call("PATCH", path, json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await shop.expect(200, "GET", path) == before


async def test_anothers_product_is_as_absent_as_a_missing_one(shop: Shop, other_shop: Shop):
    theirs = (await fullest_product(other_shop))["id"]

    answers = [await shop.call("PATCH", f"/products/{product_id}", json={"lead_time_days": 3}) for product_id in (theirs, uuid4())]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not_found")] * 2
    assert (await other_shop.expect(200, "GET", f"/products/{theirs}"))["lead_time_days"] is None
    assert await audit(shop) == await audit(other_shop) == []


async def test_who_may_only_look_changes_nothing_and_sees_changes(shop: Shop):
    product = await fullest_product(shop)
    async with system_scope() as connection:
        await connection.execute("UPDATE memberships SET role = 'viewer' WHERE tenant_id = $1", shop.tenant_id)
    login = await shop.client.post("/auth/login", json={"email": "tg12345@example.com", "password": PASSWORD})
    viewer = msgspec.structs.replace(shop, access_token=login.json()["access_token"])

    await viewer.expect(403, "PATCH", f"/products/{product['id']}", json={"lead_time_days": 3})

    assert len((await viewer.expect(200, "GET", "/changes"))["items"]) == 3
