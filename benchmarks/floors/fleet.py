"""The floor of an unchanged fleet, as a process: the requests of each sync over aiohttp, decoded by msgspec, and one look at what was known of the shop.

No walls between tenants, no lease, no checkpoint, no retry, no history, no event, no sealed key; and it is told nothing but that all tenants are due.
Arguments: how many tenants, and how many products each has. What it knows of a shop, a digest, stands in a table of its own.
"""

import asyncio
import gc
import os
import sys
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import msgspec
import uvloop

from benchmarks.floors.sync import Cards, Stock
from benchmarks.shops import seller_token
from benchmarks.usage import Meter, report

AT_ONCE = 64
CONNECTIONS = 10
SHOPS = "CREATE TABLE floor_shops (tenant_id uuid PRIMARY KEY, digest bytea NOT NULL)"


class Price(msgspec.Struct, gc=False):
    price: float
    discounted: float = msgspec.field(name="discountedPrice")


class Goods(msgspec.Struct, gc=False):
    nm_id: int = msgspec.field(name="nmID")
    currency: str = msgspec.field(name="currencyIsoCode4217")
    sizes: list[Price]


class GoodsList(msgspec.Struct):
    goods: list[Goods] = msgspec.field(name="listGoods")


class Prices(msgspec.Struct):
    data: GoodsList


class Order(msgspec.Struct, gc=False):
    srid: str
    nm_id: int = msgspec.field(name="nmId")
    status: str
    created_at: datetime = msgspec.field(name="createdAt")
    updated_at: datetime | None = msgspec.field(name="updatedAt", default=None)


class OrderList(msgspec.Struct):
    orders: list[Order]


class Orders(msgspec.Struct):
    data: OrderList


class Trash(msgspec.Struct):
    cards: list[msgspec.Raw]


_cards = msgspec.json.Decoder(Cards)
_trash = msgspec.json.Decoder(Trash)
_prices = msgspec.json.Decoder(Prices)
_stock = msgspec.json.Decoder(Stock)
_orders = msgspec.json.Decoder(Orders)
_encode = msgspec.msgpack.Encoder().encode
_question = msgspec.json.encode


class Shop:
    """A tenant's shop as its key shows it."""

    def __init__(self, http: aiohttp.ClientSession, token: str, behind: dict[str, Any], orders_since: datetime) -> None:
        self._http = http
        self._headers = {"Authorization": token, "Content-Type": "application/json"}
        self._behind = behind
        self._orders_since = orders_since

    async def cards(self) -> Cards:
        """Those behind the cursor."""
        cursor = {"limit": 100, **self._behind}
        settings = {"sort": {"ascending": True}, "filter": {"withPhoto": -1}, "cursor": cursor}
        return _cards.decode(await self._post("CONTENT", "/content/v2/get/cards/list", {"settings": settings}))

    async def digest(self) -> bytes:
        """Of everything that it answers."""
        cards = await self.cards()
        trash = _trash.decode(
            await self._post(
                "CONTENT", "/content/v2/get/cards/trash", {"settings": {"sort": {"ascending": True}, "cursor": {"limit": 100}}}
            )
        )
        prices: list[Goods] = []
        while goods := _prices.decode(await self._get("PRICES", f"/api/v2/list/goods/filter?limit=1000&offset={len(prices)}")).data.goods:
            prices += goods
        stock = [
            _stock.decode(body).data.items if body else []
            for name in ("wb-warehouses", "seller-warehouses")
            for body in [
                await self._post("ANALYTICS", f"/api/analytics/v1/stocks-report/{name}", {"limit": 250000, "offset": 0, "nmIds": []})
            ]
        ]
        window = {"selectedPeriod": {"start": self._orders_since}, "pagination": {"limit": 10000}}
        orders = _orders.decode(await self._post("ANALYTICS", "/api/analytics/v1/order-feed", window)).data.orders
        return blake2b(_encode([cards.cards, len(trash.cards), prices, stock, orders]), digest_size=16).digest()

    async def _post(self, host: str, path: str, question: object) -> bytes:
        async with self._http.post(_url(host, path), data=_question(question), headers=self._headers) as answer:
            answer.raise_for_status()
            return await answer.read()

    async def _get(self, host: str, path: str) -> bytes:
        async with self._http.get(_url(host, path), headers=self._headers) as answer:
            answer.raise_for_status()
            return await answer.read()


def _url(host: str, path: str) -> str:
    return f"{os.environ[f'WB_{host}_API_URL']}{path}"


async def _sync_all(shops: dict[UUID, Shop], database: Any) -> None:
    due = iter(shops.items())

    async def work() -> None:
        for tenant_id, shop in due:
            digest = await shop.digest()
            if await database.fetchval("SELECT digest FROM floor_shops WHERE tenant_id = $1", tenant_id) != digest:
                raise SystemExit("A shop changed.")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work())


async def _main(tenants: int, products: int) -> None:
    gc.collect()
    gc.freeze()
    idle, since = Meter(), datetime.now(UTC) - timedelta(hours=1)
    async with (
        asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=CONNECTIONS, max_size=CONNECTIONS) as database,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as http,
    ):
        first = Shop(http, seller_token(products), {}, since)
        behind: dict[str, Any] = {}
        while (page := await first.cards()).cards:
            behind = {"updatedAt": page.cursor.updated_at, "nmID": page.cursor.nm_id}
            first = Shop(http, seller_token(products), behind, since)
        shops = {uuid4(): Shop(http, seller_token(products), behind, since) for _ in range(tenants)}
        await database.execute(SHOPS)
        await database.execute("INSERT INTO floor_shops SELECT unnest($1::uuid[]), $2", list(shops), await first.digest())
        meter = Meter()
        await _sync_all(shops, database)
        used = meter.read()
        await database.execute("DROP TABLE floor_shops")
    report(used, idle_pss_mib=idle.pss_mib)


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]), int(sys.argv[2])))
