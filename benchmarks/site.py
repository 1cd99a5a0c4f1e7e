"""What all measurements stand on: a PostgreSQL, a Redis and a sandbox marketplace of their own, and processes that use them."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx

from app.database import database
from app.embedded.lifetime import die_with_parent
from app.embedded.postgres import Postgres
from app.embedded.redis import Redis
from app.migrations import migrate
from app.sandbox.control import environment as sandbox_environment
from app.secret import Secret
from app.settings import new_master_key

ROOT = Path(__file__).parent.parent
READY_WITHIN_S = 30.0
RUN_WITHIN_S = 120.0
LOG_LINES_SHOWN = 40
STOP_WITHIN_S = 15.0
TEMPLATE = "benchmark_template"


class Site:
    """The servers, as long as the context lasts. `environment` is what the application's processes are given, but for the database."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._databases = 0
        self.environment: dict[str, str] = {}
        self._postgres_url = self._superuser_url = ""
        self.postgres_pid = self.sandbox_pid = 0
        self._sandbox_url = ""

    def __enter__(self) -> Self:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="st-bench-", ignore_cleanup_errors=True)))
        self._log = self._stack.enter_context((folder / "processes.log").open("a+b"))
        # PostgreSQL's own account, where we are root, must get into it.
        folder.chmod(0o711)
        try:
            postgres = Postgres(folder / "postgres")
            self._postgres_url = self._stack.enter_context(postgres)
            self._superuser_url = postgres.superuser_dsn
            self.postgres_pid = int((folder / "postgres/cluster/postmaster.pid").read_text().partition("\n")[0])
            redis_url = self._stack.enter_context(Redis(folder / "redis"))
            asyncio.run(self._make_template())
            self.environment = {
                **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")},
                "APP_ENV": "development",
                "REDIS_URL": redis_url,
                "DATA_DIR": str(folder / "data"),
                "ENCRYPTION_MASTER_KEY": new_master_key(),
                "JWT_SECRET": secrets.token_urlsafe(48),
                "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
                "MARKETPLACE_LIMITS_ENABLED": "false",
                # A load is more than any tenant may ask; what the counting costs, benchmarks/admission.py tells.
                "RATE_LIMIT_TENANT_PER_MINUTE": "0",
                "RATE_LIMIT_GLOBAL_PER_MINUTE": "0",
                "RATE_LIMIT_AUTH_PER_MINUTE": "0",
                # What production writes: a line per request, and some per run.
                "LOG_LEVEL": "info",
                "LOG_FORMAT": "json",
            }
            self._start_sandbox()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._log.seek(0)
            sys.stderr.buffer.writelines(self._log.readlines()[-LOG_LINES_SHOWN:])
        self._stack.close()

    @contextmanager
    def new_database(self) -> Generator[str]:
        """The URL of a migrated database with nothing in it. It goes with the context."""
        self._databases += 1
        name = f"benchmark_{self._databases}"
        asyncio.run(_execute(self._postgres_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
        try:
            yield self._url(name)
        finally:
            # An ordinary role may not end autovacuum's work there.
            asyncio.run(_execute(self._superuser_url, f"DROP DATABASE {name} WITH (FORCE)"))

    def superuser_url(self, url: str) -> str:
        """The same database for a role that no wall between tenants holds."""
        return urlunsplit(urlsplit(self._superuser_url)._replace(path=urlsplit(url).path))

    @contextmanager
    def slow_marketplace(self, delay_ms: int) -> Generator[None]:
        """Every answer of the sandbox takes so long while the context lasts."""
        self._behave(delay_ms=delay_ms)
        try:
            yield
        finally:
            self._behave(delay_ms=0)

    def execute(self, url: str, statement: str) -> None:
        """One statement, of which nothing is wanted back."""
        asyncio.run(_execute(url, statement))

    def run(self, module: str, environment: Mapping[str, str], *arguments: str, within_s: float = RUN_WITHIN_S) -> bytes:
        """The last line that a process of this module prints.

        Raises:
            RuntimeError: it failed; its errors stand in the log, whose end is shown.
        """
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env={**self.environment, **environment},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self._log,
            check=False,
            timeout=within_s,
        )
        if done.returncode:
            raise RuntimeError(f"{module} failed with code {done.returncode}.")
        return done.stdout.strip().rpartition(b"\n")[2]

    @contextmanager
    def process(self, arguments: list[str], environment: Mapping[str, str], told: bytes = b"") -> Generator[int]:
        """A process that serves while the context lasts; gives its pid. It is `told` a few lines on its standard input."""
        child = subprocess.Popen(
            [sys.executable, *arguments],
            env={**self.environment, **environment},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - it makes two system calls
        )
        assert child.stdin is not None
        with child.stdin as stdin:
            stdin.write(told)
        try:
            yield child.pid
        finally:
            child.terminate()
            try:
                child.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _start_sandbox(self) -> None:
        port = free_port()
        self._sandbox_url = url = f"http://127.0.0.1:{port}"
        self.sandbox_pid = self._stack.enter_context(self.process(["-m", "app.cli.main", "sandbox", "--port", str(port)], {}))
        await_answer(f"{url}/sandbox")
        # A shop that stands still, and a marketplace that is never the slowest part: no limits, and each page made once.
        self._behave(limits=False)
        httpx.post(f"{url}/sandbox/clock", json={"freeze_at": datetime.now(UTC).isoformat()}, trust_env=False).raise_for_status()
        self.environment |= sandbox_environment(url)

    def _behave(self, **behaviour: object) -> None:
        httpx.patch(f"{self._sandbox_url}/sandbox", json=behaviour, trust_env=False).raise_for_status()

    async def _make_template(self) -> None:
        await _execute(self._postgres_url, f"CREATE DATABASE {TEMPLATE}")
        database.configure(Secret(self._url(TEMPLATE)))
        await migrate()

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self._postgres_url)._replace(path=f"/{name}"))


async def _execute(url: str, statement: str) -> None:
    connection: Any = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_answer(url: str) -> None:
    """Wait until a server answers with success.

    Raises:
        TimeoutError: it doesn't.
    """

    def answers() -> bool:
        try:
            return httpx.get(url, trust_env=False).is_success
        except httpx.TransportError:
            return False

    await_truth(answers, READY_WITHIN_S, url)


def await_truth(holds: Callable[[], bool], within_s: float, what: str) -> None:
    """Ask again and again.

    Raises:
        TimeoutError: it did not come true.
    """
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not within {within_s:.0f} s: {what}")
        time.sleep(0.02)
