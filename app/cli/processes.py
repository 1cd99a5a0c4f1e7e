"""Running one or several processes of a module."""

import asyncio
import signal
import subprocess
import sys
import types
from typing import NoReturn

from app.cli.preflight import check_database
from app.observability.exposition import Kind, serving_metrics
from app.observability.logs import configure_logs
from app.settings import get_settings


def run_processes(module: str, kind: Kind, count: int, arguments: list[str]) -> None:
    """Become the process where one is asked for; else start `count` of them, pass signals on, and end when all have ended. Their metrics have one address.

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
            _supervise(module, count, arguments)


def _supervise(module: str, count: int, arguments: list[str]) -> NoReturn:
    children = [subprocess.Popen([sys.executable, "-m", module, *arguments]) for _ in range(count)]

    def pass_on(number: int, _: types.FrameType | None) -> None:
        for child in children:
            child.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    codes = [child.wait() for child in children]
    sys.exit(max(codes, key=abs))
