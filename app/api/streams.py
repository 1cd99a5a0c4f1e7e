"""Answers that are made while they are sent."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

import structlog
from litestar.types import Receive, Scope, Send

STALLED_S: Final = 60.0
"""A reader that takes nothing for so long has left without a word."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class StreamBroken(Exception):
    """Raised by who makes the pieces: what was sent is not the whole. The connection is cut, so that the reader can't take it for that."""


class Stream:
    """An ASGI application that sends what the generator gives, for a handler to return.

    What the generator raises before its first piece is answered as any error is. It is closed when it ends, when the reader leaves, and when the reader
    takes nothing for a minute. A piece is asked for only when the one before was taken, so nothing heaps up for a slow reader.
    """

    def __init__(self, pieces: AsyncGenerator[bytes], headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._pieces = pieces
        self._headers = headers

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
            await send({"type": "http.response.start", "status": 200, "headers": self._headers})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            try:
                async for piece in pieces:
                    async with asyncio.timeout(STALLED_S):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            except TimeoutError:
                log.info("stream.reader_stalled")
                return
            except StreamBroken as reason:
                log.warning("stream.broken", reason=str(reason))
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
