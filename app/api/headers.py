"""What each response carries: the id of its request, and the headers that keep browsers and caches from mischief."""

import re

import structlog
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from app.ids import new_id

_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    # One-time links stand in addresses.
    (b"referrer-policy", b"no-referrer"),
)
# Answers of an API load nothing and are no page; pages set their own.
_API_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_NO_STORE = (b"cache-control", b"no-store")
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")


class StandardHeaders:
    """Wraps the whole application, so that answers to unknown addresses carry the headers too: `app.asgi_handler = StandardHeaders(...)`.

    The id of the request is the caller's `X-Request-ID`, if it is 1–128 letters, digits and `._-`, else a new one. It is bound as
    `request_id` for every log line of the request, and kept as `scope["state"]["request_id"]`. A route with `opt={"no_store": True}`
    is stored by nobody. HSTS is sent where the request came by TLS; behind a proxy the server has to trust its `X-Forwarded-Proto`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given_id(scope) or str(new_id())
        scope["state"]["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode()), *_additions(scope, message)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode() if _SANE_ID.fullmatch(value) else None
    return None


def _additions(scope: Scope, message: HTTPResponseStartEvent) -> list[tuple[bytes, bytes]]:
    present = {name.lower() for name, _ in message["headers"]}
    additions = [*_ALWAYS, *scope["state"].get("rate_limit_headers", ())]
    if b"content-security-policy" not in present:
        additions.append(_API_POLICY)
    # Where no route matched, there is no handler.
    if "route_handler" in scope and scope["route_handler"].opt.get("no_store") and b"cache-control" not in present:
        additions.append(_NO_STORE)
    if scope["scheme"] == "https":
        additions.append(_HTTPS_ONLY)
    return additions
