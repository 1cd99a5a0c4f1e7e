"""Orders, which Ozon calls postings: parcels of what a buyer ordered at once. FBS and FBO have a list each.

Source: docs.ozon.ru/api/seller, "/v4/posting/fbs/list" and "/v3/posting/fbo/list", as of 2026-10-01.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec

from app.marketplaces.contract import FetchedOrder, FetchedOrderLine, Fulfilment, OrderStatus, Page
from app.marketplaces.errors import MarketplaceError, MethodGone, ScopeMissing, UnexpectedResponse
from app.marketplaces.exchange import Answer
from app.marketplaces.items import ARTICLE_LENGTH, DESTINATION_LENGTH, NUMBER_LENGTH, WAREHOUSE_LENGTH, NotOurs, currency, price, text
from app.marketplaces.ozon.account import Account
from app.marketplaces.ozon.lists import ListPage, list_reader
from app.marketplaces.ozon.methods import FBO_POSTINGS, FBS_POSTINGS, Method
from app.marketplaces.ozon.paging import Paging
from app.marketplaces.ozon.refusals import MethodClosed
from app.marketplaces.ozon.wire import Period, Posting, PostingFilter, PostingNumber, Postings, PostingsQuestion

# Our choice; Ozon allows a year in one question.
FURTHEST_BACK = timedelta(days=60)
# How much of what was read is read again: changes that were entered late, and clocks that differ.
OVERLAP = timedelta(hours=1)
# FBO can't be asked for what changed. Most changes are of the last days; those of older orders are found once a day.
RECENT = timedelta(days=7)
WHOLE_EVERY = timedelta(days=1)
# A window that ends now loses what Ozon's clock, if it is before ours, has already dated.
AHEAD = timedelta(days=1)

STATUSES = {
    "awaiting_registration": OrderStatus.CREATED,
    "acceptance_in_progress": OrderStatus.CREATED,
    "awaiting_approve": OrderStatus.CREATED,
    "awaiting_packaging": OrderStatus.CREATED,
    "awaiting_deliver": OrderStatus.CREATED,
    "arbitration": OrderStatus.DELIVERING,
    "client_arbitration": OrderStatus.DELIVERING,
    "delivering": OrderStatus.DELIVERING,
    "driver_pickup": OrderStatus.DELIVERING,
    "sent_by_seller": OrderStatus.DELIVERING,
    "delivered": OrderStatus.DELIVERED,
    "cancelled": OrderStatus.CANCELLED,
    "not_accepted": OrderStatus.CANCELLED,
}


class Walk(msgspec.Struct, frozen=True, omit_defaults=True):
    """One list that is being read: orders of the window from `since` on, of which something changed since `changed_since`, up to `cursor`."""

    begun_at: datetime
    since: datetime
    changed_since: datetime | None = None
    cursor: str = ""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Our cursor. All changes of FBS before `fbs_until` are read. FBO was last read over the whole window at `fbo_whole_at`."""

    fbs_until: datetime | None = None
    fbo_whole_at: datetime | None = None
    fbs: Walk | None = None
    fbo: Walk | None = None


_place = msgspec.json.Decoder(Place)
_encode_place = msgspec.json.Encoder().encode
_postings = list_reader(Postings[Posting], Postings[msgspec.Raw], Posting, PostingNumber)


async def order_pages(account: Account, after: bytes, now: datetime) -> AsyncIterator[Page[FetchedOrder]]:
    """Yield postings of FBS, and then of FBO. Neither holds up the other: what closes one of the lists is raised when the other one is read.

    Raises:
        ScopeMissing, MethodGone, MethodClosed: one of the lists is not to be had; what came of the other was yielded.
    """
    place = _place.decode(after) if after else Place()
    closed: list[MarketplaceError] = []
    for method in (FBS_POSTINGS, FBO_POSTINGS):
        try:
            async for page in _walk(account, method, place, now):
                place = _place.decode(page.cursor)
                yield page
        except (ScopeMissing, MethodGone, MethodClosed) as error:
            closed.append(error)
    if closed:
        raise closed[0]


async def _walk(account: Account, method: Method, place: Place, now: datetime) -> AsyncIterator[Page[FetchedOrder]]:
    resumed = place.fbs if method is FBS_POSTINGS else place.fbo
    walk = resumed or (_fbs_walk(place, now) if method is FBS_POSTINGS else _fbo_walk(place, now))
    fulfilment = Fulfilment.SELLER_WAREHOUSE if method is FBS_POSTINGS else Fulfilment.MARKETPLACE_WAREHOUSE

    def read(answer: Answer) -> ListPage[FetchedOrder]:
        return _postings.read(answer).translated(lambda posting: _order(posting, fulfilment), lambda posting: posting.posting_number)

    paging = Paging(method, walk.cursor)
    going_on = True
    while going_on:
        try:
            page = await account.call(method, read, _question(method, walk))
        except UnexpectedResponse:
            if resumed is None or walk.cursor != resumed.cursor:
                raise
            # The cursor may be too old for Ozon: from the beginning, then, in the next run.
            yield Page([], _encode_place(_reached(method, place, None)))
            raise
        going_on = paging.goes_on(page.count, page.cursor, has_next=page.has_next)
        if going_on:
            walk = msgspec.structs.replace(walk, cursor=page.cursor or "")
        place = _reached(method, place, walk) if going_on else _read_through(method, place, walk)
        yield Page(page.items, _encode_place(place), page.rejected)


def _fbs_walk(place: Place, now: datetime) -> Walk:
    return Walk(now, now - FURTHEST_BACK, place.fbs_until and place.fbs_until - OVERLAP)


def _fbo_walk(place: Place, now: datetime) -> Walk:
    whole = place.fbo_whole_at is None or now - place.fbo_whole_at >= WHOLE_EVERY
    return Walk(now, now - (FURTHEST_BACK if whole else RECENT))


def _reached(method: Method, place: Place, walk: Walk | None) -> Place:
    return msgspec.structs.replace(place, **{"fbs" if method is FBS_POSTINGS else "fbo": walk})


def _read_through(method: Method, place: Place, walk: Walk) -> Place:
    """The list is at its end."""
    if method is FBS_POSTINGS:
        return msgspec.structs.replace(place, fbs=None, fbs_until=walk.begun_at)
    whole = walk.begun_at - walk.since > RECENT
    return msgspec.structs.replace(place, fbo=None, fbo_whole_at=walk.begun_at if whole else place.fbo_whole_at)


def _question(method: Method, walk: Walk) -> PostingsQuestion:
    until = walk.begun_at + AHEAD
    changed = Period(walk.changed_since, until) if walk.changed_since else None
    return PostingsQuestion(PostingFilter(walk.since, until, changed), method.page_size, walk.cursor)


def _order(posting: Posting, fulfilment: Fulfilment) -> FetchedOrder:
    status = STATUSES.get(posting.status)
    if status is None:
        raise NotOurs("Its status is none that is documented.")
    ordered_at = posting.created_at or posting.in_process_at
    if ordered_at is None:
        raise NotOurs("It has no time.")
    money = next((product.price for product in posting.products if product.price), None)
    analytics, financial, delivery = posting.analytics_data, posting.financial_data, posting.delivery_method
    return FetchedOrder(
        external_id=text(posting.posting_number, NUMBER_LENGTH),
        number=text(posting.order_number, NUMBER_LENGTH),
        status=status,
        marketplace_status=posting.status,
        fulfilment=fulfilment,
        # All times are in UTC.
        ordered_at=ordered_at.astimezone(UTC) if ordered_at.tzinfo else ordered_at.replace(tzinfo=UTC),
        changed_at=None,
        warehouse=text(
            (delivery and delivery.warehouse) or (analytics and (analytics.warehouse or analytics.warehouse_name)), WAREHOUSE_LENGTH
        ),
        destination=text((analytics and (analytics.city or analytics.region)) or (financial and financial.cluster_to), DESTINATION_LENGTH),
        currency=currency(money and money.currency),
        lines=tuple(
            [
                FetchedOrderLine(
                    None,
                    str(product.sku),
                    text(product.offer_id, ARTICLE_LENGTH),
                    product.quantity,
                    price(product.price.amount if product.price else None),
                )
                for product in posting.products
            ]
        ),
    )
