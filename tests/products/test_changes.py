"""A bot keeps its own copy of the catalogue, and asks only for what changed."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest

from app.database import tenant_scope
from app.marketplaces.contract import FetchedStock, Fulfilment, Marketplace
from app.products import store
from app.products.changes import CHANGES, list_changes
from app.products.prices import write_prices
from app.products.schemas import ChangesOut
from app.stocks.gathering import Gathering
from app.stocks.service import compare
from app.stocks.store import known_products, write_changes
from tests.application import Shop
from tests.factories import create_tenant, product
from tests.scripted_client import price

pytestmark = pytest.mark.anyio

WILDBERRIES, OZON = Marketplace.WILDBERRIES, Marketplace.OZON


async def write(tenant: UUID, *external_ids: str, title: str = "Mug", marketplace: Marketplace = WILDBERRIES) -> None:
    """Each in a transaction of its own, so that their order is known."""
    for external_id in external_ids:
        async with tenant_scope(tenant) as connection:
            await store.write_products(connection, tenant, marketplace, [product(external_id, title, sizes=2)])


async def archive(tenant: UUID, *external_ids: str, marketplace: Marketplace = WILDBERRIES) -> None:
    async with tenant_scope(tenant) as connection:
        await store.archive(connection, tenant, marketplace, external_ids)


async def count(tenant: UUID, *shelves: FetchedStock, marketplace: Marketplace = WILDBERRIES) -> None:
    """What the marketplace's warehouses hold, all of it."""
    with Gathering() as gathering:
        gathering.add(shelves)
        async with tenant_scope(tenant) as connection:
            known = await known_products(connection, tenant, marketplace, after=None, limit=1000)
            _, changes = compare(known, {Fulfilment.MARKETPLACE_WAREHOUSE: gathering})
            if changes:
                await write_changes(connection, tenant, changes)


def shelf(external_id: str, quantity: int, size: int = 0) -> FetchedStock:
    return FetchedStock(external_id, f"{external_id}-{size}", "507", "Коледино", quantity, 0, 0)


async def ask(tenant: UUID, cursor: str | None = None, limit: int = 100, marketplace: Marketplace | None = None) -> ChangesOut:
    return await list_changes(tenant, marketplace=marketplace, limit=limit, cursor=cursor)


def told(answer: ChangesOut) -> list[tuple[str, str]]:
    return [(item.change, item.product.external_id) for item in answer.items]


async def test_a_copy_begins_with_everything_in_the_order_of_the_last_changes(clean_database):
    tenant = await create_tenant()
    await write(tenant, "1", "2", "3", "4")
    await archive(tenant, "2")
    await write(tenant, "1", title="Cup")

    answer = await ask(tenant)

    assert told(answer) == [("added", "3"), ("added", "4"), ("archived", "2"), ("added", "1")]
    assert not answer.more


async def test_afterwards_only_what_changed_is_told_as_it_is_now_and_once(clean_database):
    tenant = await create_tenant()
    await write(tenant, "1", "2", "3", "4", "5", "6")
    await archive(tenant, "6")
    copied = await ask(tenant)

    await write(tenant, "1", title="Cup")
    await archive(tenant, "2")
    await write(tenant, "7", "6")
    await write(tenant, "1", title="Plate")
    async with tenant_scope(tenant) as connection:
        await write_prices(connection, tenant, WILDBERRIES, [price("3"), price("4", None, None)])
    await count(tenant, shelf("5", 8))
    answer = await ask(tenant, copied.next_cursor)

    assert told(answer) == [("archived", "2"), ("added", "7"), ("updated", "6"), ("updated", "1"), ("updated", "3"), ("updated", "5")]
    assert [(item.product.title, item.product.archived, item.product.stock_total) for item in answer.items] == [
        ("Mug", True, 0),
        ("Mug", False, 0),
        ("Mug", False, 0),
        ("Plate", False, 0),
        ("Mug", False, 0),
        ("Mug", False, 8),
    ]


async def test_a_cursor_is_always_there_and_stays_good(clean_database):
    tenant = await create_tenant()
    empty = await ask(tenant)
    assert (told(empty), empty.more) == ([], False)
    still_empty = await ask(tenant, empty.next_cursor)
    await write(tenant, "1", "2")

    first = await ask(tenant, still_empty.next_cursor, limit=1)
    second = await ask(tenant, first.next_cursor, limit=1)
    nothing = await ask(tenant, second.next_cursor)

    assert [told(answer) for answer in (first, second, nothing)] == [[("added", "1")], [("added", "2")], []]
    assert [answer.more for answer in (first, second, nothing)] == [True, False, False]
    # Asked again, as after an answer that was lost, the same is told.
    assert told(await ask(tenant, still_empty.next_cursor)) == [("added", "1"), ("added", "2")]
    # The one that was told last is no longer new.
    await write(tenant, "2", title="Cup")
    assert told(await ask(tenant, nothing.next_cursor)) == [("updated", "2")]


async def test_what_is_new_to_the_bot_is_added_however_often_it_changed_before_its_turn_came(clean_database):
    tenant = await create_tenant()
    await write(tenant, "1", "2", "3")
    first = await ask(tenant, limit=1)
    await write(tenant, "2", "4")
    await write(tenant, "2", "4", title="Cup")

    rest = await ask(tenant, first.next_cursor)

    assert (told(first), first.more) == ([("added", "1")], True)
    assert told(rest) == [("added", "3"), ("added", "2"), ("added", "4")]
    await write(tenant, "3", "4", title="Plate")
    assert told(await ask(tenant, rest.next_cursor)) == [("updated", "3"), ("updated", "4")]


async def test_one_marketplace_alone_may_be_followed(clean_database):
    tenant = await create_tenant()
    await write(tenant, "1", "2")
    await write(tenant, "1", marketplace=OZON)
    copied = await ask(tenant, marketplace=OZON)
    await write(tenant, "1", "2", title="Cup")

    quiet = await ask(tenant, copied.next_cursor, marketplace=OZON)
    await write(tenant, "1", title="Cup", marketplace=OZON)
    await write(tenant, "2", title="Cup", marketplace=OZON)
    changed = await ask(tenant, quiet.next_cursor, marketplace=OZON)

    assert [told(answer) for answer in (copied, quiet, changed)] == [[("added", "1")], [], [("updated", "1"), ("added", "2")]]


async def test_changes_are_found_by_their_index_and_not_sorted(clean_database):
    tenant = await create_tenant()
    # Whatever the planner knows of the table, it sees that it is large.
    async with tenant_scope(tenant) as connection:
        await store.write_products(connection, tenant, WILDBERRIES, [product(str(number)) for number in range(3_000)])
    answer = await ask(tenant, marketplace=WILDBERRIES)

    async with tenant_scope(tenant) as connection:
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch(
            f"EXPLAIN {CHANGES}",
            tenant,
            answer.items[0].product.updated_at,
            UUID(int=0),
            answer.items[0].product.updated_at,
            WILDBERRIES,
            101,
        )

    walk = "\n".join(row[0] for row in plan).partition("SubPlan")[0]
    assert "Index Scan using products_changed" in walk
    assert "Sort" not in walk


async def test_a_change_shows_the_product_as_it_is_shown_alone(shop: Shop):
    await shop.give_key()
    await shop.sync()

    answer = await shop.expect(200, "GET", "/changes")

    assert len(answer["items"]) == 5
    assert any(item["product"]["stocks"] for item in answer["items"])
    for item in answer["items"]:
        assert item == {"change": "added", "product": await shop.expect(200, "GET", f"/products/{item['product']['id']}")}


async def test_a_sync_that_finds_nothing_new_is_no_change(shop: Shop):
    await shop.give_key()
    await shop.sync()
    copied = await shop.expect(200, "GET", "/changes")

    await shop.sync(full=True)

    later = await shop.expect(200, "GET", "/changes", params={"cursor": copied["next_cursor"]})
    assert (later["items"], later["more"]) == ([], False)


async def test_a_cursor_belongs_to_its_tenant_and_query_and_a_limit_may_change(shop: Shop, other_shop: Shop):
    await write(shop.tenant_id, "1", "2")
    await write(other_shop.tenant_id, "7", "8", title="theirs")
    ours, theirs = [(await seller.expect(200, "GET", "/changes", params={"limit": 1}))["next_cursor"] for seller in (shop, other_shop)]
    products = (await shop.expect(200, "GET", "/products", params={"limit": 1}))["next_cursor"]

    for query in ({"cursor": theirs}, {"cursor": products}, {"cursor": ours, "marketplace": "ozon"}):
        answer = await shop.call("GET", "/changes", params=query)
        assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["cursor"])
    more = await shop.expect(200, "GET", "/changes", params={"cursor": ours, "limit": 500})
    assert [item["product"]["external_id"] for item in more["items"]] == ["2"]
    everything = await shop.call("GET", "/changes")
    assert "theirs" not in everything.text


@pytest.mark.parametrize(
    ("query", "field"),
    [({"limit": "0"}, "limit"), ({"limit": "501"}, "limit"), ({"cursor": "!"}, "cursor"), ({"marketplace": "ebay"}, "marketplace"), ({"since": "1"}, "since")],
)  # fmt: skip
async def test_a_wrong_query_is_named(shop: Shop, query: dict[str, str], field: str):
    answer = await shop.call("GET", "/changes", params=query)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


class Writer:
    """Does to one marketplace's products whatever a sync may do, in transactions that end when they like."""

    def __init__(self, tenant: UUID, marketplace: Marketplace, dice: random.Random) -> None:
        self.tenant = tenant
        self.marketplace = marketplace
        self.dice = dice
        self.counted: dict[str, FetchedStock] = {}

    async def run(self, transactions: int) -> None:
        for _ in range(transactions):
            deed = self.dice.choice((self._write, self._write, self._archive, self._price, self._count))
            await deed(sorted({str(self.dice.randrange(12)) for _ in range(self.dice.randrange(1, 5))}))

    async def _write(self, external_ids: Sequence[str]) -> None:
        products = [product(external_id, self.dice.choice(("Mug", "Cup", "Plate")), sizes=2) for external_id in external_ids]
        async with tenant_scope(self.tenant) as connection:
            await store.write_products(connection, self.tenant, self.marketplace, products)
            await self._dawdle(connection)

    async def _archive(self, external_ids: Sequence[str]) -> None:
        async with tenant_scope(self.tenant) as connection:
            await store.archive(connection, self.tenant, self.marketplace, external_ids)
            await self._dawdle(connection)

    async def _price(self, external_ids: Sequence[str]) -> None:
        prices = [price(external_id, self.dice.choice(("100", "200"))) for external_id in external_ids]
        async with tenant_scope(self.tenant) as connection:
            await write_prices(connection, self.tenant, self.marketplace, prices)
            await self._dawdle(connection)

    async def _count(self, external_ids: Sequence[str]) -> None:
        self.counted |= {external_id: shelf(external_id, self.dice.randrange(4), self.dice.randrange(2)) for external_id in external_ids}
        with Gathering() as gathering:
            gathering.add(self.counted.values())
            async with tenant_scope(self.tenant) as connection:
                known = await known_products(connection, self.tenant, self.marketplace, after=None, limit=100)
                _, changes = compare(known, {Fulfilment.MARKETPLACE_WAREHOUSE: gathering})
                if changes:
                    await write_changes(connection, self.tenant, changes)
                await self._dawdle(connection)

    async def _dawdle(self, connection: Any) -> None:
        await connection.execute("SELECT pg_sleep($1)", self.dice.random() * 0.004)


class Mirror:
    """A bot's own copy."""

    def __init__(self, tenant: UUID, dice: random.Random) -> None:
        self.tenant = tenant
        self.dice = dice
        self.cursor: str | None = None
        self.products: dict[UUID, bytes] = {}

    async def catch_up(self) -> None:
        more = True
        while more:
            answer = await ask(self.tenant, self.cursor, limit=self.dice.randrange(1, 6))
            assert len({item.product.id for item in answer.items}) == len(answer.items)
            for item in answer.items:
                assert item.change != "updated" or item.product.id in self.products
                assert (item.change == "archived") == item.product.archived
                assert sum(shelf.quantity for shelf in item.product.stocks) == item.product.stock_total
                self.products[item.product.id] = msgspec.json.encode(item.product)
            self.cursor, more = answer.next_cursor, answer.more


async def test_a_mirror_that_follows_two_syncs_misses_nothing(clean_database):
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    tenant = await create_tenant()
    writers = [Writer(tenant, marketplace, random.Random(f"{seed} {marketplace}")) for marketplace in (WILDBERRIES, OZON)]
    mirror = Mirror(tenant, random.Random(seed))

    writing = asyncio.gather(*(writer.run(60) for writer in writers))
    while not writing.done():
        await mirror.catch_up()
    await writing
    await mirror.catch_up()

    async with tenant_scope(tenant) as connection:
        stored = {row[0]: row[1] for row in await connection.fetch("SELECT id, updated_at FROM products")}
    truth = {item.product.id: msgspec.json.encode(item.product) for item in (await ask(tenant, limit=500)).items}
    assert stored.keys() == truth.keys()
    assert len(stored) > 12
    assert mirror.products == truth
