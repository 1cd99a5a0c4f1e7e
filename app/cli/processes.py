"""Running one or several processes of a module."""

import asyncio
import signal
import subprocess
import sys
import types

from app.cli.preflight import check_database
from app.settings import get_settings


def run_processes(module: str, count: int, arguments: list[str]) -> None:
    """Become the process where one is asked for; else start `count` of them, pass signals on, and end when all have ended.

    Raises:
        StartRefused: the settings are not as they must be.
    """
    asyncio.run(check_database(get_settings()))
    if count == 1:
        from importlib import import_module

        import_module(module).main(*arguments)
        return
    children = [subprocess.Popen([sys.executable, "-m", module, *arguments]) for _ in range(count)]

    def pass_on(number: int, _: types.FrameType | None) -> None:
        for child in children:
            child.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    codes = [child.wait() for child in children]
    sys.exit(max(codes, key=abs))
