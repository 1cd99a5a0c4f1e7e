"""Each line of the sync engine's design is a promise, and tests/promises has a test that quotes it.

The design lies beside the repository, in `../shared/design`; where it is absent, the quotations can't be held to it.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DESIGN = ROOT.parent / "shared" / "design" / "sync-engine.md"

TOLD_ELSEWHERE = (
    "what the product exists for.",
    "it must be correct when killed at any instruction, fair when busy, polite to the marketplaces, and so cheap that one core serves thousands of sellers.",
    "export.completed, export.failed, digest.ready (daily, at the tenant's hour), webhook.disabled",  # not this engine's
    "also as days of cover",  # analytics
    "stage wildberries (see reference/wildberries.md for the current methods per token type) ozon (reference/ozon.md)",
)
NOT_OF_THE_ENGINE = "## Scope for growth"
"""And what follows is docs/scaling.md's, which tests/test_scaling_document.py holds to the measured figures."""
FEWEST_LETTERS = 20
"""What lies between two quotations and is shorter is grammar."""

pytestmark = pytest.mark.skipif(not DESIGN.exists(), reason="../shared/design/sync-engine.md is not there")


def plain(text: str) -> str:
    """Words and their punctuation, without markup."""
    text = re.sub(r"^\s*-\s|^\|[-|]+\|$|[*`\"]", "", text, flags=re.MULTILINE)
    return " ".join(re.sub(r"[|→]", " ", text).split()).lower()


def quotations() -> dict[str, list[str]]:
    """By test, the pieces of the design in its docstring."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests" / "promises").glob("test_*.py")):
        for test in ast.parse(path.read_text()).body:
            if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name.startswith("test_"):
                quoted = re.findall("“(.*?)”", ast.get_docstring(test) or "", re.DOTALL)
                pieces = [plain(piece).strip(" .,;:") for quotation in quoted for piece in quotation.split("…")]
                found[test.name] = [piece for piece in pieces if piece]
    return found


def test_what_a_test_of_a_promise_quotes_stands_in_the_design():
    design = plain(DESIGN.read_text())

    invented = {(test, piece) for test, pieces in quotations().items() for piece in pieces if piece not in design}

    assert invented == set()


def test_each_line_of_the_design_is_quoted_by_a_test_or_told_elsewhere():
    design = plain(re.sub("^#.*$", "", DESIGN.read_text().partition(NOT_OF_THE_ENGINE)[0], flags=re.MULTILINE))
    is_told = bytearray(len(design))

    for piece in {*TOLD_ELSEWHERE, *(piece for of_test in quotations().values() for piece in of_test)}:
        for place in re.finditer(re.escape(piece), design):
            is_told[place.start() : place.end()] = b"\1" * len(piece)

    left = "".join("\n" if told else letter for letter, told in zip(design, is_told, strict=True))
    assert [line for line in left.splitlines() if len(line.strip(" .,;:()")) >= FEWEST_LETTERS] == []
