import pytest

from app.marketplaces.exchange import Budget
from app.marketplaces.wildberries import methods
from app.marketplaces.wildberries.hosts import WildberriesHosts
from app.marketplaces.wildberries.methods import METHODS, Method
from app.marketplaces.wildberries.token import Access

NAMES = {id(method): name for name, method in vars(methods).items() if isinstance(method, Method)}


def table() -> dict[str, list[str]]:
    """The rows of the table in the module's docstring, by method."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in (methods.__doc__ or "").splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows[2:]}


def in_words(budget: Budget) -> str:
    unit, seconds = next((unit, s) for unit, s in (("h", 3600.0), ("min", 60.0), ("s", 1.0)) if budget.interval_s >= s or unit == "s")
    return f"1 in {budget.interval_s / seconds:g} {unit}" + (f", burst {budget.burst}" if budget.burst > 1 else "")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: NAMES[id(method)])
def test_the_table_that_is_read_is_the_data_that_is_used(method: Method) -> None:
    host, category, page, limit, base_limit, open_to = table()[NAMES[id(method)]]

    if method is not methods.PING:
        assert host == method.host
        assert method.category.startswith(category)
    assert page in (f"{method.page_size:,}", "" if method.page_size == 1 else None, "all" if method.page_size == 1 else None)
    assert limit == in_words(method.limit)
    closed = Access.BASE in method.closed_to
    assert base_limit == ("closed" if closed else in_words(method.base_limit) if method.base_limit else "the same")
    assert ("a 4XX costs 10" in open_to) == (method.limit.refusal_cost == 10)
    assert ("Base + secret" in open_to) == (closed and Access.BASE_WITH_SECRET not in method.closed_to)


def test_the_table_has_all_methods_and_no_other() -> None:
    assert set(table()) == set(NAMES.values()) == {NAMES[id(method)] for method in METHODS}


def test_methods_that_share_a_budget_agree_on_it() -> None:
    budgets: dict[str, set[tuple[Budget, Budget | None]]] = {}
    for method in METHODS:
        budgets.setdefault(method.group, set()).add((method.limit, method.base_limit))

    assert all(len(of_group) == 1 for of_group in budgets.values())


def test_only_a_plain_base_token_has_the_limits_of_one() -> None:
    seen = {access: methods.ORDER_FEED.budget(access).interval_s for access in Access}

    assert seen == {Access.PERSONAL: 60, Access.SERVICE: 60, Access.BASE_WITH_SECRET: 60, Access.BASE: 10_800}


def test_every_method_is_read_only_and_on_a_host_that_there_is() -> None:
    for method in METHODS:
        assert method.verb == "GET" or method.path.endswith(("/list", "/trash", "-warehouses", "/order-feed", "/{warehouseId}"))
        assert WildberriesHosts().url(method.host).startswith("https://")
        assert all(method.closed)
