"""Is the process alive, and can it serve?"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
import structlog
from litestar import Response, Router, get
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Meta

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[object]]
"""Returns if all is well, raises if not. It may hang: nobody waits for it longer than `CHECK_TIMEOUT_S`."""

CheckResult = Literal["ok", "failed", "timed out"]

# Whoever probes is promised an answer within a second.
CHECK_TIMEOUT_S = 0.8


class LiveOut(msgspec.Struct, frozen=True):
    """The process runs."""

    status: Annotated[Literal["ok"], Meta(examples=["ok"])]


class ReadyOut(msgspec.Struct, frozen=True):
    """Whether the process can serve, and what it needs for that. Why something failed is in the log."""

    status: Literal["ok", "unavailable"]
    checks: Annotated[dict[str, CheckResult], Meta(examples=[{"database": "ok", "redis": "ok", "migrations": "ok"}])]


def create_health_router(checks: Mapping[str, Check]) -> Router:
    """`GET /health/live` and `GET /health/ready`, open to all and not rate limited."""
    readiness = Readiness(checks)

    @get("/live", operation_id="getLiveness")
    async def get_liveness() -> LiveOut:
        """Whether the process runs."""
        return LiveOut(status="ok")

    @get(
        "/ready",
        operation_id="getReadiness",
        responses={
            503: ResponseSpec(ReadyOut, generate_examples=False, description="Something that it needs is missing; `checks` names it")
        },
    )
    async def get_readiness() -> Response[ReadyOut]:
        """Whether the process can serve: database, Redis and migrations, asked now, within a second."""
        results = await readiness.ask()
        ok = all(result == "ok" for result in results.values())
        return Response(ReadyOut("ok" if ok else "unavailable", results), status_code=200 if ok else 503)

    return Router(
        "/health", route_handlers=[get_liveness, get_readiness], tags=["Operations"], opt={"public": True, "quiet": True, "no_store": True}
    )


class Readiness:
    """Asks all checks at once. Probes that come at the same time share one asking, so that they can't pile up on what hangs."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._asking: dict[str, asyncio.Task[Any]] = {}

    async def ask(self) -> dict[str, CheckResult]:
        tasks = {name: self._task(name, check) for name, check in self._checks.items()}
        # Not wait_for: that would wait for a cancelled task to end, and one that hangs may not.
        _, pending = await asyncio.wait(tasks.values(), timeout=CHECK_TIMEOUT_S) if tasks else (None, ())
        for task in pending:
            task.cancel()
        return {name: _result(name, task) for name, task in tasks.items()}

    def _task(self, name: str, check: Check) -> asyncio.Task[Any]:
        task = self._asking.get(name)
        if task is None or task.done():
            task = self._asking[name] = asyncio.create_task(_run(check), name=f"health check {name}")
        return task


async def _run(check: Check) -> None:
    await check()


def _result(name: str, task: asyncio.Task[Any]) -> CheckResult:
    if not task.done() or task.cancelled():
        log.warning("health_check_failed", check=name, reason="timed out")
        return "timed out"
    if error := task.exception():
        log.warning("health_check_failed", check=name, reason=f"{type(error).__name__}: {error}")
        return "failed"
    return "ok"
