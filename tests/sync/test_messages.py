"""A message has room in its event, whatever went wrong."""

from app.events.types import OrderCounts, ProductCounts, StockCounts, SyncCounts
from app.marketplaces.contract import Marketplace
from app.runs.schemas import ErrorOut
from app.sync.messages import sync_completed

COUNTS = SyncCounts(
    products=ProductCounts(created=10**6, updated=10**6, archived=10**6, total=10**6),
    stocks=StockCounts(changed=10**6, total_units=10**9),
    orders=OrderCounts(new=10**6),
)


def test_a_sync_that_went_wrong_in_many_ways_is_told_in_a_thousand_characters_and_each_cause_once():
    causes = [ErrorOut("marketplace_error", letter * 900) for letter in "aabcd"]

    message = sync_completed("ru", Marketplace.WILDBERRIES, COUNTS, 10**6, shortcomings=causes)

    assert len(message) <= 1000
    assert [message.count(letter * 250) for letter in "abcd"] == [1, 1, 1, 0]
