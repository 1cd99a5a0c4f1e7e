import asyncio

import pytest

from app.marketplaces import read_ahead as read_ahead_module
from app.marketplaces.contract import Page
from app.marketplaces.read_ahead import MOST_PAGES, read_ahead

pytestmark = pytest.mark.anyio


async def pages(count, fetched=None, error_after=None):
    for number in range(count):
        if number == error_after:
            raise ConnectionError("the marketplace went away")
        if fetched is not None:
            fetched.append(number)
        yield Page([number], str(number).encode())


async def test_every_page_comes_once_and_in_order():
    got = [item async for batch in read_ahead(pages(50)) for page in batch for item in page.items]

    assert got == list(range(50))


async def test_fetching_goes_on_while_the_caller_writes_and_not_without_end():
    fetched: list[int] = []
    batches = read_ahead(pages(1000, fetched))

    await anext(batches)
    for _ in range(100):
        await asyncio.sleep(0)

    assert 1 < len(fetched) <= 2 * (MOST_PAGES + 1)
    await batches.aclose()


async def test_of_large_pages_one_is_fetched_ahead():
    fetched: list[int] = []

    async def large():
        for number in range(10):
            fetched.append(number)
            yield Page(list(range(1000)), b"")

    batches = read_ahead(large())
    taken = []
    async for batch in batches:
        for _ in range(20):
            await asyncio.sleep(0)
        taken.append((len(batch), len(fetched)))

    assert taken == [(1, min(number + 2, 10)) for number in range(10)]


async def test_pages_that_come_quickly_are_given_together():
    assert [len(batch) async for batch in read_ahead(pages(20))] == [8, 8, 4]


async def test_a_page_of_a_slow_marketplace_does_not_wait_for_the_next_one(monkeypatch):
    monkeypatch.setattr(read_ahead_module, "PATIENCE_S", 0.01)
    released = asyncio.Event()

    async def slow():
        yield Page([0], b"0")
        await released.wait()
        yield Page([1], b"1")

    batches = read_ahead(slow())
    async with asyncio.timeout(2):
        first = await anext(batches)
        released.set()
        second = await anext(batches)

    assert [[page.items for page in batch] for batch in (first, second)] == [[[0]], [[1]]]
    await batches.aclose()


async def test_what_was_fetched_before_an_error_is_given_before_it_is_raised():
    got = []

    with pytest.raises(ConnectionError):
        async for batch in read_ahead(pages(10, error_after=4)):
            got += [item for page in batch for item in page.items]

    assert got == [0, 1, 2, 3]


async def test_a_caller_that_stops_early_ends_the_fetching():
    ended = asyncio.Event()

    async def endless():
        try:
            while True:
                yield Page([0], b"0")
        finally:
            ended.set()

    batches = read_ahead(endless())
    await anext(batches)
    await batches.aclose()

    async with asyncio.timeout(2):
        await ended.wait()
