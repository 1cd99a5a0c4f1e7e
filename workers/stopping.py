"""How a process of ours ends: in good order, and within the ten seconds that are promised whatever hangs."""

import asyncio
import signal

STOP_WITHIN_S = 9.0


def stop_on_signal() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets; nine seconds later the process is gone, in good order or not. What it could not give back or end is found by others: leases run
    out, transactions are rolled back."""
    stop = asyncio.Event()

    def begin() -> None:
        if not stop.is_set():
            stop.set()
            signal.setitimer(signal.ITIMER_REAL, STOP_WITHIN_S)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, begin)
    return stop
