"""Server-Sent Events as an answer: https://html.spec.whatwg.org/multipage/server-sent-events.html, read 2026-11-23."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import structlog
from litestar.types import Receive, Scope, Send

MEDIA_TYPE: Final = "text/event-stream"
HEADERS: Final = ((b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))
"""nginx collects answers before it passes them on, unless the last of these tells it not to."""

KEEP_ALIVE: Final = b": keep-alive\n\n"
"""A comment, which readers pass over; proxies drop connections on which nothing comes. The standard's authoring notes advise one about every 15 s."""

STALLED_S: Final = 60.0
"""A reader that takes nothing for so long has left without a word."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


def format_event(event: str, data: bytes, event_id: int) -> bytes:
    """An event on the wire. `data` has no line breaks, as JSON of msgspec's has none."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event_id, event.encode(), data)


def format_retry(delay_ms: int) -> bytes:
    """How long a reader waits before it connects again."""
    return b"retry: %d\n\n" % delay_ms


def parse_event_id(text: str | None) -> int | None:
    """The number that `Last-Event-ID` holds, if it holds one. Anything else counts as none: a browser's reader can't mend it, and would take an error for
    the end."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 10 else None


class EventStream:
    """An ASGI application that sends what the generator gives, for a handler to return.

    What the generator raises before its first piece is answered as any error is. It is closed when it ends, when the reader leaves, and when the reader
    takes nothing for a minute. A piece is asked for only when the one before was taken, so nothing heaps up for a slow reader.
    """

    def __init__(self, pieces: AsyncGenerator[bytes]) -> None:
        self._pieces = pieces

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        telling = asyncio.create_task(self._tell(send))
        leaving = asyncio.create_task(_until_left(receive))
        try:
            await asyncio.wait((telling, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (telling, leaving):
                task.cancel()
            await asyncio.wait((telling, leaving))
        if not telling.cancelled():
            telling.result()

    async def _tell(self, send: Send) -> None:
        async with aclosing(self._pieces) as pieces:
            first = await anext(pieces)
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            try:
                async for piece in pieces:
                    async with asyncio.timeout(STALLED_S):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            except TimeoutError:
                log.info("event_stream.reader_stalled")
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
