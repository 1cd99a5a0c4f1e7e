"""A process that is asked to stop is gone in time, and says what kept it."""

import signal
import subprocess
import sys

HANGS = """
import asyncio
from workers import stopping

stopping.STOP_WITHIN_S = 1.0

async def ask_the_database():
    await asyncio.get_running_loop().create_future()

async def main():
    stop = stopping.stop_on_signal()
    print("ready", flush=True)
    await stop.wait()
    await ask_the_database()

asyncio.run(main())
"""


def test_what_hangs_is_told_before_the_alarm_ends_it():
    with subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        said = process.stdout.read()

    assert process.returncode == -signal.SIGALRM
    assert "process.stop_hangs" in said
    assert "ask_the_database:8" in said
