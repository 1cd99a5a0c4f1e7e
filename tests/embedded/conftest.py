import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded.lifetime import Account
from app.embedded.postgres import Postgres
from tests.embedded.owner import python_of
from tests.embedded.processes import eventually, processes_in


@pytest.fixture
def new_folder(tmp_path: Path) -> Path:
    """A data folder that does not exist yet. As root it lies below a closed folder, since pytest makes its own so."""
    return tmp_path / "a 'folder' of ü%"


@pytest.fixture(scope="session")
def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One in which PostgreSQL ran before and does not now, for many tests: only the first start takes long."""
    folder = tmp_path_factory.mktemp("postgres") / "a 'folder' of ü%"
    with Postgres(folder):
        return folder


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.fixture
def somebody(as_root: None) -> Account:
    """An ordinary user, for whom this Python must be in reach."""
    entry = pwd.getpwnam("nobody")
    account = Account(user=entry.pw_uid, group=entry.pw_gid, extra_groups=[])
    if python_of(account) is None:
        pytest.skip("an ordinary user can't reach this checkout, or a Python of this version")
    return account


@pytest.fixture
def somebodys_folder(somebody: Account) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="st-test-", dir="/tmp"))
    os.chown(folder, somebody["user"], somebody["group"])
    yield folder
    eventually(lambda: not any(processes_in(inside) for inside in (folder / "data", folder / "data/cluster")))
    shutil.rmtree(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that every account may enter, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="st-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
