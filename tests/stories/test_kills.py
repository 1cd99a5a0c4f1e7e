"""A worker is killed again and again, at moments that chance chooses, and what it leaves is what an undisturbed one would have left."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from app.sandbox.ozon.keys import issue_ozon_key
from app.sandbox.tokens import issue_token
from tests.stories.product import Product, SellersBot

pytestmark = pytest.mark.anyio

KILLS = 20
PRODUCTS = 500
OZON_CARDS = 100
DELAY_MS = 25
# A seller's syncs take about as long as five such lives on the average.
LONGEST_LIFE_S = 0.4
KILLS_PER_SELLER = 5

STATE = {
    "products": """
        SELECT marketplace, external_id, article, title, brand, category, barcodes, sizes, image_url, price, discounted_price, currency, stock_total,
               digest, marketplace_stock_digest, seller_stock_digest, archived_at IS NULL AS active
          FROM products WHERE tenant_id = $1 ORDER BY marketplace, external_id""",
    "stocks": """
        SELECT product.marketplace, product.external_id, fulfilment, size_id, warehouse_id, warehouse, quantity, in_way_to_client, in_way_from_client
          FROM stocks JOIN products AS product ON product.id = product_id WHERE stocks.tenant_id = $1 ORDER BY 1, 2, 3, 4, 5""",
    "orders": """
        SELECT orders.marketplace, orders.external_id, number, status, marketplace_status, fulfilment, warehouse, destination, orders.currency, ordered_at,
               orders.digest, product.external_id AS product, line.size_id, line.quantity, line.price
          FROM orders JOIN order_lines AS line ON line.order_id = orders.id LEFT JOIN products AS product ON product.id = line.product_id
         WHERE orders.tenant_id = $1 ORDER BY 1, 2, product.external_id, line.size_id""",
    "checkpoints": """
        SELECT marketplace, stage, full_pass_run IS NULL AS complete FROM checkpoints WHERE tenant_id = $1 ORDER BY 1, 2""",
    "sightings": "SELECT count(*) FROM sightings WHERE tenant_id = $1",
    "runs": "SELECT marketplace, status, count(*) FROM sync_runs WHERE tenant_id = $1 GROUP BY 1, 2 ORDER BY 1, 2",
    "events": """
        SELECT type, body::json -> 'data' ->> 'marketplace', body::json -> 'data' ->> 'counts', count(*)
          FROM events WHERE tenant_id = $1 GROUP BY 1, 2, 3 ORDER BY 1, 2""",
}
Rows = Callable[..., Awaitable[list[Any]]]


async def test_killed_at_twenty_random_points_it_ends_as_if_never_killed(product: Product, rows: Rows):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    product.stop_workers()
    product.sandbox("POST", "/clock", freeze_at="2026-11-20T09:00:00Z")
    try:
        with product.slow_marketplace(DELAY_MS):
            reference = seller(product)
            with worker(product):
                await finished(rows, reference)
            expected = await state(rows, reference)
            assert {(marketplace, status) for marketplace, status, _ in expected["runs"]} == {
                ("ozon", "succeeded"),
                ("wildberries", "succeeded"),
            }
            assert {row[0] for name in ("products", "stocks", "orders") for row in expected[name]} == {"ozon", "wildberries"}
            hits = 0
            while hits < KILLS:
                bot = seller(product)
                hits += await kill_again_and_again(product, rows, bot, chance)
                with worker(product):
                    await finished(rows, bot)
                for name, rows_of_reference in expected.items():
                    got = (await state(rows, bot))[name]
                    assert [(was, row) for was, row in zip(rows_of_reference, got, strict=True) if was != row] == [], name
    finally:
        product.sandbox("POST", "/clock", run=True)


async def kill_again_and_again(product: Product, rows: Rows, bot: SellersBot, chance: random.Random) -> int:
    """Kill the workers that carry out the seller's syncs until they are done, or were killed often enough. Gives how often a sync was hit."""
    hits = 0
    for _ in range(KILLS_PER_SELLER):
        with worker(product):
            await claimed(rows, bot)
            await asyncio.sleep(chance.uniform(0.0, LONGEST_LIFE_S))
        # The third crash would end the run for good, as another test shows.
        hit = await rows(
            "UPDATE sync_runs SET lease_until = now() - interval '1 s', crashes = -1 "
            "WHERE tenant_id = $1 AND status = 'running' RETURNING marketplace, stage, done",
            UUID(bot.tenant_id),
        )
        if not hit:
            break
        hits += len(hit)
        print("killed at", *(f"{marketplace}: {stage or 'the beginning'} {done}" for marketplace, stage, done in hit), sep=" | ")
        await swept(rows, bot)
    return hits


def seller(product: Product) -> SellersBot:
    """One with the same goods at both marketplaces as all the others."""
    bot = product.seller()
    client_id = secrets.randbelow(10**9) + 1
    product.sandbox("PUT", f"/shops/{bot.seller_id}", products=PRODUCTS, seed=7)
    product.sandbox("PUT", f"/ozon/shops/{client_id}", products=OZON_CARDS, seed=8)
    keys = {"wildberries_api_key": issue_token(bot.seller_id), "ozon_client_id": str(client_id), "ozon_api_key": issue_ozon_key(client_id)}
    bot.expect(200, "PATCH", "/tenants/me/credentials", json=keys)
    return bot


@contextmanager
def worker(product: Product) -> Iterator[None]:
    """A worker that is killed in the end."""
    process = product.start_worker()
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def claimed(rows: Rows, bot: SellersBot) -> None:
    await until(rows, "SELECT FROM sync_runs WHERE tenant_id = $1 AND status <> 'queued'", bot)


async def swept(rows: Rows, bot: SellersBot) -> None:
    """The scheduler has found that nobody has the runs."""
    await until(rows, "SELECT WHERE NOT EXISTS (SELECT FROM sync_runs WHERE tenant_id = $1 AND status = 'running')", bot)


async def finished(rows: Rows, bot: SellersBot) -> None:
    await until(rows, "SELECT WHERE NOT EXISTS (SELECT FROM sync_runs WHERE tenant_id = $1 AND status IN ('queued', 'running'))", bot)


async def until(rows: Rows, statement: str, bot: SellersBot) -> None:
    async with asyncio.timeout(40):
        while not await rows(statement, UUID(bot.tenant_id)):
            await asyncio.sleep(0.02)


async def state(rows: Rows, bot: SellersBot) -> dict[str, Any]:
    return {name: [tuple(row) for row in await rows(statement, UUID(bot.tenant_id))] for name, statement in STATE.items()}
