"""Orders: from the order feed, or, where that is not to be had, from the older statistics."""

from collections.abc import AsyncIterator

import msgspec
import structlog

from app.marketplaces.contract import FetchedOrder, Page
from app.marketplaces.errors import MethodGone, ScopeMissing
from app.marketplaces.wildberries.account import Account
from app.marketplaces.wildberries.order_feed import FeedPlace, feed_pages
from app.marketplaces.wildberries.statistics import StatisticsPlace, statistics_pages
from app.marketplaces.wildberries.token import Category

log = structlog.get_logger(__name__)

_place = msgspec.json.Decoder(FeedPlace | StatisticsPlace)


async def order_pages(account: Account, after: bytes) -> AsyncIterator[Page[FetchedOrder]]:
    """Yield orders of which something changed since the place that `after` tells, whichever of the two it was written by."""
    place = _place.decode(after) if after else FeedPlace()
    token = account.token
    has_statistics = token is None or token.may_have(Category.STATISTICS)
    if token is None or token.may_have(Category.ANALYTICS) or not has_statistics:
        begun = False
        try:
            async for page in feed_pages(account, place if isinstance(place, FeedPlace) else _for_feed(place)):
                begun = True
                yield page
            return
        except (ScopeMissing, MethodGone) as error:
            if begun or not has_statistics:
                raise
            log.warning("wildberries_order_feed_closed", code=error.code)
    async for page in statistics_pages(account, place if isinstance(place, StatisticsPlace) else _for_statistics(place)):
        yield page


def _for_feed(place: StatisticsPlace) -> FeedPlace:
    known = [until for until in (place.orders_until, place.sales_until) if until]
    return FeedPlace(read_until=min(known) if len(known) == 2 else None)


def _for_statistics(place: FeedPlace) -> StatisticsPlace:
    return StatisticsPlace(place.read_until, place.read_until)
