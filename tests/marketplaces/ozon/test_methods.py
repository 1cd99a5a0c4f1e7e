"""The table of methods, and what is printed of it."""

import re

from app.marketplaces.ozon import methods
from app.marketplaces.ozon.methods import LIMIT, METHODS, METHODS_OF_STAGE, ROLES, Method


def test_the_printed_table_is_the_data() -> None:
    printed = dict(re.findall(r"^\| ([A-Z_]+) *\| (/\S+)", methods.__doc__ or "", re.MULTILINE))
    sizes = dict(re.findall(r"^\| ([A-Z_]+) *\| /\S+ +\| \S+ +\| ([\d,]+)", methods.__doc__ or "", re.MULTILINE))

    table = {name: method for name, method in vars(methods).items() if isinstance(method, Method)}
    assert printed == {name: method.path for name, method in table.items()}
    assert {name: int(size.replace(",", "")) for name, size in sizes.items()} == {
        name: method.page_size for name, method in table.items() if method.page_size > 1
    }
    assert set(METHODS) == set(table.values())


def test_never_more_calls_leave_in_a_second_than_ozon_allows() -> None:
    assert LIMIT.burst + 1 / LIMIT.interval_s <= 50


def test_every_stage_has_its_methods() -> None:
    assert tuple(METHODS_OF_STAGE) == ("products", "stocks", "prices", "orders")
    assert {method.path for needed in METHODS_OF_STAGE.values() for method in needed} < {method.path for method in METHODS} - {ROLES.path}
