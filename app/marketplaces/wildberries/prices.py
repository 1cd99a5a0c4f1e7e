"""What products cost.

Source: dev.wildberries.ru, "Product management", "Prices and discounts", as of 2026-10-24.
"""

from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec

from app.marketplaces.contract import FetchedPrice, Page
from app.marketplaces.exchange import Answer
from app.marketplaces.items import Understood, currency, one_by_one, price, translated
from app.marketplaces.wildberries.account import Account, never_ends
from app.marketplaces.wildberries.methods import GOODS_PRICES
from app.marketplaces.wildberries.wire import Goods, GoodsAnswer, GoodsSize, NmID


class Place(msgspec.Struct, frozen=True):
    """How far the list was read."""

    offset: int = 0


_place = msgspec.json.Decoder(Place)
_encode_place = msgspec.json.Encoder().encode
_answer = msgspec.json.Decoder(GoodsAnswer)
_goods = msgspec.json.Decoder(Goods)
_nm_id = msgspec.json.Decoder(NmID)


async def price_pages(account: Account, after: bytes) -> AsyncIterator[Page[FetchedPrice]]:
    """Yield prices until an empty list, which is how Wildberries says that there are no more."""
    offset = _place.decode(after).offset if after else 0
    seen: set[str] = set()
    while True:
        prices, rejected = await account.call(GOODS_PRICES, _read, query={"limit": GOODS_PRICES.page_size, "offset": offset})
        if not prices and not rejected:
            return
        if prices and prices[0].product_external_id in seen:
            raise never_ends(GOODS_PRICES)
        seen.update(price.product_external_id for price in prices[:1])
        offset += GOODS_PRICES.page_size
        yield Page(prices, _encode_place(Place(offset)), rejected)


def _read(answer: Answer) -> Understood[FetchedPrice]:
    if answer.status == 204:
        return [], ()
    goods = one_by_one(_answer.decode(answer.body).data.list_goods or [], _goods.decode, _nm_id.decode)
    return translated(goods, _price, lambda item: str(item.nm_id))


def _price(goods: Goods) -> FetchedPrice:
    cheapest = min(goods.sizes or [GoodsSize()], key=_paid)
    return FetchedPrice(str(goods.nm_id), price(cheapest.price), price(cheapest.discounted_price), currency(goods.currency))


def _paid(size: GoodsSize) -> Decimal:
    """What a buyer sees; a size of which nothing is told is no bargain."""
    paid = price(size.price if size.discounted_price is None else size.discounted_price)
    return Decimal("Infinity") if paid is None else paid
