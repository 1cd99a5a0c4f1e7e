"""Requests that are too long at the head, or that never come to an end, over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from app.cli.connections import BoundedConnection

pytestmark = pytest.mark.anyio

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


class Impatient(BoundedConnection):
    MAX_HEAD_BYTES = 1000
    ARRIVES_WITHIN_S = 0.3


async def count_body(scope: Any, receive: Any, send: Any) -> None:
    count, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        count += len(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(str(count)))]})
    await send({"type": "http.response.body", "body": str(count).encode()})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(count_body, http=Impatient, lifespan="off", log_config=None, access_log=False))
        serving = asyncio.create_task(server._serve([listener]))
        yield listener.getsockname()[1]
        server.should_exit = True
        await serving


async def answer_to(port: int, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """What comes until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(10):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause_s)
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


@pytest.mark.parametrize(
    "head",
    [HEAD + b"X-Long: " + b"x" * 2000, HEAD + b"".join(b"X-%d: x\r\n" % number for number in range(200)), b"POST /" + b"x" * 2000],
    ids=["one header", "many headers", "path"],
)
async def test_a_head_without_an_end_is_refused(port: int, head: bytes):
    assert (await answer_to(port, head)).startswith(b"HTTP/1.1 400 ")


async def test_a_head_that_comes_in_pieces_is_counted_together(port: int):
    pieces = [b"X-%d: %s\r\n" % (number, b"x" * 90) for number in range(12)]

    assert (await answer_to(port, HEAD, *pieces, pause_s=0.01)).startswith(b"HTTP/1.1 400 ")


async def test_a_body_is_no_head_however_long(port: int):
    request = HEAD + b"Connection: close\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50_000

    assert (await answer_to(port, request)).endswith(b"\r\n\r\n50000")


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [HEAD],
        [HEAD + b"Content-Length: 10\r\n\r\n", b"1", b"2", b"3"],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", b"1\r\nx\r\n"],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: 1\r\n", b"X-Trailer: 2\r\n"],
    ],
    ids=["nothing", "head", "body", "chunks", "trailers"],
)
async def test_what_never_comes_to_an_end_is_closed_in_time(port: int, pieces: list[bytes]):
    assert not (await answer_to(port, *pieces, pause_s=0.05)).startswith(b"HTTP/1.1 200 ")


async def test_an_open_connection_may_rest_between_its_requests(port: int):
    request = HEAD + b"Content-Length: 2\r\n\r\nab"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async with asyncio.timeout(10):
        for _ in range(2):
            writer.write(request)
            assert (await reader.readuntil(b"\r\n\r\n2")).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(2 * Impatient.ARRIVES_WITHIN_S)

    assert not reader.at_eof()
    writer.close()
