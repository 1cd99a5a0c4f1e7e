"""Everything in one go on this machine: `stock-tracker dev`."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

import httpx
from rich.console import Console

from app.cli.demo import play
from app.embedded.lifetime import die_with_parent
from app.embedded.postgres import Postgres
from app.embedded.redis import Redis
from app.errors import StartRefused
from app.sandbox.control import environment as marketplaces_at
from app.secret import Secret
from app.settings import DEVELOPMENT_SERVERS_FILE, load_settings

READY_WITHIN_S = 30.0
STOP_WITHIN_S = 12.0
COMMAND = (sys.executable, "-m", "app.cli.main")
LOOPBACK = "127.0.0.1"

console = Console(highlight=False)


def run_everything(*, once: bool, port: int | None, real: bool) -> int:
    """Start all parts, and either play the whole flow or stay until a signal comes. Gives the exit code.

    Raises:
        StartRefused: something that is needed can't start.
    """
    began = time.monotonic()
    key = os.environ.get("WB_API_KEY", "")
    if once and real and not key:
        raise StartRefused("WB_API_KEY is not set; the demo against the real marketplace needs a seller's key.")
    if os.environ.get("APP_ENV", "").strip().lower() == "production":
        raise StartRefused("APP_ENV is production; `stock-tracker dev` is for development machines.")
    # Either signal becomes an exception, so that everything is stopped on the way out. SIGINT too: a shell starts what runs in its background
    # with that ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        data_dir = _writable(Path(os.environ.get("DATA_DIR", "").strip() or ".data").absolute())
        if once:
            # A fresh place each time, so that the story begins at its beginning.
            data_dir = Path(tempfile.mkdtemp(prefix="demo-", dir=data_dir))
            stack.callback(shutil.rmtree, data_dir, ignore_errors=True)
        try:
            # The story is told by the demo; in its logs only faults are news.
            parts = Parts(
                data_dir, os.environ, port=0 if once and port is None else port, real=real, log_level="warning" if once else "info"
            )
            stack.callback(parts.stop)
            parts.start()
            if once:
                return play(parts.api, key=Secret(key) if real else None, started_in_s=time.monotonic() - began)
            _show(parts)
            return parts.wait()
        except KeyboardInterrupt:
            console.print("\nStopping …")
            return 130 if once else 0


class Parts:
    """The servers and processes of one development machine. What the environment names is used as it is, the rest is started here."""

    def __init__(self, data_dir: Path, environment: Mapping[str, str], *, port: int | None, real: bool, log_level: str = "info") -> None:
        self.data_dir = data_dir
        self.real = real
        self.sandbox = "" if real else f"http://{LOOPBACK}:{_free_port()}"
        self.api = ""
        self.metrics: dict[str, str] = {}
        self._port = port
        self.environment = {"LOG_LEVEL": log_level, **environment, "DATA_DIR": str(data_dir)}
        self._servers = ExitStack()
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Each part when the ones that it needs are there.

        Raises:
            StartRefused: a part can't start; the ones that did are stopped by `stop`.
        """
        environment = self.environment
        if not environment.get("DATABASE_URL"):
            environment["DATABASE_URL"] = self._servers.enter_context(Postgres(self.data_dir / "postgres"))
        if not environment.get("REDIS_URL"):
            environment["REDIS_URL"] = self._servers.enter_context(Redis(self.data_dir / "redis"))
        # A bot on this machine, the demo's own among them.
        environment.setdefault("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8,::1/128")
        if self.sandbox:
            environment |= marketplaces_at(self.sandbox)
        # Checked here, so that a fault is one line and not one from each child.
        settings = load_settings(environment)
        port = _free_port() if self._port == 0 else self._port or settings.api_port
        _refuse_taken(port)
        environment["API_PORT"] = str(port)
        self.api = f"http://{LOOPBACK}:{port}"
        self._tell_other_commands()
        if self.sandbox:
            self._start_child("sandbox", "sandbox", "--port", self.sandbox.rpartition(":")[2], output=subprocess.DEVNULL)
        self._migrate()
        for name in ("serve", "worker", "scheduler"):
            # Several products may run on one machine, so each takes ports of its own.
            if "METRICS_ADDRESS" not in environment:
                address = f"{LOOPBACK}:{_free_port()}"
                self.metrics[name] = f"http://{address}/metrics"
                self._start_child(name, name, more={"METRICS_ADDRESS": address})
            else:
                self._start_child(name, name)
        self._await_ready()

    def wait(self) -> int:
        """Stay until a signal comes, or until a part ends, which none should."""
        while True:
            time.sleep(0.5)
            for name, child in self.children.items():
                if (code := child.poll()) is not None:
                    console.print(f"[red]{name} ended with code {code}; stopping the rest.[/red]")
                    return 1

    def stop(self) -> None:
        """The processes first, all at once, then the servers that they used."""
        for child in self.children.values():
            child.terminate()
        deadline = time.monotonic() + STOP_WITHIN_S
        for child in self.children.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._servers.close()

    def _start_child(self, name: str, *arguments: str, more: Mapping[str, str] = MappingProxyType({}), output: int | None = None) -> None:
        # A session of its own: Ctrl-C reaches this process alone, which stops the others in order.
        self.children[name] = subprocess.Popen(
            [*COMMAND, *arguments],
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=output,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - this process has one thread
        )

    def _migrate(self) -> None:
        done = subprocess.run([*COMMAND, "migrate"], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StartRefused(done.stderr.strip().removeprefix("stock-tracker: "))

    def _tell_other_commands(self) -> None:
        shared = {
            name: value
            for name, value in self.environment.items()
            if name in {"DATABASE_URL", "REDIS_URL", "WEBHOOK_ALLOWED_NETWORKS", *marketplaces_at("")}
        }
        file = self.data_dir / DEVELOPMENT_SERVERS_FILE
        self._servers.callback(file.unlink, missing_ok=True)
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}='{value}'\n" for name, value in shared.items()))

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        with httpx.Client(trust_env=False, timeout=2.0) as client:
            while time.monotonic() < deadline:
                for name, child in self.children.items():
                    if child.poll() is not None:
                        raise StartRefused(f"{name} could not start; see above.")
                try:
                    if client.get(f"{self.api}/health/ready").is_success:
                        return
                except httpx.TransportError:
                    pass  # it does not listen yet
                time.sleep(0.05)
        raise StartRefused(f"The API was not ready within {READY_WITHIN_S:.0f} s; see above.")


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise StartRefused(f"DATA_DIR: can't write to {folder} ({error.strerror}); choose a folder that this user may write.") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            raise StartRefused(f"API_PORT: port {port} is taken; stop what listens there, or choose another with --port.") from None


def _show(parts: Parts) -> None:
    console.print("\n[bold]Stock Tracker is running.[/bold] Ctrl-C stops everything.\n")
    console.print(f"  API            {parts.api}/api/v1")
    console.print(f"  documentation  {parts.api}/schema")
    console.print(f"  health         {parts.api}/health/ready")
    if parts.sandbox:
        console.print(f"  marketplaces   {parts.sandbox} (sandbox; --real uses the real ones)")
    for heading, (name, url) in zip(("metrics", "", ""), parts.metrics.items(), strict=False):
        console.print(f"  {heading:<14} {url} ({name})")
    console.print(f"  data           {parts.data_dir}\n")
