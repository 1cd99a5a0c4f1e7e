"""Running one or several processes of a module."""

import asyncio
import signal
import sys
from contextlib import suppress
from typing import Final

import structlog

from app.cli.preflight import check_database
from app.observability.exposition import Kind, serving_metrics
from app.observability.logs import configure_logs
from app.settings import get_settings

REPLACED_AFTER_S: Final = 1.0
"""One that dies as soon as it starts shall not keep the machine busy."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


def run_processes(module: str, kind: Kind, count: int, arguments: list[str]) -> None:
    """Become the process where one is asked for; else keep `count` of them running, until a signal that is passed on to all. Their metrics have one address.

    Raises:
        StartRefused: the settings are not as they must be.
    """
    settings = get_settings()
    configure_logs(settings)
    asyncio.run(check_database(settings))
    with serving_metrics(settings, kind, processes=count):
        if count == 1:
            from importlib import import_module

            import_module(module).main(*arguments)
        else:
            sys.exit(asyncio.run(_supervise([sys.executable, "-m", module, *arguments], count)))


async def _supervise(command: list[str], count: int) -> int:
    """Gives the exit code: that of the process that ended worst."""
    running: set[asyncio.subprocess.Process] = set()
    stopping = asyncio.Event()

    def pass_on(number: int) -> None:
        stopping.set()
        for process in running:
            process.send_signal(number)

    async def keep_one() -> int:
        while True:
            process = await asyncio.create_subprocess_exec(*command)
            running.add(process)
            if stopping.is_set():  # while it was being started
                process.terminate()
            code = await process.wait()
            running.remove(process)
            if stopping.is_set():
                return code
            log.error("process.died", pid=process.pid, code=code)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), REPLACED_AFTER_S)
                return code

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, pass_on, number)
    return max(await asyncio.gather(*(keep_one() for _ in range(count))), key=abs)
