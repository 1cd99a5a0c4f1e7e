"""What a worker's memory grows by while it reads the largest reports, over a real connection."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.marketplaces.contract import Fulfilment, KnownSize, KnownSizes, Page
from app.marketplaces.exchange import make_http_client
from app.marketplaces.transport import Transport
from app.marketplaces.wildberries.client import WildberriesClient
from app.marketplaces.wildberries.hosts import WildberriesHosts
from app.marketplaces.wildberries.remains import Task
from tests.marketplaces.keys import ALL_CATEGORIES, make_key
from tests.marketplaces.wildberries import examples

pytestmark = pytest.mark.anyio

ROWS = 500_000
PAGE = 250_000
REMAINS = 100_000
MOST_MIB = 16


def resident_mib() -> float:
    """https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html"""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def pieces(start: bytes, rows: Iterator[dict[str, Any]], end: bytes) -> Iterator[bytes]:
    """A JSON document, some rows at a time."""
    yield start
    comma = b""
    while some := list(islice(rows, 500)):
        yield comma + msgspec.json.encode(some)[1:-1]
        comma = b","
    yield end


def stock_page(first: int) -> Iterator[bytes]:
    rows = ({**examples.WB_STOCK, "nmId": n, "chrtId": n} for n in range(first, min(first + PAGE, ROWS + 1)))
    return pieces(b'{"data":{"items":[', rows, b"]}}")


def remains() -> Iterator[bytes]:
    """In an order that has nothing to do with that of the sizes."""
    numbers = (n * 7919 % REMAINS + 1 for n in range(REMAINS))
    return pieces(b"[", ({**examples.REMAINS_ROW, "nmId": n, "barcode": str(n)} for n in numbers), b"]")


def sales() -> Iterator[bytes]:
    return pieces(b"[", ({**examples.SUPPLIER_ORDER, "srid": f"12.r{n}.0.0"} for n in range(80_000)), b"]")


async def sizes() -> AsyncIterator[list[KnownSize]]:
    for first in range(1, REMAINS + 1, 500):
        yield [KnownSize(str(n), str(n), "", (str(n),)) for n in range(first, first + 500)]


async def no_sizes() -> AsyncIterator[list[KnownSize]]:
    for batch in ():
        yield batch


class Streaming:
    """Answers each request with the next document, as it is made."""

    def __init__(self, documents: list[Iterator[bytes]]) -> None:
        self.documents = documents

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next((int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length")), 0)
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
                for piece in self.documents.pop(0):
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    await writer.drain()
                writer.write(b"0\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()


BASE = make_key(acc=1, **{"for": None})
STATISTICS = make_key(s=ALL_CATEGORIES - 4)


def stock(known: KnownSizes, after: bytes = b"") -> Callable[[WildberriesClient], AsyncIterator[Page[Any]]]:
    return lambda client: client.stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, known, after)


@pytest.mark.parametrize(
    ("key", "documents", "walk", "items"),
    [
        (make_key(), [stock_page(1), stock_page(PAGE + 1), iter([b'{"data":{"items":[]}}'])], stock(no_sizes), ROWS),
        (
            BASE,
            [iter([msgspec.json.encode(examples.remains_status("done"))]), remains()],
            stock(sizes, msgspec.json.encode(Task(examples.TASK, datetime.now(UTC)))),
            3 * REMAINS,
        ),
        (STATISTICS, [sales(), iter([b"[]"]), iter([b"[]"])], lambda client: client.order_pages(), 80_000),
    ],
    ids=["stock", "remains", "statistics"],
)
async def test_memory_does_not_grow_with_a_report(
    key: Any, documents: list[Iterator[bytes]], walk: Callable[[WildberriesClient], AsyncIterator[Page[Any]]], items: int
) -> None:
    server = await asyncio.start_server(Streaming(documents).answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    hosts = WildberriesHosts(**dict.fromkeys(WildberriesHosts.__struct_fields__, url))
    async with server, make_http_client() as http:
        client = WildberriesClient(key, Transport(http), hosts)
        gc.collect()
        before, most, came = resident_mib(), 0.0, 0

        async for page in walk(client):
            came += len(page.items)
            most = max(most, resident_mib())

    assert came == items
    assert most - before <= MOST_MIB
