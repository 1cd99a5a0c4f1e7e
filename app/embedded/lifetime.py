"""What the embedded servers share: one owner of each data folder, a private folder for the socket, and an end together with the owner.

An owner that is killed takes its server along on Linux, where the kernel sees to it. Elsewhere the server stays until the next start on the same
data folder, which ends it first.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

from app.errors import StartRefused

PR_SET_PDEATHSIG = 1
"""prctl(2): a signal that the kernel sends to a child when the thread that started it ends, however it ends."""

STOP_WITHIN_S = 30.0
SOCKETS = Path("/tmp")  # noqa: S108 - not TMPDIR: it may be too long for a socket's path (104 characters on macOS), or closed to the server's account
SOCKETS_PREFIX = "stock-tracker.sockets-"
LOCK_FILE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class Account(TypedDict, total=False):
    """Arguments of `subprocess`: the account under which a server runs, or nothing where that is our own."""

    user: int
    group: int
    extra_groups: list[int]


_starter = ThreadPoolExecutor(1, "embedded-servers")  # a thread that stays until the process ends, since its children end with it


def package_folder(name: str) -> Path:
    """Where an installed package lies; it is not imported.

    Raises:
        StartRefused: it is not installed.
    """
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        package = name.replace("_", "-")
        raise StartRefused(f"The package {package} is not installed: pip install {package}, or set DATABASE_URL and REDIS_URL.")
    return Path(spec.submodule_search_locations[0])


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """For `preexec_fn`: the child gets this signal when its parent ends, SIGKILL included. Linux only; elsewhere a killed owner leaves it.

    The parent is the thread: start the child from one that lives as long as the child shall, such as the main thread.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    owner = os.getpid()

    def watch() -> None:
        prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != owner:  # it ended before we watched
            os.kill(os.getpid(), number)

    return watch


@contextmanager
def sole_owner(folder: Path, server: str, stop_signal: signal.Signals) -> Generator[int]:
    """Hold the folder while the body runs; gives a descriptor for the server and its helpers to inherit.

    There are two locks since a server outlives a killed owner for a moment: `owner.lock` is this process's, `server.lock` is shared with all that
    inherit the descriptor and free when the last of them is gone. The kernel lets go of both, however a process ends (flock(2)).

    Raises:
        StartRefused: another process holds the folder, or it can't be written.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            owner_lock, server_lock = (stack.enter_context(_descriptor(folder / name, LOCK_FILE)) for name in ("owner.lock", "server.lock"))
        except OSError as error:
            raise StartRefused(
                f"DATA_DIR: can't write to {error.filename} ({error.strerror}); choose a folder that this user may write."
            ) from None
        if not _locked(owner_lock):
            raise _already_running(server, folder, _read_pid(owner_lock))
        _write_pid(owner_lock, os.getpid())
        _end_former_server(server_lock, server, folder, stop_signal)
        yield server_lock


@contextmanager
def socket_folder(account: Account) -> Generator[Path]:
    """A short path that only the server's account may enter, removed at the end. Those that killed owners left are removed as well."""
    for left in SOCKETS.glob(f"{SOCKETS_PREFIX}*"):
        with suppress(OSError), _descriptor(left, FOLDER) as descriptor:  # another user's, or just removed by somebody else
            if _locked(descriptor):
                shutil.rmtree(left)
    # It gets its name when it is locked, so nobody takes it for one that was left.
    draft = Path(tempfile.mkdtemp(prefix=f".{SOCKETS_PREFIX}", dir=SOCKETS))
    with _descriptor(draft, FOLDER) as descriptor:
        flock(descriptor, LOCK_EX)
        give(draft, account)
        folder = draft.rename(draft.with_name(draft.name.removeprefix(".")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(
    command: Sequence[str | Path], *, folder: Path, account: Account, lock: int, log_file: Path, stop_signal: signal.Signals
) -> "Generator[subprocess.Popen[bytes]]":
    """Run the server inside the folder while the body runs, and end it then by its signal for an orderly end.

    What it writes goes to `log_file`. That of the run before is kept beside it and nothing older, so it can't grow without end.
    """
    with suppress(FileNotFoundError):
        log_file.replace(log_file.with_name(f"{log_file.name}.1"))
    with _descriptor(log_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as output:
        server = _starter.submit(
            lambda: subprocess.Popen(
                command,
                cwd=folder,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches the owner, which stops it in order
                umask=0o077,
                pass_fds=(lock,),
                preexec_fn=die_with_parent(stop_signal),  # noqa: PLW1509 - it takes no lock
                **account,
            )
        ).result()
    try:
        _write_pid(lock, server.pid)
        yield server
    finally:
        server.send_signal(stop_signal)
        try:
            server.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def give(path: Path, account: Account) -> None:
    """Make something of ours the server's own."""
    os.chown(path, account.get("user", -1), account.get("group", -1))


def last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


def _end_former_server(lock: int, server: str, folder: Path, stop_signal: signal.Signals) -> None:
    """One whose owner was killed. On Linux it is ending already, and the signal is only a repetition."""
    deadline = time.monotonic() + STOP_WITHIN_S
    told = False
    while not _locked(lock):
        former = _read_pid(lock)
        if former and not told:
            with suppress(ProcessLookupError):  # its own helpers are the last to go
                os.kill(former, stop_signal)
            told = True
        if time.monotonic() > deadline:
            raise _already_running(server, folder, former)
        time.sleep(0.02)
    os.truncate(lock, 0)


def _already_running(server: str, folder: Path, pid: int | None) -> StartRefused:
    return StartRefused(f"{server} is already running in {folder}, pid {pid or 'unknown'}; stop it, or choose another DATA_DIR.")


@contextmanager
def _descriptor(path: Path, flags: int) -> Generator[int]:
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_pid(lock: int) -> int | None:
    text = os.pread(lock, 20, 0)
    return int(text) if text.isdigit() else None


def _write_pid(lock: int, pid: int) -> None:
    os.truncate(lock, 0)
    os.pwrite(lock, str(pid).encode(), 0)
