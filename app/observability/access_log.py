"""One line for each request, when its answer is out; and it is counted."""

import re
import time

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.observability import metrics

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

# A one-time link stands in its path, and is asked for by ways that no route knows too.
_LONG_SEGMENT = re.compile(r"[^/]{24,}")
_MAX_PATH_LENGTH = 200


class AccessLog:
    """Logs `request` with the method, path, status and duration: `app.asgi_handler = StandardHeaders(AccessLog(app.asgi_handler))`.

    The path is the route's template, so it holds no ids; where no route matched, what was asked for, shortened. `status` is null if the
    caller went away before the answer. A route with `opt={"quiet": True}` is logged at `debug`: probes ask every few seconds.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status: int | None = None

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            duration_s = time.perf_counter() - started
            routed = "route_handler" in scope
            route = scope["path_template"] if routed else "unmatched"
            method = scope["method"] if scope["method"] in metrics.METHODS else "other"
            metrics.http_requests.labels(route, method, "none" if status is None else str(status)).inc()
            metrics.http_request_duration.labels(route, method).observe(duration_s)
            write = log.debug if routed and scope["route_handler"].opt.get("quiet") else log.info
            write(
                "request",
                method=scope["method"],
                path=scope["path_template"] if routed else _LONG_SEGMENT.sub("…", scope["path"])[:_MAX_PATH_LENGTH],
                status=status,
                duration_ms=round(duration_s * 1000, 1),
            )
