"""Fetching ahead of writing."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from app.marketplaces.contract import Page

Item = TypeVar("Item")

MOST_PAGES_WAITING = 8


async def read_ahead(pages: AsyncIterator[Page[Item]]) -> AsyncIterator[list[Page[Item]]]:
    """Yield the pages in order, each time all that came since the last time: one from a slow marketplace, several from a fast one.

    While the caller writes them, the next ones are fetched, `MOST_PAGES_WAITING` at most, so memory does not grow with the catalogue. What
    fetching raises is raised here, after the pages that came before it.
    """
    waiting: asyncio.Queue[Page[Item] | None] = asyncio.Queue(MOST_PAGES_WAITING)

    async def fetch() -> None:
        try:
            async for page in pages:
                await waiting.put(page)
        except asyncio.CancelledError:
            raise  # nobody reads any more
        except BaseException:
            await waiting.put(None)
            raise
        await waiting.put(None)

    fetching = asyncio.create_task(fetch())
    try:
        ended = False
        while not ended:
            batch: list[Page[Item]] = []
            page = await waiting.get()
            while page is not None:
                batch.append(page)
                if waiting.empty():
                    break
                page = waiting.get_nowait()
            ended = page is None
            if batch:
                yield batch
        await fetching
    finally:
        fetching.cancel()
        await asyncio.wait([fetching])
