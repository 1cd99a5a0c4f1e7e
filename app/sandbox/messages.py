"""One request and one answer, between the server (ASGI) and those that answer."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal, TypeAlias

import msgspec

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

JSON = b"application/json"

_TRICKLE_PIECES = 10


class Request(msgspec.Struct, frozen=True):
    """`path` is without the query; header names are lower case."""

    verb: str
    path: str
    query: bytes
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> str:
        """The header's value; empty if there is none."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")


class Answer(msgspec.Struct):
    """`broken` is how the connection ends instead of delivering it: before a byte of the answer, or in the middle of its body, where it is closed
    (`cut`) or reset. `trickle_ms` is how long the body takes, piece by piece."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: Headers = []
    broken: Literal["disconnect", "cut", "reset"] | None = None
    trickle_ms: int = 0


async def receive_request(scope: MutableMapping[str, Any], receive: Receive) -> Request:
    """The whole request, its body too."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return Request(scope["method"], scope["path"], scope["query_string"], scope["headers"], body)


async def send_answer(answer: Answer, send: Send, connection: asyncio.Transport) -> object:
    """Deliver the answer. What this returns has to be returned to the server.

    ASGI has no word for a connection that breaks. uvicorn closes it when an application leaves its answer incomplete, and also when it
    returns something, which is how it ends before the first byte.
    """
    if answer.broken == "disconnect":
        return "the sandbox was asked to disconnect"
    headers = answer.headers
    if answer.body or answer.status != 204:
        length = str(len(answer.body)).encode()
        headers = [(b"content-type", answer.content_type), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.broken:
        await send({"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True})
        if answer.broken == "reset":
            _reset(connection)
        return None
    if answer.trickle_ms:
        await _trickle(answer, send)
        return None
    await send({"type": "http.response.body", "body": answer.body})
    return None


def _reset(connection: asyncio.Transport) -> None:
    """Close at once with a TCP reset: who closes a socket that lingers for no time throws away what is on its way (socket(7), SO_LINGER)."""
    connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.abort()


async def _trickle(answer: Answer, send: Send) -> None:
    size = max(1, -(-len(answer.body) // _TRICKLE_PIECES))
    for start in range(0, len(answer.body), size):
        await asyncio.sleep(answer.trickle_ms / 1000 / _TRICKLE_PIECES)
        await send({"type": "http.response.body", "body": answer.body[start : start + size], "more_body": start + size < len(answer.body)})
