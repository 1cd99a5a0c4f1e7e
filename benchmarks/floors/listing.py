"""The floor of a list: a raw ASGI application that answers with the same document, from PostgreSQL or from Redis, and asks nobody who they are.

As a process: port, tenant.
"""

import gc
import os
import sys
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import redis.asyncio
import uvicorn

LIMIT = 100
CACHED_KEY = "benchmark:products"

PRODUCTS = """
    SELECT id, marketplace, external_id, article, title, brand, category, barcodes, image_url, price, discounted_price, currency,
           stock_total, NULL::float8, archived_at IS NOT NULL, updated_at
      FROM products WHERE tenant_id = $1 AND archived_at IS NULL ORDER BY id LIMIT $2
"""

Message = dict[str, Any]


class Product(msgspec.Struct):
    id: UUID
    marketplace: str
    external_id: str
    article: str
    title: str
    brand: str
    category: str
    barcodes: list[str]
    image_url: str | None
    price: Decimal | None
    discounted_price: Decimal | None
    currency: str | None
    stock_total: int
    days_of_cover: float | None
    archived: bool
    updated_at: datetime


class Page(msgspec.Struct):
    items: list[Product]
    next_cursor: str | None


class Application:
    """`/products` from PostgreSQL, `/cached` from Redis."""

    def __init__(self, tenant_id: UUID) -> None:
        self._tenant_id = tenant_id

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await self._open()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self._close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = await self._redis.get(CACHED_KEY) if scope["path"] == "/cached" else await self._list()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _list(self) -> bytes:
        rows = await self._database.fetch(PRODUCTS, self._tenant_id, LIMIT + 1)
        cursor = urlsafe_b64encode(rows[LIMIT - 1][0].bytes).decode() if len(rows) > LIMIT else None
        return msgspec.json.encode(Page([Product(*row) for row in rows[:LIMIT]], cursor))

    async def _open(self) -> None:
        # The tables are the application's, walls and all; a setting of the session passes them for good.
        self._database: Any = await asyncpg.create_pool(
            os.environ["DATABASE_URL"], min_size=1, max_size=10, server_settings={"app.scope": "system"}
        )
        self._redis: Any = redis.asyncio.from_url(os.environ["REDIS_URL"])
        await self._redis.set(CACHED_KEY, await self._list())
        gc.collect()
        gc.freeze()

    async def _close(self) -> None:
        await self._redis.aclose()
        await self._database.close()


if __name__ == "__main__":
    _, port, tenant_id = sys.argv
    application: Any = Application(UUID(tenant_id))
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
    )
