"""How a process of ours ends: in good order, and within the ten seconds that are promised whatever hangs."""

import asyncio
import signal
from typing import Any

import structlog

STOP_WITHIN_S = 9.0
TOLD_BEFORE_S = 0.5

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


def stop_on_signal() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets; nine seconds later the process is gone, in good order or not. What it could not give back or end is found by others: leases run
    out, transactions are rolled back. Shortly before, the log says what it waits for."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def begin() -> None:
        if not stop.is_set():
            stop.set()
            signal.setitimer(signal.ITIMER_REAL, STOP_WITHIN_S)
            loop.call_later(STOP_WITHIN_S - TOLD_BEFORE_S, _tell_what_hangs)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, begin)
    return stop


def _tell_what_hangs() -> None:
    log.error("process.stop_hangs", waits_in=sorted(_innermost(task.get_coro()) for task in asyncio.all_tasks()))


def _innermost(coroutine: Any) -> str:
    """Where a suspended coroutine stands: the last of our functions, or a library's, that awaits."""
    while getattr(getattr(coroutine, "cr_await", None), "cr_frame", None) is not None:
        coroutine = coroutine.cr_await
    frame = getattr(coroutine, "cr_frame", None)
    return coroutine.__qualname__ if frame is None else f"{coroutine.__qualname__}:{frame.f_lineno}"
