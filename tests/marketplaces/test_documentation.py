"""docs/marketplaces.md names every method that is called, and no other."""

import re
from pathlib import Path

import pytest

from app.marketplaces.ozon import methods as ozon
from app.marketplaces.wildberries import methods as wildberries

TEXT = (Path(__file__).parents[2] / "docs" / "marketplaces.md").read_text()
# What the page tells of because it is gone.
GONE = {"/api/v1/supplier/stocks"}


def paths(module: object, method: type) -> set[str]:
    return {value.path for value in vars(module).values() if isinstance(value, method)}


CALLED = paths(wildberries, wildberries.Method) | paths(ozon, ozon.Method)


@pytest.mark.parametrize("path", sorted(CALLED))
def test_a_method_that_is_called_is_documented(path: str):
    assert f"{path}`" in TEXT


def test_a_method_that_is_documented_is_called():
    documented = set(re.findall(r"`(?:GET|POST) (/[^`]+)`", TEXT)) - GONE

    # Our own are another matter.
    assert {method for method in documented - CALLED if not method.startswith("/api/v1/tenants/")} == set()
