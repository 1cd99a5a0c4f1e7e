"""Fetching ahead of writing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TypeVar

from app.marketplaces.contract import Page

Item = TypeVar("Item")

MOST_PAGES = 8
# A write costs much the same for one page as for several; so it waits for that many items, but not long for the pages of a slow marketplace.
ENOUGH_ITEMS = 800
PATIENCE_S = 0.1


async def read_ahead(pages: AsyncIterator[Page[Item]]) -> AsyncIterator[list[Page[Item]]]:
    """Yield the pages in order, each time as many as are worth a write: one from a slow marketplace, several from a fast one.

    While the caller writes, about as many are fetched again and no more, so memory does not grow with the catalogue. What fetching raises is raised here,
    after the pages that came before it.
    """
    waiting: asyncio.Queue[Page[Item] | None] = asyncio.Queue(MOST_PAGES)

    async def fetch() -> None:
        try:
            async for page in pages:
                await waiting.put(page)
                if len(page.items) >= ENOUGH_ITEMS:
                    await waiting.join()  # until it is taken
        except asyncio.CancelledError:
            raise  # nobody reads any more
        except BaseException:
            await waiting.put(None)
            raise
        await waiting.put(None)

    async def take() -> Page[Item] | None:
        page = await waiting.get()
        waiting.task_done()
        return page

    fetching = asyncio.create_task(fetch())
    try:
        page = await take()
        while page is not None:
            batch = [page]
            items = len(page.items)
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    while items < ENOUGH_ITEMS and len(batch) < MOST_PAGES and (page := await take()) is not None:
                        batch.append(page)
                        items += len(page.items)
            yield batch
            if page is not None:
                page = await take()
        await fetching
    finally:
        fetching.cancel()
        await asyncio.wait([fetching])
