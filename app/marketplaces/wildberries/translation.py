"""From Wildberries' bytes to our words.

A page is decoded at once, typed. Only where that fails its items are decoded one by one, so that a malformed one costs itself and no other;
a page of which nothing can be understood hasn't the documented shape.

What is raised here is `msgspec.DecodeError`, `UnicodeDecodeError` (msgspec's own for a text that isn't UTF-8) or `RecursionError`.
"""

from collections.abc import Callable, Sequence
from sys import intern
from typing import Any, TypeVar

import msgspec

from app.marketplaces.contract import FetchedProduct, FetchedStock, Rejected, Size
from app.marketplaces.wildberries.wire import (
    Card,
    CardId,
    CardPhoto,
    CardsAnswer,
    CardsAnswerCursor,
    CardSize,
    RawCardsAnswer,
    StockAnswer,
    StockRow,
    StockRowId,
)

Item = TypeVar("Item")
Understood = tuple[list[Item], tuple[Rejected, ...]]

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# What our columns hold. Text beyond is cut; ids never are.
ARTICLE_LENGTH = 200
TITLE_LENGTH = 500
BRAND_LENGTH = 200
CATEGORY_LENGTH = 200
SIZE_NAME_LENGTH = 100
WAREHOUSE_LENGTH = 200
IMAGE_URL_LENGTH = 1000
# Of a rejected item's id, for the seller to find it by.
REJECTED_ID_LENGTH = 40

_cards_answer = msgspec.json.Decoder(CardsAnswer)
_raw_cards_answer = msgspec.json.Decoder(RawCardsAnswer)
_card = msgspec.json.Decoder(Card)
_card_id = msgspec.json.Decoder(CardId)
_stock_answer = msgspec.json.Decoder(StockAnswer)
_stock_rows = msgspec.json.Decoder(list[StockRow])
_stock_row = msgspec.json.Decoder(StockRow)
_stock_row_id = msgspec.json.Decoder(StockRowId)


def read_cards(body: bytes | bytearray) -> tuple[list[FetchedProduct], tuple[Rejected, ...], CardsAnswerCursor]:
    """A page of products, and where it ends."""
    try:
        answer = _cards_answer.decode(body)
        cards, rejected = answer.cards or [], ()
    except (msgspec.ValidationError, UnicodeDecodeError):
        answer = _raw_cards_answer.decode(body)
        cards, rejected = _one_by_one(answer.cards or [], _card.decode, lambda raw: _card_id.decode(raw).nm_id)
    return [_product(card) for card in cards], rejected, answer.cursor


def read_stock_rows(body: bytes | bytearray) -> list[msgspec.Raw]:
    """The rows of a stock report, each still a piece of the body."""
    return _stock_answer.decode(body).data.items or []


def translate_stock_rows(rows: Sequence[msgspec.Raw]) -> Understood[FetchedStock]:
    """A slice of the rows of a stock report."""
    try:
        decoded, rejected = _stock_rows.decode(b"[%b]" % b",".join(rows)), ()
    except (msgspec.ValidationError, UnicodeDecodeError):
        decoded, rejected = _one_by_one(rows, _stock_row.decode, lambda raw: _stock_row_id.decode(raw).nm_id)
    return [_stock(row) for row in decoded], rejected


def _one_by_one(
    raws: Sequence[msgspec.Raw], decode: Callable[[msgspec.Raw], Item], decode_id: Callable[[msgspec.Raw], Any]
) -> Understood[Item]:
    items: list[Item] = []
    rejected: list[Rejected] = []
    for raw in raws:
        try:
            items.append(decode(raw))
        except UNREADABLE as error:
            rejected.append(Rejected(_id_of(raw, decode_id), reason(error)))
    # One bad item among none is a bad item; several, and nothing else, are another format.
    if len(rejected) > 1 and not items:
        raise msgspec.ValidationError(f"None of {len(rejected)} items can be understood. {rejected[0].reason}")
    return items, tuple(rejected)


def _id_of(raw: msgspec.Raw, decode_id: Callable[[msgspec.Raw], Any]) -> str | None:
    try:
        value = decode_id(raw)
    except UNREADABLE:
        # The item isn't even an object, so it has no id to be told by.
        return None
    return _text(str(value), REJECTED_ID_LENGTH) if isinstance(value, int | str) else None


def reason(error: Exception) -> str:
    """Which field and why. msgspec's sentences name fields and types, never what the marketplace sent."""
    return str(error) if isinstance(error, msgspec.ValidationError) else "It is not well-formed JSON."


def _product(card: Card) -> FetchedProduct:
    return FetchedProduct(
        str(card.nm_id),
        _text(card.vendor_code, ARTICLE_LENGTH),
        _text(card.title, TITLE_LENGTH),
        _text(card.brand, BRAND_LENGTH),
        _text(card.subject_name, CATEGORY_LENGTH),
        _image_url(card.photos),
        tuple([_size(size) for size in card.sizes]) if card.sizes else (),
    )


def _size(size: CardSize) -> Size:
    name = "" if size.tech_size == "0" else _text(size.tech_size, SIZE_NAME_LENGTH)
    # No database holds a NUL, and no scanner reads one.
    return Size(str(size.chrt_id), name, tuple([sku for sku in size.skus if sku and "\0" not in sku]) if size.skus else ())


def _image_url(photos: list[CardPhoto] | None) -> str | None:
    if not photos:
        return None
    url = photos[0].c516x688 or photos[0].big
    if url is None or not url.startswith("https://") or len(url) > IMAGE_URL_LENGTH or "\0" in url:
        return None
    return url


def _stock(row: StockRow) -> FetchedStock:
    return FetchedStock(
        str(row.nm_id),
        str(row.chrt_id),
        # One text for all the rows that name a warehouse: a whole report is held while it is compared.
        intern(str(row.warehouse_id)),
        intern(_text(row.warehouse_name, WAREHOUSE_LENGTH)),
        row.quantity,
        row.in_way_to_client or 0,
        row.in_way_from_client or 0,
    )


def _text(value: str | None, length: int) -> str:
    if not value:
        return ""
    if "\0" in value:
        value = value.replace("\0", "")
    return value[:length]
