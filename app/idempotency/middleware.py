"""Requests that carry an `Idempotency-Key`: carried out once, answered as often as they are sent."""

import hashlib
from typing import cast

import msgspec
import structlog
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPResponseBodyEvent, HTTPResponseStartEvent, HTTPScope, Message, Receive, Scope, Send

from app.api.bodies import StrictRequest
from app.api.idempotency_key import REPLAYED, read_idempotency_key, takes_idempotency_key
from app.errors import Unavailable
from app.idempotency.reservations import Answer, present_reservation, reserve, settle

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class IdempotentRequests(ASGIMiddleware):
    """Belongs behind whatever decides that the caller may ask, and that the request's form is right: who may no longer, gets no former answer either."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        handler = cast("HTTPRouteHandler", scope["route_handler"])
        key = read_idempotency_key(scope) if takes_idempotency_key(handler) else None
        if key is None:
            await next_app(scope, receive, send)
            return
        # It is kept for the handler.
        body = await StrictRequest(scope, receive, send).body()
        method = cast("HTTPScope", scope)["method"].encode()
        asked = b"%s %s?%s\n%s" % (method, scope["raw_path"], scope["query_string"], body)
        reserved = await reserve(scope["user"], key, hashlib.sha256(asked).digest(), handler.status_code)
        if isinstance(reserved, Answer):
            await _replay(reserved, send)
            return
        held = _HeldAnswer()
        token = present_reservation.set(reserved)
        try:
            await next_app(scope, receive, held.take)
        finally:
            present_reservation.reset(token)
        try:
            await settle(reserved, held.answer())
        except Unavailable:
            # What is done is done, and the caller should know. The key is free again by itself.
            log.warning("idempotency.not_settled")
        await held.send_on(send)


class _HeldAnswer:
    """The handler's answer, an error's too, which nobody gets before it is kept. Such answers are short."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    async def take(self, message: Message) -> None:
        self._messages.append(message)

    def answer(self) -> Answer:
        answer = Answer(500)
        for message in self._messages:
            if message["type"] == "http.response.start":
                headers = {name.lower(): value.decode("latin-1") for name, value in message["headers"]}
                answer = Answer(message["status"], headers.get(b"content-type", ""), headers.get(b"location", ""))
            elif message["type"] == "http.response.body":
                answer = msgspec.structs.replace(answer, body=answer.body + message["body"])
        return answer

    async def send_on(self, send: Send) -> None:
        for message in self._messages:
            await send(message)


async def _replay(answer: Answer, send: Send) -> None:
    headers = [(REPLAYED.lower().encode(), b"true")]
    if answer.body:
        headers += [(b"content-type", answer.media_type.encode()), (b"content-length", b"%d" % len(answer.body))]
    if answer.location:
        headers.append((b"location", answer.location.encode("latin-1")))
    await send(HTTPResponseStartEvent(type="http.response.start", status=answer.status, headers=headers))
    await send(HTTPResponseBodyEvent(type="http.response.body", body=answer.body, more_body=False))
