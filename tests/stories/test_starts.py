"""What stops a start is one clear line on standard error and exit code 2, never a trace."""

import os
import secrets
import socket
import subprocess
import sys

import pytest

from app.settings import new_master_key
from tests.stories.product import ROOT, Product


def command(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli.main", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("stock-tracker: ")
    assert all(word in lines[0] for word in words), lines[0]


def bare(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return kept | {"ENCRYPTION_MASTER_KEY": new_master_key(), "JWT_SECRET": secrets.token_urlsafe(40)} | variables


@pytest.mark.parametrize("arguments", [("serve",), ("worker",), ("scheduler",), ("migrate",)])
def test_missing_settings(tmp_path, arguments):
    refused(command(bare(APP_ENV="production"), *arguments), "DATABASE_URL is not set", "REDIS_URL is not set")


@pytest.mark.parametrize("arguments", [("serve",), ("worker",), ("scheduler",), ("migrate",)])
def test_an_unreachable_database(arguments):
    environment = bare(DATABASE_URL="postgresql://u:hidden-password@127.0.0.1:1/x", REDIS_URL="redis://127.0.0.1:1/0")

    done = command(environment, *arguments)

    refused(done, "DATABASE_URL", "can't connect")
    assert "hidden-password" not in done.stderr


def test_a_taken_port(product: Product, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        refused(command(product.environment, "serve", "--port", port), f"port {port}", "taken")
        refused(command(bare(DATA_DIR=str(tmp_path / "data")), "dev", "--port", port), f"port {port}", "taken")


def test_a_data_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()

    refused(command(bare(DATA_DIR=str(tmp_path / "file" / "data")), "dev", "--once"), "DATA_DIR", "can't write")


@pytest.mark.parametrize("process", ["serve", "worker"])
def test_a_master_key_that_does_not_open_what_is_stored(product: Product, process):
    product.seller().give_key(products=1)

    refused(command(product.environment | {"ENCRYPTION_MASTER_KEY": new_master_key()}, process), "ENCRYPTION_MASTER_KEY", "stored values")


def test_a_malformed_master_key_is_not_repeated(product: Product):
    done = command(product.environment | {"ENCRYPTION_MASTER_KEY": "my-secret-but-malformed-key"}, "serve")

    refused(done, "ENCRYPTION_MASTER_KEY")
    assert "my-secret" not in done.stderr


def test_production_refuses_to_run_what_is_for_development():
    refused(command(bare(APP_ENV="production"), "dev", "--once"), "APP_ENV")


def test_the_real_demo_needs_a_key():
    refused(command(bare(), "dev", "--once", "--real"), "WB_API_KEY")


def test_a_new_master_key_is_one():
    done = command(bare(), "keys", "generate")

    assert len(done.stdout.strip()) == 44


def test_tables_and_migrations_agree():
    done = command(bare(DATABASE_URL="postgresql://unused", REDIS_URL="redis://unused"), "migrate", "--check")

    assert (done.returncode, done.stdout.strip()) == (0, "The tables and the migrations agree.")


def test_the_doctor_finds_an_installation_well_and_names_what_is_not(product: Product):
    well = command(product.environment, "doctor")
    ill = command(product.environment | {"REDIS_URL": "redis://127.0.0.1:1/0"}, "doctor")

    assert well.returncode == 0, well.stdout
    assert ill.returncode == 1
    assert "REDIS_URL" in ill.stdout


@pytest.mark.parametrize(("address", "mark"), [("", "✗"), ("https://stock.example.com", "✓")], ids=["none", "one"])
def test_the_doctor_asks_for_the_address_that_sellers_need_in_production(product: Product, address: str, mark: str):
    production = {"APP_ENV": "production", "JWT_SECRET": "j" * 64, "ENCRYPTION_MASTER_KEY": new_master_key()}

    done = command(product.environment | production | {"PUBLIC_URL": address}, "doctor")

    [said] = [line for line in done.stdout.splitlines() if "address" in line.split()[:2]]
    assert said.startswith(mark)
    assert (address or "PUBLIC_URL") in said
