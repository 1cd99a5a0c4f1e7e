"""`python -m benchmarks.http_clients`: what one exchange over HTTP costs the process that asks, by client library. The figures of decision 9.

The server is a process of its own that writes ready bytes; the clients take turns, round by round, and read as app.marketplaces.exchange does: bounded, as it
arrives. httpx over aiohttp is measured where the package httpx-aiohttp is installed.
"""

import asyncio
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import cast

import aiohttp
import httpx
import uvloop
from rich.console import Console
from rich.table import Table
from yarl import URL

from app.marketplaces.exchange import Call, exchange, make_http_client
from benchmarks.site import await_answer, free_port
from benchmarks.usage import Meter

ROUNDS = 5
REQUESTS = 600
SIZES = {"/small": 300, "/page": 80_000}
AT_ONCE = (1, 32)
QUESTION = b'{"settings":{"cursor":{"limit":100}}}'
HEADERS = {"Authorization": "x" * 400, "Content-Type": "application/json"}

ANSWERS = {
    path.encode(): b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size)
    for path, size in SIZES.items()
}

Ask = Callable[[str], Awaitable[int]]


class Marketplace(asyncio.Protocol):
    """Answers each request by its path."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and (head.startswith(b"GET") or len(body) >= len(QUESTION)):
            self._received = b""
            self._transport.write(ANSWERS[head.split(b" ", 2)[1]])


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Marketplace, "127.0.0.1", port)
    await server.serve_forever()


def over_httpx(http: httpx.AsyncClient) -> Ask:
    async def ask(url: str) -> int:
        body = bytearray()
        async with http.stream("POST", url, headers=HEADERS, content=QUESTION) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
        return len(body)

    return ask


def over_aiohttp(http: aiohttp.ClientSession) -> Ask:
    async def ask(url: str) -> int:
        body = bytearray()
        async with http.post(URL(url, encoded=True), headers=HEADERS, data=QUESTION, allow_redirects=False) as response:
            while chunk := await response.content.readany():
                body += chunk
        return len(body)

    return ask


async def measure(url: str) -> dict[tuple[str, str, int], list[tuple[float, float]]]:
    """By client, path and number of requests at once: milliseconds of CPU and of wall time per request, for each round."""
    results: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    async with AsyncExitStack() as stack:
        clients = {
            "httpx": over_httpx(await stack.enter_async_context(httpx.AsyncClient(trust_env=False))),
            "aiohttp": over_aiohttp(await stack.enter_async_context(aiohttp.ClientSession())),
        }
        if find_spec("httpx_aiohttp"):
            from httpx_aiohttp import HttpxAiohttpClient

            clients["httpx over aiohttp"] = over_httpx(await stack.enter_async_context(HttpxAiohttpClient(trust_env=False)))
        ours = await stack.enter_async_context(make_http_client())

        async def our_exchange(url: str) -> int:
            return len((await exchange(ours, Call(method="POST", url=url, account="a", group="g", headers=HEADERS, body=QUESTION))).body)

        clients["our exchange()"] = our_exchange
        for _ in range(ROUNDS):
            for name, ask in clients.items():
                for path, size in SIZES.items():
                    for at_once in AT_ONCE:

                        async def ask_on(ask: Ask = ask, path: str = path, size: int = size, times: int = REQUESTS // at_once) -> None:
                            for _ in range(times):
                                assert await ask(url + path) == size

                        meter = Meter()
                        await asyncio.gather(*(ask_on() for _ in range(at_once)))
                        used, sent = meter.read(), REQUESTS // at_once * at_once
                        results.setdefault((name, path, at_once), []).append((1000 * used.cpu_s / sent, 1000 * used.wall_s / sent))
    return results


def main() -> None:
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.http_clients", str(port)])
    try:
        url = f"http://127.0.0.1:{port}"
        await_answer(f"{url}/small")
        results = uvloop.run(measure(url))
    finally:
        server.terminate()
        server.wait()
    table = Table("client", "answer", "at once", "CPU ms", "wall ms")
    for (name, path, at_once), rounds in results.items():
        cpu_ms, wall_ms = (statistics.median(values) for values in zip(*rounds, strict=True))
        table.add_row(name, f"{SIZES[path]:,} bytes", str(at_once), f"{cpu_ms:.3f}", f"{wall_ms:.3f}")
    Console().print(table)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        uvloop.run(serve(int(sys.argv[1])))
    else:
        main()
