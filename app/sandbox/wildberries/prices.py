"""`/api/v2/list/goods/filter` on the Prices host: what the seller's products cost, page by page (GET) or by their articles (POST).

Source: the official description 02-items.yaml, state of 2026-08-18, without `isBadTurnover`, which was removed on 2026-09-16.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from app.sandbox.messages import Answer
from app.sandbox.shop import Shop
from app.sandbox.wildberries.call import Call
from app.sandbox.wildberries.problems import prices_rejected
from app.sandbox.wildberries.spelling import capital_ids

MAX_LIMIT = 1000


class PageIn(msgspec.Struct, frozen=True, rename={"nm_id": "filterNmID"}):
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)]
    offset: Annotated[int, Meta(ge=0)] = 0
    nm_id: int | None = None


class ArticlesIn(msgspec.Struct, frozen=True, rename={"nm_ids": "nmList"}):
    nm_ids: Annotated[list[int], Meta(min_length=1, max_length=MAX_LIMIT)]


class SizePrice(msgspec.Struct, frozen=True, rename=capital_ids):
    size_id: int
    price: int
    discounted_price: float
    club_discounted_price: float
    tech_size_name: str


class Goods(msgspec.Struct, frozen=True, rename=lambda name: "currencyIsoCode4217" if name == "currency" else capital_ids(name)):
    nm_id: int
    vendor_code: str
    sizes: list[SizePrice]
    discount: int
    club_discount: int
    editable_size_price: bool = False
    currency: str = "RUB"


_articles = msgspec.json.Decoder(ArticlesIn)


def list_prices(call: Call) -> Answer:
    try:
        wanted = msgspec.convert({name: value for name, value in call.query.items() if value}, PageIn, strict=False)
    except msgspec.ValidationError:
        return prices_rejected("Invalid request parameters")
    shop = call.shop
    if wanted.nm_id is not None:
        return _answer(shop, [] if wanted.offset else _existing(shop, [wanted.nm_id]))
    return _answer(shop, shop.numbers()[wanted.offset : wanted.offset + wanted.limit])


def list_prices_of_articles(call: Call) -> Answer:
    try:
        wanted = _articles.decode(call.body)
    except msgspec.MsgspecError:
        return prices_rejected("Invalid request parameters")
    return _answer(call.shop, _existing(call.shop, wanted.nm_ids))


def _existing(shop: Shop, nm_ids: Iterable[int]) -> list[int]:
    numbers = {shop.goods.number(nm_id) for nm_id in nm_ids}
    return sorted(number for number in numbers if number is not None and shop.is_active(number))


def _answer(shop: Shop, numbers: Iterable[int]) -> Answer:
    goods = [_goods(shop, number) for number in numbers]
    return Answer(200, msgspec.json.encode({"data": {"listGoods": goods}, "error": False, "errorText": ""}))


def _goods(shop: Shop, number: int) -> Goods:
    product, price = shop.numbered(number), shop.present_price(number)
    discounted, with_club = float(price.discounted), float(price.club_discounted)
    return Goods(
        nm_id=product.nm_id,
        vendor_code=product.article,
        sizes=[SizePrice(size.chrt_id, price.price, discounted, with_club, size.name) for size in product.sizes],
        discount=price.discount,
        club_discount=price.club_discount,
    )
