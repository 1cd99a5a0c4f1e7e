"""Ozon's official description, as of 2026-04-16, made usable as one of schemas. It lies unchanged in `../shared/specs/ozon`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.specification import Specification

DESCRIPTION = Path(__file__).resolve().parents[3] / "shared" / "specs" / "ozon" / "seller_swagger.json"


def ozon_specification() -> Specification:
    """Parsed once per process; where it is absent, the test is skipped."""
    if not DESCRIPTION.is_file():
        pytest.skip("no official description seller_swagger.json in ../shared/specs/ozon", allow_module_level=True)
    return _parse()


@cache
def _parse() -> Specification:
    return Specification(_usable(json.loads(DESCRIPTION.read_bytes())))


def _usable(node: Any) -> Any:
    """Without `required: true` inside properties, which is no JSON Schema: Ozon puts it there by mistake."""
    if isinstance(node, dict):
        is_parameter = "in" in node
        return {
            key: _usable(value)
            for key, value in node.items()
            if not (key == "required" and isinstance(value, bool) and "content" not in node and not is_parameter)
        }
    if isinstance(node, list):
        return [_usable(element) for element in node]
    return node
