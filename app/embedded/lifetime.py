"""What the embedded servers share: where their files are, under which account they run, and that they end with their owner."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from app.errors import StartRefused

PR_SET_PDEATHSIG = 1
"""prctl(2): a signal that the kernel sends to a child when the thread that started it ends, however it ends."""


def package_folder(name: str) -> Path:
    """Where an installed package lies; it is not imported.

    Raises:
        StartRefused: it is not installed.
    """
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise StartRefused(f"The package {name} is not installed; install it (make install), or set DATABASE_URL and REDIS_URL.")
    return Path(spec.submodule_search_locations[0])


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """For `preexec_fn`: the child gets this signal when its parent ends, SIGKILL included. Linux only; elsewhere a killed owner leaves it.

    Start the child from the main thread: the kernel watches the thread.
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


def server_account() -> dict[str, Any]:
    """Arguments for `subprocess`: an unprivileged account where we are root, since PostgreSQL refuses to be; nothing otherwise."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody", "daemon"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise StartRefused("PostgreSQL does not run as root, and there is no unprivileged account; set DATABASE_URL.")


def reachable(path: Path, account: dict[str, Any]) -> bool:
    """Whether that account may enter the folder, or run the file."""
    return subprocess.run(["/usr/bin/env", "test", "-x", path], cwd="/", check=False, **account).returncode == 0


@contextmanager
def sole_owner(folder: Path, what: str) -> Generator[IO[str]]:
    """Hold the folder while the body runs. The kernel lets go of it when the process ends, however it ends.

    Raises:
        StartRefused: another process holds it, or it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "owner.lock").open("a+")
    except OSError as error:
        raise StartRefused(f"DATA_DIR: can't write to {folder} ({error.strerror}); choose a folder that this user may write.") from None
    with lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except OSError:
            lock.seek(0)
            raise StartRefused(f"{what} is already running in {folder} (pid {lock.read().strip() or 'unknown'}).") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock
