"""What the repository says of itself is true."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
GUIDES = sorted(
    path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("piccolo_migrations/*.md")]
)


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements.production.lock"])
def test_a_lock_holds_hashes_and_no_addresses(lock: str):
    text = (ROOT / lock).read_text()

    pinned = re.findall(r"^[a-z0-9][\w.\[\],-]*==\S+ \\\n    --hash=sha256:", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))
    assert len(pinned) > 20
    assert re.findall(r"\w+://|^\s*--(?:extra-)?index-url|--find-links|--trusted-host| @ ", text, re.MULTILINE) == []


def test_production_installs_what_was_tested():
    def pins(lock: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9]\S*==\S+", (ROOT / lock).read_text(), re.MULTILINE))

    assert pins("requirements.production.lock") < pins("requirements.lock")


@pytest.mark.parametrize("guide", GUIDES)
def test_every_make_target_that_a_guide_names_exists(guide: str):
    text = (ROOT / guide).read_text()

    named = set(re.findall(r"(?:`|^    )make ([a-z][a-z-]*)", text, re.MULTILINE))
    assert named <= TARGETS


@pytest.mark.parametrize("guide", GUIDES)
def test_every_file_that_a_guide_links_to_exists(guide: str):
    folder = (ROOT / guide).parent
    links = re.findall(r"\]\((?!\w+:)([^)#\s]+)", (ROOT / guide).read_text())

    assert [link for link in links if not (folder / link).exists()] == []


def test_the_makefile_keeps_its_targets_from_files_of_the_same_name():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert phony is not None
    assert set(phony[1].split()) == TARGETS
