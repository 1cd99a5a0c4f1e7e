"""What products cost.

Source: docs.ozon.ru/api/seller, "/v5/product/info/prices", as of 2026-10-01.
"""

from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec

from app.marketplaces.contract import FetchedPrice, Page
from app.marketplaces.exchange import Answer
from app.marketplaces.items import currency, price
from app.marketplaces.ozon.account import Account
from app.marketplaces.ozon.lists import ListPage, list_reader
from app.marketplaces.ozon.methods import PRICES
from app.marketplaces.ozon.paging import Paging
from app.marketplaces.ozon.wire import Listed, PricedProduct, PriceInfo, PricesQuestion, ProductId, VisibilityFilter


class Place(msgspec.Struct, frozen=True):
    """How far the list was read."""

    cursor: str = ""


_place = msgspec.json.Decoder(Place)
_encode_place = msgspec.json.Encoder().encode
_prices = list_reader(Listed[PricedProduct], Listed[msgspec.Raw], PricedProduct, ProductId)


async def price_pages(account: Account, after: bytes) -> AsyncIterator[Page[FetchedPrice]]:
    """Yield what products cost that are not archived.

    `price` is what Ozon shows crossed out (`old_price`), or `price` where nothing is; `discounted_price` is what the seller asks after promotions of its own
    (`marketing_seller_price`), or `price` without any. What Ozon adds at its own cost is in neither.
    """
    cursor = _place.decode(after).cursor if after else ""
    paging = Paging(PRICES, cursor)
    going_on = True
    while going_on:
        page = await account.call(PRICES, _read, PricesQuestion(VisibilityFilter("ALL"), cursor, PRICES.page_size))
        going_on = paging.goes_on(page.count, page.cursor)
        cursor = page.cursor or cursor
        if page.count:
            yield Page(page.items, _encode_place(Place(cursor)), page.rejected)


def _read(answer: Answer) -> ListPage[FetchedPrice]:
    return _prices.read(answer).translated(_price, lambda product: str(product.product_id))


def _price(product: PricedProduct) -> FetchedPrice:
    told = product.price or PriceInfo()
    return FetchedPrice(
        str(product.product_id),
        _some(told.old_price) or _some(told.price),
        _some(told.marketing_seller_price) or _some(told.price),
        currency(told.currency_code),
    )


def _some(value: Decimal | None) -> Decimal | None:
    """0 is how Ozon says that there is none."""
    return price(value) or None
