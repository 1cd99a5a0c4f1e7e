"""`stock-tracker migrate`: any number at once, as often as one likes; and what happens without it."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from tests.cli.commands import ROOT, run

UNUSED = {"DATABASE_URL": "postgresql://unused", "REDIS_URL": "redis://unused"}


@pytest.fixture
def empty(environment: dict[str, str], postgres_url: str) -> Iterator[dict[str, str]]:
    """Told of a database without a table."""
    name = f"stock_tracker_cli_{os.getpid()}"

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(execute(f"CREATE DATABASE {name}"))
    yield environment | {"DATABASE_URL": urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))}
    asyncio.run(execute(f"DROP DATABASE {name} WITH (FORCE)"))


def test_of_three_at_once_one_carries_the_migrations_out_and_all_succeed(empty: dict[str, str]):
    with ThreadPoolExecutor(3) as together:
        done = list(together.map(lambda _: run(empty, "migrate"), range(3)))

    assert [each.returncode for each in done] == [0, 0, 0], [each.stderr for each in done]
    assert sorted("carried out" in each.stdout for each in done) == [False, False, True]
    again = run(empty, "migrate")
    assert (again.returncode, again.stdout.strip(), again.stderr) == (0, "The database is up to date.", "")


def test_nothing_starts_on_a_database_that_lacks_migrations(empty: dict[str, str]):
    with ThreadPoolExecutor(3) as together:
        done = list(together.map(lambda command: run(empty, *command), [("serve", "--port", "0"), ("worker",), ("scheduler",)]))

    for each in done:
        assert each.returncode == 2
        assert each.stderr.startswith("stock-tracker: The database lacks ")
        assert "stock-tracker migrate" in each.stderr
        assert len(each.stderr.splitlines()) == 1


@pytest.fixture
def copied_project(tmp_path: Path) -> Path:
    for folder in ("app", "workers", "piccolo_migrations"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "piccolo_conf.py", tmp_path)
    return tmp_path


def test_a_column_that_no_migration_makes_is_found(environment: dict[str, str], copied_project: Path):
    tables = copied_project / "app/tenants/tables.py"
    written = tables.read_text()
    tables.write_text(written.replace("    id = UUID(", "    shoe_size = UUID(default=None, null=True)\n    id = UUID(", 1))

    differs = run(environment | UNUSED, "migrate", "--check", root=copied_project)
    tables.write_text(written)
    agrees = run(environment | UNUSED, "migrate", "--check", root=copied_project)

    assert differs.returncode == 1
    assert "shoe_size" in differs.stderr
    assert "Traceback" not in differs.stderr
    assert (agrees.returncode, agrees.stderr) == (0, "")
