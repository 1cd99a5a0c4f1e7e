"""How often a sync is of use, by what the key is."""

import pytest

from app.marketplaces.wildberries.rhythm import least_interval_minutes
from app.marketplaces.wildberries.token import Access, Category, Token

EVERYTHING = frozenset(Category)


def token(categories: frozenset[Category]) -> Token:
    return Token(seller_id=None, type=None, service_id=None, categories=categories, expires_at=None, read_only=True)


@pytest.mark.parametrize("access", [Access.PERSONAL, Access.SERVICE, Access.BASE_WITH_SECRET])
def test_a_good_token_is_of_use_as_often_as_reports_are_renewed(access: Access):
    assert least_interval_minutes(access, token(EVERYTHING)) == 30
    assert least_interval_minutes(access, None) == 30


@pytest.mark.parametrize(
    ("categories", "minutes"),
    [(EVERYTHING, 180), (frozenset({Category.CONTENT, Category.STATISTICS}), 180), (frozenset({Category.CONTENT, Category.PRICES}), 15),
     (frozenset({Category.CONTENT, Category.MARKETPLACE}), 1), (frozenset(), 1)],
    ids=["the order feed", "the statistics", "prices", "only what is cheap", "nothing"],
)  # fmt: skip
def test_a_base_token_is_of_use_as_often_as_the_rarest_of_its_methods(categories: frozenset[Category], minutes: int):
    assert least_interval_minutes(Access.BASE, token(categories)) == minutes


def test_a_token_that_opens_no_report_does_not_wait_for_reports():
    assert least_interval_minutes(Access.SERVICE, token(frozenset({Category.CONTENT, Category.PRICES, Category.MARKETPLACE}))) == 1
