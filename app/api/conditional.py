"""Reads that are answered with "as before": `ETag`, `If-None-Match` and 304 (RFC 9110, sections 8.8.3, 13.1.2 and 15.4.5).

A handler with `opt={"conditional": True}` has it. The tag is a hash of the answer's bytes, so it is right whatever the answer depends on; what is
spared is the way to the caller, and the caller's own work.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import Final

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

_TAG: Final = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
# Of what a 304 would say again; the caller has the rest.
_KEPT: Final = (b"etag", b"cache-control", b"content-location", b"date", b"expires", b"vary")


class ConditionalReads(ASGIMiddleware):
    """Belongs behind whatever decides that the caller may read: who may not, learns nothing of a tag."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope["route_handler"].opt.get("conditional") is not True:
            await next_app(scope, receive, send)
            return
        answer = _Answer(set(_known_tags(scope)), send)
        await next_app(scope, receive, answer.send)


class _Answer:
    """Holds an answer back until its tag is known. Such answers are pages of lists and single things, which are whole in memory anyway."""

    def __init__(self, known: set[bytes], send: Send) -> None:
        self._known = known
        self._send = send
        self._start: HTTPResponseStartEvent | None = None
        self._body: list[bytes] = []

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] == 200:
                self._start = message
            else:
                await self._send(message)
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body.append(message["body"])
            if not message["more_body"]:
                await self._finish(self._start, b"".join(self._body))
        else:
            await self._send(message)

    async def _finish(self, start: HTTPResponseStartEvent, body: bytes) -> None:
        # SHA-256, since processors compute it themselves: a third of the time of others.
        tag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
        # The caller's own copy, which it asks about each time: what may be read is the caller's, and changes at any moment.
        headers = [*start["headers"], (b"etag", tag), (b"cache-control", b"private, no-cache"), (b"vary", b"Authorization")]
        if tag in self._known or b"*" in self._known:
            start["status"], body = 304, b""
            headers = [(name, value) for name, value in headers if name.lower() in _KEPT]
        start["headers"] = headers
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _known_tags(scope: Scope) -> Iterator[bytes]:
    """Those of the header, compared weakly. What is no tag matches nothing, and is no error."""
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            if value.strip() == b"*":
                yield b"*"
            yield from _TAG.findall(value)
