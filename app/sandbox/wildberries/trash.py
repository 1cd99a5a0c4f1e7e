"""`POST /content/v2/get/cards/trash`: the cards that the seller threw away, in the order in which they were.

Source: the official description 02-items.yaml, state of 2026-08-18. A card in the trash has neither brand nor title.
"""

from datetime import datetime
from itertools import islice

import msgspec

from app.sandbox.goods import Product
from app.sandbox.messages import Answer
from app.sandbox.wildberries.call import Call
from app.sandbox.wildberries.cards import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    CardSize,
    Characteristic,
    Dimensions,
    Photo,
    Sort,
    Wholesale,
    describe_card,
    read_instant,
    timestamp,
)
from app.sandbox.wildberries.problems import content_rejected, content_undecodable
from app.sandbox.wildberries.spelling import capital_ids


class TrashFilter(msgspec.Struct, frozen=True, rename=capital_ids):
    text_search: str = ""


class TrashCursor(msgspec.Struct, frozen=True, rename=capital_ids):
    limit: int = DEFAULT_LIMIT
    trashed_at: str | None = None
    nm_id: int | None = None


class TrashSettings(msgspec.Struct, frozen=True):
    sort: Sort = Sort()
    filter: TrashFilter = TrashFilter()
    cursor: TrashCursor = TrashCursor()


class TrashRequest(msgspec.Struct, frozen=True):
    settings: TrashSettings = TrashSettings()


class TrashedCard(msgspec.Struct, frozen=True, rename=capital_ids):
    nm_id: int
    vendor_code: str
    subject_id: int
    subject_name: str
    photos: list[Photo]
    kiz_marked: bool
    wholesale: Wholesale
    sizes: list[CardSize]
    dimensions: Dimensions
    characteristics: list[Characteristic]
    created_at: str
    trashed_at: str


_decoder = msgspec.json.Decoder(TrashRequest)


def list_trash(call: Call) -> Answer:
    """One page of thrown away cards behind the cursor; `total` counts the page, and a page that isn't full is the last."""
    try:
        settings = _decoder.decode(call.body).settings
    except msgspec.MsgspecError:
        return content_undecodable()
    if not 1 <= settings.cursor.limit <= MAX_LIMIT:
        return content_rejected(f"Invalid request: cursor.limit must be between 1 and {MAX_LIMIT}")
    try:
        trashed_at = read_instant(settings.cursor.trashed_at)
    except ValueError:
        return content_rejected("Invalid request: cursor.trashedAt is not a date and time")
    wanted = settings.filter.text_search
    trash = call.shop.trashed_after(trashed_at, settings.cursor.nm_id or 0, ascending=settings.sort.ascending)
    found = ((at, product) for at, product in trash if not wanted or wanted in (product.article, str(product.nm_id)))
    page = list(islice(found, settings.cursor.limit))
    cursor: dict[str, object] = {"total": len(page)}
    if page:
        cursor = {"trashedAt": timestamp(page[-1][0]), "nmID": page[-1][1].nm_id, **cursor}
    return Answer(200, msgspec.json.encode({"cards": [_trashed_card(product, at) for at, product in page], "cursor": cursor}))


def _trashed_card(product: Product, trashed_at: datetime) -> TrashedCard:
    card = describe_card(product)
    known = {name: getattr(card, name) for name in TrashedCard.__struct_fields__ if name != "trashed_at"}
    return TrashedCard(**known, trashed_at=timestamp(trashed_at))
