"""A load generator that costs little: keep-alive connections, one request at a time on each, no more of HTTP than our servers' answers need.

As a process: URL, access token, number of requests, connections. It prints a `Load`.
"""

import asyncio
import sys
import time
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop


class Load(msgspec.Struct, frozen=True):
    """`p50_ms` and `p99_ms` are of single requests, from sending the first byte to having the last one."""

    requests: int
    wall_s: float
    p50_ms: float
    p99_ms: float

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.wall_s


class Connection(asyncio.Protocol):
    """Sends the same request again and again until there are none left."""

    def __init__(self, request: bytes, left: list[int], latencies: list[float], done: "asyncio.Future[None]") -> None:
        self._request = request
        self._left = left
        self._latencies = latencies
        self._done = done
        self._missing = 0
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            self._missing = self._body_length(self._head[:end].lower()) - (len(self._head) - end - 4)
            self._head = b""
        if self._missing == 0 and not self._done.done():
            self._latencies.append(time.perf_counter() - self._sent_at)
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("The server closed the connection."))

    def _send(self) -> None:
        if not self._left[0]:
            self._done.set_result(None)
            self._transport.close()
            return
        self._left[0] -= 1
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def _body_length(self, head: bytes) -> int:
        if not head.startswith(b"http/1.1 200 "):
            self._done.set_exception(ConnectionError(head.decode("latin-1")))
            return 0
        return int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])


async def generate(url: str, token: str, requests: int, connections: int) -> Load:
    """Send so many requests over so many connections.

    Raises:
        OSError: an answer was not 200, or a connection broke.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    left, latencies = [requests], list[float]()
    ends = [loop.create_future() for _ in range(connections)]
    began = time.perf_counter()
    for end in ends:
        await loop.create_connection(lambda end=end: Connection(request, left, latencies, end), parts.hostname, parts.port)
    await asyncio.gather(*ends)
    wall_s = time.perf_counter() - began
    latencies.sort()
    return Load(requests, wall_s, latencies[len(latencies) // 2] * 1000, latencies[len(latencies) * 99 // 100] * 1000)


if __name__ == "__main__":
    _, url, token, requests, connections = sys.argv
    print(msgspec.json.encode(uvloop.run(generate(url, token, int(requests), int(connections)))).decode())
