"""Products: the list of ids, and their details.

Source: docs.ozon.ru/api/seller, "/v3/product/list" and "/v3/product/info/list", as of 2026-10-01.
"""

from collections.abc import AsyncIterator

import msgspec

from app.marketplaces.contract import FetchedProduct, Page, Rejected, Size
from app.marketplaces.errors import UnexpectedResponse
from app.marketplaces.items import ARTICLE_LENGTH, IMAGE_URL_LENGTH, TITLE_LENGTH, Understood, text
from app.marketplaces.ozon.account import Account
from app.marketplaces.ozon.lists import ListReader, list_reader
from app.marketplaces.ozon.methods import PRODUCT_INFO, PRODUCT_LIST
from app.marketplaces.ozon.paging import Paging
from app.marketplaces.ozon.wire import (
    InfoId,
    Listed,
    ListedProduct,
    ProductId,
    ProductInfo,
    ProductInfoQuestion,
    ProductListAnswer,
    ProductListQuestion,
    VisibilityFilter,
)

# ALL is all but the archived ones.
ARCHIVED = "ARCHIVED"
VISIBILITIES = ("ALL", ARCHIVED)


class Place(msgspec.Struct, frozen=True):
    """How many of the lists were read to their end, and how far the next one was."""

    lists: int = 0
    last_id: str = ""


_place = msgspec.json.Decoder(Place)
_encode_place = msgspec.json.Encoder().encode
_listed = msgspec.json.Decoder(ProductListAnswer[ListedProduct], strict=False)
_raw_listed = msgspec.json.Decoder(ProductListAnswer[msgspec.Raw], strict=False)
_list = ListReader(lambda body: _listed.decode(body).result, lambda body: _raw_listed.decode(body).result, ListedProduct, ProductId)
_infos = list_reader(Listed[ProductInfo], Listed[msgspec.Raw], ProductInfo, InfoId)


async def product_pages(account: Account, after: bytes) -> AsyncIterator[Page[FetchedProduct]]:
    """Yield the products that are on sale or could be, and then the archived ones. The last page is empty, and so is its cursor: the next walk is a new one."""
    place = _place.decode(after) if after else Place()
    while place.lists < len(VISIBILITIES):
        visibility = VISIBILITIES[place.lists]
        paging = Paging(PRODUCT_LIST, place.last_id)
        going_on = True
        while going_on:
            question = ProductListQuestion(VisibilityFilter(visibility), place.last_id, PRODUCT_LIST.page_size)
            listed = await account.call(PRODUCT_LIST, _list.read, question)
            going_on = paging.goes_on(listed.count, listed.cursor)
            place = Place(place.lists, listed.cursor or "") if going_on else Place(place.lists + 1)
            told, rejected = await _told(account, [product.product_id for product in listed.items])
            if listed.count:
                products = [_product(info, archived=visibility == ARCHIVED) for info in told]
                yield Page(products, _encode_place(place), listed.rejected + rejected)
    yield Page([], b"")


async def _told(account: Account, ids: list[int]) -> Understood[ProductInfo]:
    """The details. A product that they leave out is there all the same, and rejected: what is not met at all would be archived."""
    if not ids:
        return [], ()
    infos = await account.call(PRODUCT_INFO, _infos.read, ProductInfoQuestion([str(product_id) for product_id in ids]))
    if not infos.count and len(ids) > 1:
        raise UnexpectedResponse(
            f"{PRODUCT_INFO.path} knows none of {len(ids)} products that {PRODUCT_LIST.path} names.",
            detail_ru=f"{PRODUCT_INFO.path} не знает ни одного из {len(ids)} товаров, которые назвал {PRODUCT_LIST.path}.",
        )
    asked = {str(product_id) for product_id in ids}
    named = tuple(item for item in infos.rejected if item.external_id in asked)
    # One of those without details is the one whose details could not be read so far as their id.
    reasons = (item.reason for item in infos.rejected if item.external_id not in asked)
    missing = asked - {str(info.id) for info in infos.items} - {item.external_id for item in named}
    without = tuple(Rejected(external_id, next(reasons, "It is listed, and has no details.")) for external_id in sorted(missing))
    return infos.items, named + without


def _product(info: ProductInfo, *, archived: bool) -> FetchedProduct:
    told = info.is_archived if info.is_archived is not None else archived
    return FetchedProduct(
        str(info.id),
        text(info.offer_id, ARTICLE_LENGTH),
        text(info.name, TITLE_LENGTH),
        "",
        "",
        _image_url(info),
        _sizes(info),
        told or info.is_autoarchived is True,
    )


def _sizes(info: ProductInfo) -> tuple[Size, ...]:
    if not info.sku:
        return ()
    # No database holds a NUL, and no scanner reads one.
    return (Size(str(info.sku), "", tuple([code for code in info.barcodes or () if code and "\0" not in code])),)


def _image_url(info: ProductInfo) -> str | None:
    primary = [info.primary_image] if isinstance(info.primary_image, str) else info.primary_image or []
    url = next(iter([*primary, *(info.images or [])]), None)
    if url is None or not url.startswith("https://") or len(url) > IMAGE_URL_LENGTH or "\0" in url:
        return None
    return url
