"""What the tests of the client ask and look at."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from app.marketplaces.contract import KnownSize, KnownSizes, Page
from app.marketplaces.wildberries.client import WildberriesClient
from tests.marketplaces.scripted_server import ScriptedServer

MakeClient = Callable[..., WildberriesClient]


async def all_pages(pages: AsyncIterator[Page[Any]]) -> list[Page[Any]]:
    return [page async for page in pages]


async def all_items(pages: AsyncIterator[Page[Any]]) -> list[Any]:
    return [item async for page in pages for item in page.items]


def sent(server: ScriptedServer) -> list[Any]:
    """The bodies of all questions."""
    return [json.loads(request.body) for request in server.requests]


def knowing(*batches: list[KnownSize]) -> KnownSizes:
    """What an earlier sync stored."""

    async def walk() -> AsyncIterator[list[KnownSize]]:
        for batch in batches:
            yield batch

    return walk


async def _none() -> AsyncIterator[list[KnownSize]]:
    raise AssertionError("The report tells all that is needed.")
    yield []


def nobody_asks() -> AsyncIterator[list[KnownSize]]:
    """For reports that need no known sizes."""
    return _none()
