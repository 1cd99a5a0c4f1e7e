"""docs/operations.md speaks of what there is: statuses, error codes, commands, settings, lines of the log."""

import importlib
import pkgutil
import re
import shlex
from pathlib import Path
from typing import get_args

import click
import pytest

from app import marketplaces
from app.cli.main import main
from app.errors import CredentialsMissing
from app.marketplaces.errors import MarketplaceError
from app.runs.schemas import StageStatus
from app.runs.tables import RunStatus
from app.settings import Settings
from app.sync.messages import OWN_REASONS
from app.vault import CredentialsUnreadable

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/operations.md").read_text()
COMMANDS = sorted(set(re.findall(r"(?:`|^    )(stock-tracker [^`\n]+)", TEXT, re.MULTILINE)))


def first_column(heading: str) -> set[str]:
    """Of the table whose head begins with that word."""
    [rows] = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return set(re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE))


def every_subclass(error: type[MarketplaceError]) -> set[type[MarketplaceError]]:
    return {error}.union(*(every_subclass(each) for each in error.__subclasses__()))


def test_each_status_of_a_run_and_of_a_stage_is_told():
    assert first_column("run") == set(RunStatus)
    assert first_column("stage") == set(get_args(StageStatus))


def test_each_code_that_a_run_or_a_stage_can_end_with_is_told():
    for module in pkgutil.walk_packages(marketplaces.__path__, "app.marketplaces."):
        importlib.import_module(module.name)

    codes = {error.code for error in every_subclass(MarketplaceError) if error.__module__.startswith("app.")}
    codes |= {CredentialsMissing.code, CredentialsUnreadable.code, *OWN_REASONS}
    # What a stage notices by itself.
    codes |= {code for path in (ROOT / "app").rglob("service.py") for code in re.findall(r'ErrorOut\("(\w+)"', path.read_text())}

    assert first_column("code") == codes


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_exists_with_its_options_and_arguments(line: str):
    _, *words = shlex.split(line)
    command: click.Command = main
    while isinstance(command, click.Group) and words:
        name = words.pop(0)
        assert name in command.commands, line
        command = command.commands[name]

    assert not isinstance(command, click.Group), f"{line} is only half a command"
    # Parsing alone: nothing is carried out.
    context = command.make_context(command.name, words, resilient_parsing=False)

    assert context.command is command


def test_each_setting_it_names_is_one_of_ours():
    ours = {name.upper() for name in Settings.__struct_fields__} | {"ENCRYPTION_MASTER_KEY", "JWT_SECRET"}

    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", TEXT))

    assert named >= {"RUN_RETENTION_DAYS", "EVENT_RETENTION_DAYS", "STOCK_HISTORY_DAYS"}
    assert named <= ours


def test_the_retention_it_tells_is_the_default():
    told = [f"{name}={days}" for days, name in re.findall(r"\| (\d+) days \| `(\w+)` \|", TEXT)]

    assert len(told) == 4
    assert set(told) <= set((ROOT / ".env.example").read_text().splitlines())


def test_each_line_of_the_log_it_names_is_written_somewhere():
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)`", TEXT)) - {"credentials.invalid"}
    source = "".join(path.read_text() for folder in ("app", "workers") for path in (ROOT / folder).rglob("*.py"))

    assert len(named) > 10
    assert {name for name in named if f'"{name}"' not in source} == set()
