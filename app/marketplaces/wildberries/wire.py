"""The messages of Wildberries, field by field, as far as we use them.

Decoding is lenient where their description is: fields that we don't know are skipped, most may be absent, and texts and lists may be null.
Ids must be there. The spelling differs between their services (`nmID` in Content, `nmId` in Analytics), so every name is given.
Source: dev.wildberries.ru, "Products" and "Analytics", as of 2026-10-24.
"""

from typing import Annotated, Any, Literal

import msgspec

# They are unsigned 64-bit numbers by the description; beyond the signed ones it can't be one.
Id = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
WarehouseId = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Units = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Ping(msgspec.Struct):
    """GET /ping"""

    status: Literal["OK"] = msgspec.field(name="Status")


class CardsCursor(msgspec.Struct, omit_defaults=True):
    """Behind which card to go on; without one, from the first. It is our checkpoint, too."""

    limit: int | None = None
    updated_at: str | None = msgspec.field(name="updatedAt", default=None)
    nm_id: Id | None = msgspec.field(name="nmID", default=None)


class CardsSort(msgspec.Struct):
    ascending: bool


class CardsFilter(msgspec.Struct):
    """`withPhoto` -1 is all cards, today as before 2026-06-16, when 0 meant those without photos."""

    with_photo: int = msgspec.field(name="withPhoto")


class CardsSettings(msgspec.Struct):
    sort: CardsSort
    filter: CardsFilter
    cursor: CardsCursor


class CardsQuestion(msgspec.Struct):
    """POST /content/v2/get/cards/list"""

    settings: CardsSettings


class CardSize(msgspec.Struct, gc=False):
    """`techSize` is "0" where a product has no sizes. `skus` are barcodes."""

    chrt_id: Id = msgspec.field(name="chrtID")
    tech_size: str | None = msgspec.field(name="techSize", default=None)
    skus: list[str] | None = None


class CardPhoto(msgspec.Struct, gc=False):
    """The same picture in several sizes."""

    c516x688: str | None = None
    big: str | None = None


class Card(msgspec.Struct, gc=False):
    """A product."""

    nm_id: Id = msgspec.field(name="nmID")
    vendor_code: str | None = msgspec.field(name="vendorCode", default=None)
    title: str | None = None
    brand: str | None = None
    subject_name: str | None = msgspec.field(name="subjectName", default=None)
    photos: list[CardPhoto] | None = None
    sizes: list[CardSize] | None = None


class CardsAnswerCursor(msgspec.Struct):
    """`total` is the number of cards in this answer, not in the shop."""

    total: int
    updated_at: str | None = msgspec.field(name="updatedAt", default=None)
    nm_id: int | None = msgspec.field(name="nmID", default=None)


class CardsAnswer(msgspec.Struct):
    cards: list[Card] | None
    cursor: CardsAnswerCursor


class RawCardsAnswer(msgspec.Struct):
    """The same with the cards left undecoded, for a page of which one is malformed."""

    cards: list[msgspec.Raw] | None
    cursor: CardsAnswerCursor


class CardId(msgspec.Struct):
    nm_id: Any = msgspec.field(name="nmID", default=None)


class StockQuestion(msgspec.Struct):
    """POST /api/analytics/v1/stocks-report/{wb,seller}-warehouses. An empty `nmIds` is all products."""

    limit: int
    offset: int
    nm_ids: list[int] = msgspec.field(name="nmIds", default_factory=list[int])


class StockRow(msgspec.Struct, gc=False):
    """One size in one warehouse. `quantity` is what buyers can order; the seller's warehouses have nothing under way.

    Wildberries hides its own warehouses behind one (-999999) since 2026-08-15; the names will come back.
    """

    nm_id: Id = msgspec.field(name="nmId")
    chrt_id: Id = msgspec.field(name="chrtId")
    warehouse_id: WarehouseId = msgspec.field(name="warehouseId")
    quantity: Units
    warehouse_name: str | None = msgspec.field(name="warehouseName", default=None)
    in_way_to_client: Units | None = msgspec.field(name="inWayToClient", default=None)
    in_way_from_client: Units | None = msgspec.field(name="inWayFromClient", default=None)


class StockData(msgspec.Struct):
    """The rows are left undecoded: a report may have 250,000 of them, and they are worked through in slices."""

    items: list[msgspec.Raw] | None


class StockAnswer(msgspec.Struct):
    data: StockData


class StockRowId(msgspec.Struct):
    nm_id: Any = msgspec.field(name="nmId", default=None)
