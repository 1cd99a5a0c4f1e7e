"""`GET /metrics`, on a port of its own and in a thread of its own: an event loop that is stuck shows there, and a scrape holds no loop up.

One address per machine and kind of process. Where one command runs several processes, each writes into a file of its own, and their parent, which does no other
work, serves the sum (https://prometheus.github.io/client_python/multiprocess/).
"""

import errno
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final, Literal, Protocol

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import (
    MultiProcessCollector,
    mark_process_dead,  # pyright: ignore[reportUnknownVariableType] - it has no types
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from app.errors import StartRefused
from app.observability.metrics import registry

Kind = Literal["api", "worker", "scheduler"]

PORTS: Final[dict[Kind, int]] = {"api": 9464, "worker": 9465, "scheduler": 9466}
"""Where an address names no port."""

TRY_AGAIN_S: Final = 5.0
"""A taken port may be that of a process that is just stopping."""

LONGEST_REQUEST_S: Final = 5.0
MOST_AT_ONCE: Final = 4

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
DIRECTORY_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""By it the library of a child process knows, when it is imported, that it must write into files."""

log = structlog.get_logger(__name__)


class MetricsSettings(Protocol):
    """The part of the settings that this needs."""

    @property
    def metrics_address(self) -> tuple[str, int | None] | None: ...


@contextmanager
def serving_metrics(settings: MetricsSettings, kind: Kind, *, processes: int = 1) -> Generator[None]:
    """Serve the metrics while the body runs: this process's, or, of several, those of the child processes that the body starts.

    Metrics are not worth a service that does not start: where another process has the address, that is said once, and tried again every few seconds.

    Raises:
        StartRefused: METRICS_ADDRESS is not this machine's.
    """
    if settings.metrics_address is None:
        yield
        return
    host, port = settings.metrics_address
    address = (host, PORTS[kind] if port is None else port)
    if processes == 1:
        with _serving(address, lambda: generate_latest(registry)):
            yield
        return
    with tempfile.TemporaryDirectory(prefix="stock-tracker-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ[DIRECTORY_VARIABLE] = folder
        try:
            with _serving(address, lambda: sum_of_processes(Path(folder))):
                yield
        finally:
            del os.environ[DIRECTORY_VARIABLE]


def sum_of_processes(folder: Path) -> bytes:
    """What all processes counted that write or wrote there. Gauges, and what the system says of processes, only of those that are alive."""
    pids = {int(file.stem.rpartition("_")[2]) for file in folder.glob("*.db")}
    alive = {pid for pid in pids if _is_alive(pid)}
    for pid in pids - alive:
        with suppress(FileNotFoundError):  # another scrape was faster
            mark_process_dead(pid, str(folder))
    together = CollectorRegistry()
    MultiProcessCollector(together, path=str(folder))
    together.register(_Processes(alive))
    return generate_latest(together)


class _Processes(Collector):
    """CPU, memory and open files of several processes together; they run since the eldest's start."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = pids

    def collect(self) -> Iterable[Metric]:
        together: dict[str, Metric] = {}
        for pid in self._pids:
            for family in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():
                [sample] = family.samples
                if family.name in together:
                    other = together[family.name].samples[0].value
                    combined = min(other, sample.value) if family.name.endswith(("start_time_seconds", "max_fds")) else other + sample.value
                else:
                    combined = sample.value
                make = CounterMetricFamily if family.type == "counter" else GaugeMetricFamily
                together[family.name] = make(family.name, family.documentation, value=combined)
        return together.values()


def _is_alive(pid: int) -> bool:
    """A process that ended and that its parent did not ask about yet is not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:
        return True  # a system without /proc


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], render: Callable[[], bytes]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.render = render
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Who comes while all places are taken is sent away: a scrape more or less is nothing, and threads without number are."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the signature is the base's
        """Who asked has gone away, most likely."""
        log.debug("metrics.request_failed", error=repr(sys.exc_info()[1]))


class _Handler(BaseHTTPRequestHandler):
    timeout = LONGEST_REQUEST_S
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride] - it serves nobody else

    def handle_one_request(self) -> None:
        """Nothing but `GET /metrics` is answered with anything."""
        try:
            self.raw_requestline = self.rfile.readline(8193)
        except TimeoutError:
            return
        if not self.raw_requestline or not self.parse_request():
            return
        if self.path.partition("?")[0] != "/metrics":
            self._answer(404)
        elif self.command != "GET":
            self._answer(405)
        else:
            try:
                self._answer(200, self.server.render())
            except ValueError:
                log.exception("metrics.not_rendered")
                self._answer(500)

    def version_string(self) -> str:
        return "stock-tracker"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base's
        """A scrape is no news."""

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def _serving(address: tuple[str, int], render: Callable[[], bytes]) -> Generator[None]:
    stop = threading.Event()
    server = _listen(address, render)
    if server is None:
        log.warning(
            "metrics.address_taken",
            address=_shown(address),
            advice="another process has it, and this one's metrics are not served; `--processes` and `--workers` share one address, port 0 takes a free one",
        )
    else:
        log.info("metrics.served", url=f"http://{_shown(server.server_address)}/metrics")

    def serve() -> None:
        current = server
        while current is None:
            if stop.wait(TRY_AGAIN_S):
                return
            with suppress(StartRefused):
                current = _listen(address, render)
                if current is not None:
                    log.info("metrics.served", url=f"http://{_shown(current.server_address)}/metrics")
        with current:
            current.timeout = 0.5
            while not stop.is_set():
                current.handle_request()

    thread = threading.Thread(target=serve, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(2.0)


def _listen(address: tuple[str, int], render: Callable[[], bytes]) -> _Server | None:
    """None where another process has the address."""
    try:
        return _Server(address, render)
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return None
        reason = error.strerror if isinstance(error, OSError) else "that is no host"
        raise StartRefused(f"METRICS_ADDRESS: can't listen on {_shown(address)}: {reason}.") from None


def _shown(address: Any) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
