"""Products: the list of cards, and the list of cards in the trash.

Source: dev.wildberries.ru, "Product management", "Product cards list" and "Product cards list in trash", as of 2026-10-24.
"""

from collections.abc import AsyncIterator

import msgspec

from app.marketplaces.contract import FetchedProduct, Page, Rejected, Size
from app.marketplaces.exchange import Answer
from app.marketplaces.items import (
    ARTICLE_LENGTH,
    BRAND_LENGTH,
    CATEGORY_LENGTH,
    IMAGE_URL_LENGTH,
    SIZE_NAME_LENGTH,
    TITLE_LENGTH,
    one_by_one,
    text,
)
from app.marketplaces.wildberries.account import Account, never_ends
from app.marketplaces.wildberries.methods import CARDS_LIST, CARDS_TRASH
from app.marketplaces.wildberries.wire import (
    Card,
    CardPhoto,
    CardsAnswer,
    CardsAnswerCursor,
    CardsCursor,
    CardsFilter,
    CardSize,
    CardsQuestion,
    CardsSettings,
    CardsSort,
    NmID,
    RawCardsAnswer,
    TrashAnswer,
    TrashAnswerCursor,
    TrashCursor,
    TrashedCard,
    TrashQuestion,
    TrashSettings,
)


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far both lists were read: our cursor. Each half is empty at the start of its list."""

    updated_at: str | None = msgspec.field(name="updatedAt", default=None)
    nm_id: int | None = msgspec.field(name="nmID", default=None)
    trashed_at: str | None = msgspec.field(name="trashedAt", default=None)
    trashed_nm_id: int | None = msgspec.field(name="trashedNmID", default=None)


_place = msgspec.json.Decoder(Place)
_encode_place = msgspec.json.Encoder().encode
_cards_answer = msgspec.json.Decoder(CardsAnswer)
_raw_cards_answer = msgspec.json.Decoder(RawCardsAnswer)
_card = msgspec.json.Decoder(Card)
_trash_answer = msgspec.json.Decoder(TrashAnswer)
_trashed_card = msgspec.json.Decoder(TrashedCard)
_nm_id = msgspec.json.Decoder(NmID)


async def product_pages(account: Account, after: bytes) -> AsyncIterator[Page[FetchedProduct]]:
    """Yield cards in the order in which they changed, and then those that were thrown away, in that order.

    A place may be kept for good: asked again behind it, Wildberries tells what happened since.
    """
    place = _place.decode(after) if after else Place()
    async for page in _listed(account, place):
        place = _place.decode(page.cursor)
        yield page
    async for page in _trashed(account, place):
        yield page


async def _listed(account: Account, place: Place) -> AsyncIterator[Page[FetchedProduct]]:
    seen = {place}
    while True:
        settings = CardsSettings(
            sort=CardsSort(ascending=True),
            filter=CardsFilter(with_photo=-1),
            cursor=CardsCursor(CARDS_LIST.page_size, place.updated_at, place.nm_id),
        )
        products, rejected, end = await account.call(CARDS_LIST, _read_cards, CardsQuestion(settings))
        # `total` counts this answer, not the catalogue: a short page is the last.
        is_last = end.total < CARDS_LIST.page_size
        # An empty page ends nowhere: the next walk goes on behind the last card that was seen.
        if end.updated_at and end.nm_id:
            place = msgspec.structs.replace(place, updated_at=end.updated_at, nm_id=end.nm_id)
        if place in seen and not is_last:
            raise never_ends(CARDS_LIST)
        seen.add(place)
        yield Page(products, _encode_place(place), rejected)
        if is_last:
            return


async def _trashed(account: Account, place: Place) -> AsyncIterator[Page[FetchedProduct]]:
    seen = {place}
    while True:
        cursor = TrashCursor(CARDS_TRASH.page_size, place.trashed_at, place.trashed_nm_id)
        gone, rejected, end = await account.call(
            CARDS_TRASH, _read_trash, TrashQuestion(TrashSettings(sort=CardsSort(ascending=True), cursor=cursor))
        )
        is_last = end.total < CARDS_TRASH.page_size
        if end.trashed_at and end.nm_id:
            place = msgspec.structs.replace(place, trashed_at=end.trashed_at, trashed_nm_id=end.nm_id)
        if place in seen and not is_last:
            raise never_ends(CARDS_TRASH)
        seen.add(place)
        if gone or rejected:
            yield Page([], _encode_place(place), rejected, gone)
        if is_last:
            return


def _read_cards(answer: Answer) -> tuple[list[FetchedProduct], tuple[Rejected, ...], CardsAnswerCursor]:
    try:
        message = _cards_answer.decode(answer.body)
        cards, rejected = message.cards or [], ()
    except (msgspec.ValidationError, UnicodeDecodeError):
        message = _raw_cards_answer.decode(answer.body)
        cards, rejected = one_by_one(message.cards or [], _card.decode, _nm_id.decode)
    return [_product(card) for card in cards], rejected, message.cursor


def _read_trash(answer: Answer) -> tuple[tuple[str, ...], tuple[Rejected, ...], TrashAnswerCursor]:
    message = _trash_answer.decode(answer.body)
    cards, rejected = one_by_one(message.cards or [], _trashed_card.decode, _nm_id.decode)
    return tuple(str(card.nm_id) for card in cards), rejected, message.cursor


def _product(card: Card) -> FetchedProduct:
    return FetchedProduct(
        str(card.nm_id),
        text(card.vendor_code, ARTICLE_LENGTH),
        text(card.title, TITLE_LENGTH),
        text(card.brand, BRAND_LENGTH),
        text(card.subject_name, CATEGORY_LENGTH),
        _image_url(card.photos),
        tuple([_size(size) for size in card.sizes]) if card.sizes else (),
    )


def _size(size: CardSize) -> Size:
    # No database holds a NUL, and no scanner reads one.
    barcodes = tuple([sku for sku in size.skus if sku and "\0" not in sku]) if size.skus else ()
    return Size(str(size.chrt_id), size_name(size.tech_size), barcodes)


def size_name(tech_size: str | None) -> str:
    """Wildberries says "0" where a product has no sizes."""
    return "" if tech_size == "0" else text(tech_size, SIZE_NAME_LENGTH)


def _image_url(photos: list[CardPhoto] | None) -> str | None:
    if not photos:
        return None
    url = photos[0].c516x688 or photos[0].big
    if url is None or not url.startswith("https://") or len(url) > IMAGE_URL_LENGTH or "\0" in url:
        return None
    return url
