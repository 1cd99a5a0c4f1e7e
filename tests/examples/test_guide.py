"""TELEGRAM_BOT_INTEGRATION.md and the files around the examples: what they show and name is what there is."""

import re
from functools import cache
from ipaddress import ip_network
from textwrap import dedent
from typing import Any

import httpx
import pytest
import yaml

import app.main  # noqa: F401 - all errors, and so all codes
from app.errors import StockTrackerError
from app.events.types import CATALOGUE
from tests.examples.conftest import EXAMPLES
from tests.stories.product import Product

ROOT = EXAMPLES.parent
GUIDE = (ROOT / "TELEGRAM_BOT_INTEGRATION.md").read_text()
BLOCKS = re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


class ComposeLoader(yaml.SafeLoader):
    """Knows Compose's own tag for a list that replaces another (https://docs.docker.com/reference/compose-file/merge/)."""


ComposeLoader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))

SERVICE = yaml.safe_load((ROOT / "compose.yaml").read_text())
OVERLAY = yaml.load((EXAMPLES / "compose.bot.yaml").read_text(), ComposeLoader)


def piece_of(reference: str) -> str:
    """A file, or between its marks `region: name` and `endregion` a piece of it."""
    path, _, region = reference.partition("#")
    text = (ROOT / path).read_text()
    if not region:
        return text
    found = re.search(rf"^ *(?:#|//) region: {region}\n(.*?)^ *(?:#|//) endregion$", text, re.MULTILINE | re.DOTALL)
    assert found, f"{path} has no region {region}"
    return dedent(found[1]).strip() + "\n"


@cache
def codes_of(error: type[StockTrackerError] = StockTrackerError) -> frozenset[str]:
    return frozenset({error.code}).union(*(codes_of(kind) for kind in error.__subclasses__()))


def table_below(heading: str) -> list[list[str]]:
    """The cells of the first table in a section, without its head."""
    section = GUIDE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert rows, f"there is no table below {heading}"
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in rows[0].splitlines()[2:]]


@pytest.mark.parametrize(("language", "reference", "shown"), BLOCKS, ids=lambda value: value[:60])
def test_each_block_of_code_is_what_its_file_has(language: str, reference: str, shown: str):
    if language == "mermaid":
        return

    assert reference, f"a block of {language} names no file"
    assert shown == piece_of(reference)


def test_the_guide_shows_both_bots_and_their_checks():
    shown = {reference for _, reference, _ in BLOCKS}

    assert {
        "examples/aiogram_bot/bot.py",
        "examples/grammy_bot/bot.mjs",
        "examples/verify_webhook.py",
        "examples/catalogue_copy.py",
    } <= shown
    assert [language for language, _, _ in BLOCKS].count("mermaid") == 2


def test_each_link_of_the_guide_leads_somewhere():
    links = re.findall(r"\]\((?!https?://)([^)]+)\)", GUIDE)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_each_request_of_the_guide_exists(product: Product):
    paths: dict[str, Any] = httpx.get(f"{product.parts.api}/schema/openapi.json", trust_env=False).json()["paths"]
    known = {(method.upper(), re.sub(r"\{.*?\}", "{}", path.removeprefix("/api/v1"))) for path in paths for method in paths[path]}
    named = {
        (method, re.sub(r"\{.*?\}", "{}", path.removeprefix("/api/v1")).replace("/wildberries", "/{}"))
        for method, path in re.findall(
            r"\b(GET|POST|PATCH|DELETE) (/(?:api/v1|auth|webhooks|tenants|products|changes|sync)[\w/{}-]*)", GUIDE
        )
    }

    assert len(named) >= 9
    assert named - known == set()


def test_each_error_code_of_the_guide_exists():
    named = {code for row in table_below("When something goes wrong") for code in re.findall(r"`([a-z_]+)`", row[0])}

    assert len(named) >= 10
    assert named - codes_of() == set()


def test_the_guide_names_each_type_of_event():
    assert {row[0].strip("`") for row in table_below("Webhooks")} == set(CATALOGUE)


def test_the_bots_network_is_the_one_that_webhooks_may_reach():
    [config] = OVERLAY["networks"]["bot"]["ipam"]["config"]
    services = OVERLAY["services"]

    allowed = {services[name]["environment"]["WEBHOOK_ALLOWED_NETWORKS"] for name in ("api", "worker")}

    assert allowed == {config["subnet"]}
    assert ip_network(config["subnet"]).is_private
    assert all("bot" in services[name]["networks"] for name in ("api", "worker", "bot"))
    assert services["bot"]["networks"] == ["bot"]
    assert "ports" not in services["bot"]
    assert {"api", "worker"} < set(SERVICE["services"])
    assert all(port.startswith("127.0.0.1:") for port in services["api"]["ports"])


@pytest.mark.parametrize(("bot", "program"), [("aiogram_bot", "bot.py"), ("grammy_bot", "bot.mjs")])
def test_what_compose_and_the_image_give_the_bot_is_what_it_reads(bot: str, program: str):
    image = (EXAMPLES / bot / "Dockerfile").read_text()
    read = set(re.findall(r"\b(?:BOT|SERVICE|WEBHOOK|STOCK|TELEGRAM)_[A-Z_]+", (EXAMPLES / bot / program).read_text()))
    given = set(OVERLAY["services"]["bot"]["environment"]) | set(re.findall(r"\b([A-Z_]+)=", image))

    assert read - given == {"TELEGRAM_API_ROOT"}
    assert given - read - {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "NODE_ENV"} == set()
    copied = {name for line in re.findall(r"^COPY (.+) \./$", image, re.MULTILINE) for name in line.split()}
    assert copied == {file.name for file in (EXAMPLES / bot).iterdir() if file.is_file() and file.name != "Dockerfile"} - {
        "package-lock.json"
    }
