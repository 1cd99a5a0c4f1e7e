"""Knowing in time that the process is to stop."""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def at_stop_signal(callback: Callable[[], None]) -> Generator[None]:
    """Call back in the running loop when SIGTERM or SIGINT comes, besides whatever else is done about it.

    ASGI tells an application of the end only when all its answers are out, and an answer that has no end waits for the application. Where the server is not in the
    main thread, signals are not its business, and nothing is called.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def after(handler: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(callback)
            handler(number, frame)

        return handle

    for number, handler in former.items():
        # What ends the process by itself, as the default does, is left as it is.
        if callable(handler):
            signal.signal(number, after(handler))
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
