"""Bots that made an endpoint and receive at a real address, and what their tests look at."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

from standardwebhooks.webhooks import Webhook

from app.database import system_scope
from app.webhooks.delivery import claim, deliver
from app.webhooks.dispatch import dispatch
from app.webhooks.schemas import WebhookIn
from app.webhooks.sender import Answer, Sender
from app.webhooks.service import create_webhook
from tests.webhooks.receiver import Receiver, receiver_on

SCHEDULE_S = (5, 300, 1800)


class Bot:
    """A receiver and the endpoint that leads to it."""

    def __init__(self, receiver: Receiver, tenant_id: UUID, endpoint_id: UUID, secret: str) -> None:
        self.receiver = receiver
        self.tenant_id = tenant_id
        self.endpoint_id = endpoint_id
        self.secret = secret

    @classmethod
    async def register(cls, receiver: Receiver, tenant_id: UUID, event_types: list[str]) -> Self:
        made = await create_webhook(
            tenant_id, "user:1", WebhookIn(url=f"http://127.0.0.1:{receiver.port}/{tenant_id}", event_types=event_types)
        )
        assert isinstance(made.secret, str)
        return cls(receiver, tenant_id, made.id, made.secret)

    def answers(self, status: int, *, body: bytes = b"", **headers: str) -> None:
        """From now on, to every request."""
        fields = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.receiver.answer = f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + body

    def holds(self) -> "Hold":
        """From now on requests wait for `release()`."""
        hold = Hold()
        self.receiver.answer = hold.answer
        return hold

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What came, verified by the public library."""
        return [Webhook(self.secret).verify(request.body, request.headers) for request in self.receiver.requests]

    @property
    def message_ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.receiver.requests]

    async def heard(self, number: int, patience_s: float = 10) -> None:
        """Wait until that many requests came."""
        await until(lambda: len(self.receiver.requests) >= number, patience_s)


class Hold:
    def __init__(self) -> None:
        self._released = asyncio.Event()

    async def answer(self, writer: asyncio.StreamWriter) -> None:
        await self._released.wait()
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    def release(self) -> None:
        self._released.set()


@asynccontextmanager
async def bot_of(tenant_id: UUID, *event_types: str) -> AsyncIterator[Bot]:
    async with receiver_on() as receiver:
        yield await Bot.register(receiver, tenant_id, list(event_types))


async def until(condition: Callable[[], bool], patience_s: float = 10) -> None:
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.005)


async def deliver_due(sender: Sender, schedule_s: tuple[int, ...] = SCHEDULE_S) -> list[Answer | None]:
    """As a worker does, once: dispatch what happened, attempt what is due."""
    async with system_scope() as connection:
        await dispatch(connection)
        claimed, _ = await claim(connection, 100, {})
    return list(await asyncio.gather(*(deliver(sender, delivery, schedule_s) for delivery in claimed)))


async def let_time_pass() -> None:
    """All that waits for its next attempt is due now."""
    async with system_scope() as connection:
        await connection.execute("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE status = 'pending'")


async def deliveries(bot: Bot) -> list[Any]:
    """In the order of their events, each with `wait_s` until its next attempt."""
    async with system_scope() as connection:
        return await connection.fetch(
            "SELECT *, extract(epoch FROM next_attempt_at - now())::float8 AS wait_s FROM webhook_deliveries WHERE endpoint_id = $1 ORDER BY id",
            bot.endpoint_id,
        )


async def attempts(bot: Bot) -> list[Any]:
    async with system_scope() as connection:
        return await connection.fetch(
            "SELECT attempt.* FROM webhook_attempts AS attempt JOIN webhook_deliveries AS delivery ON delivery.id = attempt.delivery_id "
            "WHERE delivery.endpoint_id = $1 ORDER BY attempt.id", bot.endpoint_id,
        )  # fmt: skip


async def attempted(bot: Bot, number: int, patience_s: float = 10) -> None:
    """Wait until the outcomes of that many attempts are written."""
    async with asyncio.timeout(patience_s):
        while len(await attempts(bot)) < number:
            await asyncio.sleep(0.02)


async def endpoint(bot: Bot) -> Any:
    async with system_scope() as connection:
        return await connection.fetchrow("SELECT * FROM webhook_endpoints WHERE id = $1", bot.endpoint_id)


async def has_been_failing(bot: Bot, attempts: int, since: timedelta) -> None:
    async with system_scope() as connection:
        await connection.execute(
            "UPDATE webhook_endpoints SET failed_attempts = $2, failing_since = now() - $3::interval WHERE id = $1",
            bot.endpoint_id, attempts, since,
        )  # fmt: skip
