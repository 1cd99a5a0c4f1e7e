"""`POST /v4/posting/fbs/list` and `POST /v3/posting/fbo/list`: parcels of what buyers ordered.

Sources: docs.ozon.ru/api/seller, both methods, state of 2026-10-01. By which date `since` and `to` select is not published: here it is when the order was made,
by which the lists are sorted too. How a bad period or cursor is refused is not published either, but for one that is too long.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from app.sandbox.messages import Answer
from app.sandbox.orders import NoSuchItem
from app.sandbox.ozon.call import Call, end_of_page, limited, read_cursor
from app.sandbox.ozon.parcels import Parcel, Parcels
from app.sandbox.ozon.posting_rows import describe_fbo, describe_fbs, order_id_of
from app.sandbox.ozon.refusals import Invalid
from app.sandbox.ozon.storage import seller_warehouse_id

_FBS, _FBO = "PostingFbsListRequest", "PostingFboListRequest"
_MAX_PAGE = 100
_LONGEST_PERIOD = timedelta(days=366)
_TICK = timedelta(microseconds=1)

Instant = Annotated[datetime, Meta(tz=True)]


class ChangedDate(msgspec.Struct, frozen=True):
    from_: Instant = msgspec.field(name="from")
    to: Instant


class PostingFilter(msgspec.Struct, frozen=True):
    """`last_changed_status_date` and the warehouses are known to FBS only, the numbers of parcels to FBO only. What is not here is accepted, and all parcels
    pass it."""

    since: Instant | None = None
    to: Instant | None = None
    statuses: list[str] = []
    order_numbers: list[str] = []
    posting_numbers: list[str] = []
    order_id: int = 0
    warehouse_ids: list[int] = []
    last_changed_status_date: ChangedDate | None = None


class With(msgspec.Struct, frozen=True):
    """The parts of an answer that come when asked for."""

    analytics_data: bool = False
    barcodes: bool = False
    financial_data: bool = False


class PostingsQuestion(msgspec.Struct, frozen=True):
    filter: PostingFilter | None = None
    limit: int | None = None
    cursor: str = ""
    sort_dir: Literal["", "ASC", "DESC", "asc", "desc"] = ""
    with_: With = msgspec.field(default=With(), name="with")


class Page(NamedTuple):
    parcels: list[Parcel]
    cursor: str
    has_next: bool


_decoder = msgspec.json.Decoder(PostingsQuestion, strict=False)


def list_fbs(call: Call) -> Answer:
    """A page of the parcels that ship from the seller's warehouses."""
    question = call.read(_decoder)
    wanted = question.filter
    if wanted is None:
        raise Invalid(f"Request validation error: invalid {_FBS}.Filter: value is required")
    if wanted.since is None or wanted.to is None:
        raise Invalid(f"Request validation error: invalid {_FBS}_Filter.{'To' if wanted.since else 'Since'}: value is required")
    page = _page(call, _FBS, question, msgspec.structs.replace(wanted, posting_numbers=[]), fbo=False)
    parts = question.with_
    rows = [
        describe_fbs(call.catalogue, parcel, analytics=parts.analytics_data, financial=parts.financial_data, barcodes=parts.barcodes)
        for parcel in page.parcels
    ]
    return _answer(page, rows)


def list_fbo(call: Call) -> Answer:
    """A page of the parcels that ship from Ozon's warehouses. Without a period it is the last year."""
    question = call.read(_decoder)
    wanted = question.filter or PostingFilter()
    page = _page(
        call, _FBO, question, msgspec.structs.replace(wanted, last_changed_status_date=None, warehouse_ids=[], order_id=0), fbo=True
    )
    parts = question.with_
    rows = [describe_fbo(call.catalogue, parcel, analytics=parts.analytics_data, financial=parts.financial_data) for parcel in page.parcels]
    return _answer(page, rows)


def _page(call: Call, request: str, question: PostingsQuestion, wanted: PostingFilter, *, fbo: bool) -> Page:
    """
    Raises:
        Invalid: a limit, a period, a list of numbers or a cursor that won't do.
    """
    limit = limited(request, question.limit, _MAX_PAGE)
    for name, numbers in (("OrderNumbers", wanted.order_numbers), ("PostingNumbers", wanted.posting_numbers)):
        most = 1000 if fbo else 100
        if len(numbers) > most:
            raise Invalid(f"Request validation error: invalid {request}_Filter.{name}: value must contain no more than {most} item(s)")
    until = wanted.to or call.now
    since = wanted.since or until - timedelta(days=365)
    if until - since > _LONGEST_PERIOD:
        raise Invalid("PERIOD_IS_TOO_LONG")
    if until < since:
        raise Invalid(f"Request validation error: invalid {request}_Filter.To: value must be greater than since")
    descending = question.sort_dir.upper() == "DESC"
    behind = _behind(call, wanted, read_cursor(question.cursor, int), since, until + _TICK, descending=descending)
    passing = (parcel for parcel in behind if parcel.order.from_marketplace is fbo and _passes(parcel, wanted))
    parcels = list(islice(passing, limit + 1))
    last = parcels[:limit][-1].place if parcels else None
    return Page(parcels[:limit], *end_of_page(call, last, more=len(parcels) > limit))


def _behind(
    call: Call, wanted: PostingFilter, after: int | None, since: datetime, until: datetime, *, descending: bool
) -> Iterator[Parcel]:
    """The parcels ordered in the period, of any warehouse, behind the one with the place `after`."""
    parcels = Parcels(call.catalogue.shop, call.now)
    if after is not None:
        try:
            reached_at = parcels.ordered_at(after)
        except NoSuchItem as error:
            raise Invalid("Request validation error: invalid cursor") from error
        since, until = (since, min(until, reached_at + _TICK)) if descending else (max(since, reached_at), until)
    if (changed := wanted.last_changed_status_date) is not None:
        found = parcels.changed(changed.from_, changed.to + _TICK, descending=descending)
        found = (parcel for parcel in found if since <= parcel.order.ordered_at < until)
    else:
        found = parcels.ordered(since, until, descending=descending)
    return (parcel for parcel in found if after is None or (parcel.place < after if descending else parcel.place > after))


def _passes(parcel: Parcel, wanted: PostingFilter) -> bool:
    """Empty lists filter nothing."""
    return (
        (not wanted.statuses or parcel.status in wanted.statuses)
        and (not wanted.order_numbers or parcel.order_number in wanted.order_numbers)
        and (not wanted.posting_numbers or parcel.number in wanted.posting_numbers)
        and (not wanted.order_id or order_id_of(parcel) == wanted.order_id)
        and (not wanted.warehouse_ids or seller_warehouse_id(parcel.order.warehouse_id) in wanted.warehouse_ids)
    )


def _answer(page: Page, rows: list[dict[str, object]]) -> Answer:
    return Answer(200, msgspec.json.encode({"cursor": page.cursor, "has_next": page.has_next, "postings": rows}))
