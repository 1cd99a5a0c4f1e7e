"""From a marketplace's bytes to our words: what all marketplaces' messages have in common.

A page is decoded at once, typed. Only where that fails its items are decoded one by one, so that a malformed one costs itself and no other;
a page of which nothing can be understood hasn't the documented shape.

What is raised here is `msgspec.DecodeError`, `UnicodeDecodeError` (msgspec's own for a text that isn't UTF-8) or `RecursionError`.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from app.marketplaces.contract import KnownSizes, Marketplace, Rejected
from app.marketplaces.errors import MarketplaceDown, MarketplaceError, UnexpectedResponse

Item = TypeVar("Item")
Made = TypeVar("Made")
Understood = tuple[list[Item], tuple[Rejected, ...]]

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# What our columns hold. Text beyond is cut; ids never are.
ARTICLE_LENGTH = 200
TITLE_LENGTH = 500
BRAND_LENGTH = 200
CATEGORY_LENGTH = 200
SIZE_NAME_LENGTH = 100
WAREHOUSE_LENGTH = 200
DESTINATION_LENGTH = 200
NUMBER_LENGTH = 100
IMAGE_URL_LENGTH = 1000
# Of a rejected item's id, for the seller to find it by.
REJECTED_ID_LENGTH = 40

USUAL_CURRENCY = "RUB"
HIGHEST_PRICE = Decimal(10) ** 12
_CENT = Decimal("0.01")


class NotOurs(msgspec.ValidationError):
    """A value that is of the right type, and means nothing that we know."""


def understand(
    page: bytes,
    items: msgspec.json.Decoder[list[Item]],
    raw_items: msgspec.json.Decoder[list[msgspec.Raw]],
    item: msgspec.json.Decoder[Item],
    item_id: msgspec.json.Decoder[Any],
) -> Understood[Item]:
    """Decode a JSON list, item by item only where that must be."""
    try:
        return items.decode(page), ()
    except (msgspec.ValidationError, UnicodeDecodeError):
        return one_by_one(raw_items.decode(page), item.decode, item_id.decode)


def translated(understood: Understood[Item], translate: Callable[[Item], Made], id_of: Callable[[Item], str]) -> Understood[Made]:
    """Translate each; one that raises `NotOurs` is rejected. So may all be: a new status of theirs is no new format, and the walk must get past it."""
    items, rejected = understood
    made: list[Made] = []
    foreign: list[Rejected] = []
    for item in items:
        try:
            made.append(translate(item))
        except NotOurs as error:
            foreign.append(Rejected(text(id_of(item), REJECTED_ID_LENGTH), str(error)))
    return made, (*rejected, *foreign)


def one_by_one(
    raws: Sequence[msgspec.Raw], decode: Callable[[msgspec.Raw], Item], decode_id: Callable[[msgspec.Raw], Any]
) -> Understood[Item]:
    """Decode each; `decode_id` gives an object whose only field is the id, as it came."""
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
        value = decode_id(raw).value
    except UNREADABLE:
        # The item isn't even an object, so it has no id to be told by.
        return None
    return text(str(value), REJECTED_ID_LENGTH) if isinstance(value, int | str) else None


def reason(error: Exception) -> str:
    """Which field and why. msgspec's sentences name fields and types, never what the marketplace sent."""
    return str(error) if isinstance(error, msgspec.ValidationError) else "It is not well-formed JSON."


def is_cut_short(error: Exception) -> bool:
    """Whether JSON that was right so far just ended. msgspec has no error of its own for this."""
    return type(error) is msgspec.DecodeError and str(error) == "Input data was truncated"


def misunderstood(marketplace: Marketplace, path: str, error: Exception, excerpt: str = "") -> MarketplaceError:
    """The error that an answer stands for which can't be read: one that just ends is worth another try, one of another shape is not."""
    if is_cut_short(error):
        # A gateway that loses its connection in the middle may still end the HTTP message properly.
        return MarketplaceDown(f"The answer of {path} is cut short.", detail_ru=f"Ответ {path} оборван.", excerpt=excerpt)
    name = marketplace.value.capitalize()
    return UnexpectedResponse(f"{path}: {reason(error)}", detail_ru=f"{name} ответил на {path} не так, как описано.", excerpt=excerpt)


async def in_questions(known_sizes: KnownSizes, most: int) -> AsyncIterator[dict[int, str]]:
    """As many sizes as one question may name, each with its product."""
    waiting: dict[int, str] = {}
    async for sizes in known_sizes():
        waiting.update({int(size.size_id): size.product_external_id for size in sizes if size.size_id.isdecimal()})
        while len(waiting) >= most:
            asked = list(waiting)[:most]
            yield {size: waiting.pop(size) for size in asked}
    if waiting:
        yield waiting


def text(value: str | None, length: int) -> str:
    """What a column of that length holds."""
    if not value:
        return ""
    if "\0" in value:
        value = value.replace("\0", "")
    return value[:length]


def price(value: Decimal | None) -> Decimal | None:
    """Units of the currency with two places. None: not told.

    Raises:
        NotOurs: it can't be a price.
    """
    if value is None:
        return None
    if not value.is_finite() or not 0 <= value < HIGHEST_PRICE:
        raise NotOurs("This can't be a price.")
    return value.quantize(_CENT)


def currency(code: str | None) -> str:
    """Three letters (ISO 4217)."""
    return code if code and len(code) == 3 and code.isascii() and code.isalpha() else USUAL_CURRENCY
