"""Requests with a key, and what the tests look at."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from app.database import Connection, system_scope
from app.tenants.service import lock_tenant
from tests.application import Shop

KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"
HOOK = {"url": "http://127.0.0.1:9/hook"}

Answer = httpx.Response


async def ask(
    shop: Shop, path: str = "/webhooks", body: object = HOOK, key: str | bytes = KEY, token: str = "", method: str = "POST"
) -> Answer:
    headers = {"Authorization": f"Bearer {token or shop.access_token}", "Idempotency-Key": key}
    return await shop.client.request(method, path, json=body, headers=httpx.Headers(list(headers.items())))


def code(answer: Answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def is_replay(answer: Answer) -> bool:
    return answer.headers.get("Idempotency-Replayed") == "true"


def said(answer: Answer) -> tuple[int, bytes, str | None, str | None]:
    """What a caller goes by."""
    return answer.status_code, answer.content, answer.headers.get("Location"), answer.headers.get("Content-Type")


async def webhooks(shop: Shop) -> int:
    [(count,)] = await shop.rows("SELECT count(*) FROM webhook_endpoints WHERE tenant_id = $1")
    return count


async def kept(shop: Shop) -> list[tuple[int | None, str]]:
    """The rows of keys: the status, and what is sealed."""
    return [tuple(row) for row in await shop.rows("SELECT status, answer_encrypted FROM idempotent_requests WHERE tenant_id = $1")]  # type: ignore[misc]


async def let_pass(shop: Shop, age: timedelta) -> None:
    """As if the keys had been reserved so much earlier."""
    async with system_scope() as connection:
        await connection.execute(
            "UPDATE idempotent_requests SET created_at = created_at - $2::interval WHERE tenant_id = $1", shop.tenant_id, age
        )


@asynccontextmanager
async def changes_held_up(shop: Shop) -> AsyncIterator["HeldUp"]:
    """Who changes something of the tenant waits until this ends; reading, and keys, do not."""
    outside = contextvars.copy_context()
    async with system_scope() as connection:
        await lock_tenant(connection, shop.tenant_id)
        yield HeldUp(connection, outside)


class HeldUp:
    def __init__(self, connection: Connection, outside: contextvars.Context) -> None:
        self._connection = connection
        self._outside = outside
        self._begun = 0

    async def begin(self, asking: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        """Let somebody ask; gives control back when the request waits with those that were begun before."""
        task = self.beside(asking)
        self._begun += 1
        async with asyncio.timeout(10):
            while await self._connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") < self._begun:
                await asyncio.sleep(0.01)
        return task

    def beside(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Outside of the transaction that holds the others up."""
        return asyncio.create_task(coroutine, context=self._outside.copy())


async def everything_kept_of(tenant_id: UUID) -> str:
    async with system_scope() as connection:
        return repr(await connection.fetch("SELECT * FROM idempotent_requests WHERE tenant_id = $1", tenant_id))
