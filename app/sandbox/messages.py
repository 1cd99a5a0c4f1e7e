"""One request and one answer, between the server (ASGI) and those that answer."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal, TypeAlias

import msgspec

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

JSON = b"application/json"


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
    """`broken` is how the connection ends instead of delivering it: before a byte of the answer, or in the middle of its body."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: Headers = []
    broken: Literal["disconnect", "cut"] | None = None


async def receive_request(scope: MutableMapping[str, Any], receive: Receive) -> Request:
    """The whole request, its body too."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return Request(scope["method"], scope["path"], scope["query_string"], scope["headers"], body)


async def send_answer(answer: Answer, send: Send) -> object:
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
    if answer.broken == "cut":
        await send({"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True})
        return None
    await send({"type": "http.response.body", "body": answer.body})
    return None
