"""compose.yaml and the Dockerfile agree with the product. No container engine is needed to find a wrong name."""

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from app.cli.main import main

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = ("migrate", "api", "worker", "scheduler")


def test_every_setting_of_compose_is_one_that_the_product_knows():
    known = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))

    given = {name for service in OURS for name in COMPOSE["services"][service]["environment"]}
    asked_for = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "compose.yaml").read_text()))

    assert given - known == set()
    assert asked_for - known == set()


@pytest.mark.parametrize("service", OURS)
def test_every_service_of_compose_runs_a_command_that_exists(service):
    command, *arguments = COMPOSE["services"][service]["command"]

    shown = CliRunner().invoke(main, [command, "--help"])

    assert shown.exit_code == 0
    assert all(option in shown.output for option in arguments if option.startswith("--"))


def test_a_worker_can_be_scaled_and_all_wait_for_the_migrations():
    for service in ("api", "worker", "scheduler"):
        definition = COMPOSE["services"][service]
        assert definition["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert "container_name" not in definition
    assert "ports" not in COMPOSE["services"]["worker"]


def test_containers_are_not_root_and_cannot_write():
    assert re.search(r"^USER (?!root|0)\S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for service in OURS:
        assert COMPOSE["services"][service]["read_only"] is True


def test_the_image_copies_what_exists():
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert all((ROOT / name).exists() for line in copied for name in line.split())
