"""The whole product as processes, with servers of its own, all of which a test may stop, kill, freeze and start again."""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from app.embedded.lifetime import die_with_parent
from app.sandbox.control import environment as marketplaces_at
from app.settings import new_master_key
from tests.faults.proxy import Proxy
from tests.faults.standby import Database, small_disk
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
WORKERS = ("worker 1", "worker 2")
SCHEDULERS = ("scheduler 1", "scheduler 2")
# A hanging database is noticed by the sweep after five seconds; two thirds of a lease, which is what is left of it at least, are longer.
LEASE_S = 10
READY_WITHIN_S = 30.0
REFUSED = 2  # the exit code of a start that one line explains
STOP_WITHIN_S = 10.0
# The last one again and again: a receiver of ours is never away for long.
RETRY_SCHEDULE_S = ",".join(["1", "1", "2", "2", "3"] + ["5"] * 60)


class Process:
    """A process of the product, that is started again after it was ended. Its log is one file over all its lives."""

    def __init__(self, name: str, arguments: list[str], environment: Mapping[str, str], log_file: Path) -> None:
        self.name = name
        self.log_file = log_file
        self._arguments = arguments
        self._environment = environment
        self.start()

    def start(self) -> None:
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli.main", *self._arguments],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - the programme starts processes from its first thread
            )

    @property
    def worker(self) -> str:
        """What a worker writes beside the runs that it has."""
        return f"{socket.gethostname()}:{self._process.pid}"[:100]

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def start_if_refused(self) -> None:
        """As whoever watches over it would: a process whose servers are away when it starts says so, and ends."""
        if self._process.poll() == REFUSED:
            self.start()

    def kill(self) -> None:
        """As a crash or the kernel would."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> tuple[int, float]:
        """As an operator would, who loses patience after twice the time that it has; gives its exit code, and how many seconds it took."""
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(self._process.wait, 2 * STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.returncode
        return code, time.monotonic() - began

    def logged(self, event: str | None = None) -> Iterator[dict[str, Any]]:
        """What it wrote, of that event or at all; a line that is no log is `{"line": …}`, such as those of a traceback that nobody caught."""
        for line in self.log_file.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"line": line}
            if event is None or entry.get("event") == event:
                yield entry


class Installation:
    """API, two schedulers, two workers and the sandbox marketplaces as processes; PostgreSQL, the proxy before it, and Redis."""

    def __init__(self, folder: Path, database: Database, redis: RedisServer, no_disk_because: str) -> None:
        self.folder = folder
        self.database = database
        self.redis = redis
        self.no_disk_because = no_disk_because
        self.processes: dict[str, Process] = {}
        self.api = f"http://127.0.0.1:{_free_port()}"
        self.marketplaces = f"http://127.0.0.1:{_free_port()}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH")},
            **marketplaces_at(self.marketplaces),
            "APP_ENV": "development",
            "DATABASE_URL": database.url,
            "REDIS_URL": redis.url,
            "DATA_DIR": str(folder / "data"),
            "API_PORT": self.api.rpartition(":")[2],
            "ENCRYPTION_MASTER_KEY": new_master_key(),
            "JWT_SECRET": secrets.token_urlsafe(48),
            "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            "WEBHOOK_RETRY_SCHEDULE_S": RETRY_SCHEDULE_S,
            # A report may be asked for once a minute: that is tested where it matters.
            "MARKETPLACE_LIMITS_ENABLED": "false",
            # All sellers come from one address.
            "RATE_LIMIT_AUTH_PER_MINUTE": "0",
            "SYNC_LEASE_S": str(LEASE_S),
            "LOG_LEVEL": "info",
            "LOG_FORMAT": "json",
        }

    @property
    def workers(self) -> list[Process]:
        return [self.processes[name] for name in WORKERS]

    @property
    def schedulers(self) -> list[Process]:
        return [self.processes[name] for name in SCHEDULERS]

    async def start(self) -> None:
        """Each part when the ones that it needs are there."""
        self._run("sandbox", "sandbox", "--port", self.marketplaces.rpartition(":")[2])
        migrated = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "app.cli.main", "migrate"],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        assert migrated.returncode == 0, migrated.stderr
        self._run("api", "serve")
        for name in SCHEDULERS:
            self._run(name, "scheduler")
        for name in WORKERS:
            self._run(name, "worker")
        await self.await_api()
        await self.sandbox("PATCH", limits=False, report_s=0.2)

    def _run(self, name: str, *arguments: str) -> None:
        self.processes[name] = Process(name, list(arguments), self._environment, self.folder / f"{name}.log")

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()

    async def await_api(self) -> None:
        """Until it says that it can serve."""
        deadline = time.monotonic() + READY_WITHIN_S
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            while True:
                try:
                    if (await client.get(f"{self.api}/health/ready")).is_success:
                        return
                except httpx.TransportError:
                    self.processes["api"].start_if_refused()
                    assert not self.processes["api"].ended, "the API ended"
                assert time.monotonic() < deadline, f"the API was not ready within {READY_WITHIN_S:.0f} s"
                await asyncio.sleep(0.05)

    async def sandbox(self, method: str, path: str = "", **body: Any) -> Any:
        """The controls of the marketplaces."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            answer = await client.request(method, f"{self.marketplaces}/sandbox{path}", json=body or None)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


@asynccontextmanager
async def running_installation(folder: Path) -> AsyncIterator[Installation]:
    """All of it, until the body ends."""
    async with AsyncExitStack() as stack:
        no_disk_because = stack.enter_context(small_disk(folder / "disk"))
        redis = stack.enter_context(RedisServer())
        proxy = stack.enter_context(Proxy())
        database = Database(folder, proxy)
        stack.push_async_callback(database.stop)
        await database.start()
        installation = Installation(folder, database, redis, no_disk_because)
        stack.callback(installation.stop)
        await installation.start()
        yield installation


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
