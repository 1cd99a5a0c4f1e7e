"""`GET /api/v1/supplier/orders` and `/sales` on the Statistics host: bare arrays, in Moscow time without saying so.

Source: the official description 12-reports.yaml, state of 2026-08-18. Every half hour the rows are drawn up anew; until then a change is unknown.
An instant of a change is given in whole minutes, so that several rows share it.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

import msgspec

from app.sandbox.dice import mix
from app.sandbox.goods import Product
from app.sandbox.messages import Answer
from app.sandbox.orders import Order
from app.sandbox.shop import Shop
from app.sandbox.wildberries import spelling
from app.sandbox.wildberries.call import Call
from app.sandbox.wildberries.moscow import MOSCOW, moscow_time
from app.sandbox.wildberries.order_feed import srid
from app.sandbox.wildberries.problems import statistics_rejected, statistics_undecodable

REFRESH = timedelta(minutes=30)
KEPT = timedelta(days=90)
"""How long after it was made an order is told of."""

PRICES_FOLLOW = timedelta(hours=24)
"""How long the prices of some sales are still 0."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?)?")
_NEVER = "0001-01-01T00:00:00"


class Row(msgspec.Struct, frozen=True, rename=spelling.statistics, kw_only=True):
    """What orders and sales have in common."""

    date: str
    last_change_date: str
    warehouse_name: str
    warehouse_type: str
    country_name: str
    oblast_okrug_name: str
    region_name: str
    supplier_article: str
    nm_id: int
    barcode: str
    category: str
    subject: str
    brand: str
    tech_size: str
    income_id: int
    is_supply: bool
    is_realization: bool
    total_price: float
    discount_percent: int
    spp: float
    finished_price: float
    price_with_disc: float
    sticker: str
    g_number: str
    srid: str


class OrderRow(Row, frozen=True, rename=spelling.statistics, kw_only=True):
    is_cancel: bool
    cancel_date: str


class SaleRow(Row, frozen=True, rename=spelling.statistics, kw_only=True):
    payment_sale_amount: int
    for_pay: float
    sale_id: str


class Question(msgspec.Struct, frozen=True):
    since: datetime
    whole_day: bool


class Sale(msgspec.Struct, frozen=True):
    """Goods that a buyer took, or brought back."""

    order: Order
    at: datetime
    returned: bool


def supplier_orders(call: Call, cap: int) -> Answer:
    question = _question(call)
    if isinstance(question, Answer):
        return question
    shop, book, drawn_up_at = call.shop, call.shop.orders, _drawn_up_at(call.now)
    describe = _descriptions(shop)
    if question.whole_day:
        orders = book.created_between(question.since, question.since + timedelta(days=1), drawn_up_at)
        return _answer(_order_row(shop, order, describe) for order in orders)
    numbers = book.numbers_changed_between(*_period(question.since, drawn_up_at), drawn_up_at)
    orders = (order for number in numbers for order in (book.order(number, drawn_up_at),) if order.ordered_at >= call.now - KEPT)
    return _answer(_order_row(shop, order, describe) for order in islice(orders, cap))


def supplier_sales(call: Call, cap: int) -> Answer:
    question = _question(call)
    if isinstance(question, Answer):
        return question
    drawn_up_at = _drawn_up_at(call.now)
    if question.whole_day:
        since, until = question.since, question.since + timedelta(days=1)
    else:
        since, until = _period(question.since, drawn_up_at)
    book, describe = call.shop.orders, _descriptions(call.shop)
    begun = book.begun_between(("delivered", "returned"), since, until, drawn_up_at)
    sales = (Sale(book.order(number, drawn_up_at), at, status == "returned") for at, number, status in begun)
    told = (sale for sale in sales if sale.order.ordered_at >= call.now - KEPT)
    return _answer(_sale_row(call.shop, sale, drawn_up_at, describe) for sale in (told if question.whole_day else islice(told, cap)))


def _question(call: Call) -> Question | Answer:
    text, flag = call.query.get("dateFrom"), call.query.get("flag", "0") or "0"
    if not text:
        return statistics_rejected("dateFrom: field required")
    if flag not in ("0", "1"):
        return statistics_rejected("flag: value is not a valid enumeration member; permitted: 0, 1")
    try:
        if not _DATE.fullmatch(text):
            return statistics_undecodable("dateFrom: Value not validated")
        since = datetime.fromisoformat(text)
    except ValueError:
        return statistics_undecodable("dateFrom: Value not validated")
    if since.tzinfo is None:
        since = since.replace(tzinfo=MOSCOW)
    if flag == "1":
        since = since.astimezone(MOSCOW).replace(hour=0, minute=0, second=0, microsecond=0)
    return Question(since, flag == "1")


def _drawn_up_at(now: datetime) -> datetime:
    return datetime.fromtimestamp(now.timestamp() // REFRESH.total_seconds() * REFRESH.total_seconds(), UTC)


def _period(since: datetime, drawn_up_at: datetime) -> tuple[datetime, datetime]:
    """The changes that are later than `since` when they are told in whole minutes."""
    moment = timedelta(microseconds=1)
    return since.replace(second=0, microsecond=0) + moment, drawn_up_at + moment


def _told_at(instant: datetime) -> datetime:
    """The end of the minute in which it happened: nothing that is drawn up later can fall behind it."""
    floor = instant.replace(second=0, microsecond=0)
    return floor if floor == instant else floor + timedelta(minutes=1)


def _order_row(shop: Shop, order: Order, describe: Callable[[int], Product]) -> OrderRow:
    cancelled = order.status == "cancelled"
    return OrderRow(
        **_common(shop, order, describe(order.product_number), order.ordered_at, order.changed_at),
        is_cancel=cancelled,
        cancel_date=f"{order.changed_at.astimezone(MOSCOW):%Y-%m-%dT00:00:00}" if cancelled else _NEVER,
    )


def _sale_row(shop: Shop, sale: Sale, drawn_up_at: datetime, describe: Callable[[int], Product]) -> SaleRow:
    order = sale.order
    common = _common(shop, order, describe(order.product_number), sale.at, sale.at)
    if unknown := order.number % 3 == 0 and sale.at > drawn_up_at - PRICES_FOLLOW:
        common |= {"finished_price": 0, "price_with_disc": 0}
    sign = -1 if sale.returned else 1
    return SaleRow(
        **common,
        payment_sale_amount=0,
        for_pay=0 if unknown else sign * round(float(order.price.discounted) * 0.78, 2),
        sale_id=f"{'R' if sale.returned else 'S'}{9_000_000_000 + order.number}",
    )


def _common(shop: Shop, order: Order, product: Product, date: datetime, changed_at: datetime) -> dict[str, Any]:
    size = next(size for size in product.sizes if size.chrt_id == order.chrt_id)
    warehouse = None if order.from_marketplace else shop.warehouse(order.warehouse_id)
    spp = mix(order.number) % 26
    discounted = float(order.price.discounted)
    return {
        "date": moscow_time(date),
        "last_change_date": moscow_time(_told_at(changed_at)),
        "warehouse_name": warehouse.name if warehouse else "Склад WB РФ",
        "warehouse_type": "Склад продавца" if warehouse else "Склад WB",
        "country_name": "Россия" if order.district else "Беларусь",
        "oblast_okrug_name": f"{order.district} федеральный округ" if order.district else "",
        "region_name": order.city,
        "supplier_article": product.article,
        "nm_id": order.nm_id,
        "barcode": size.barcodes[0],
        "category": "Товары",
        "subject": product.kind.subject,
        "brand": product.brand,
        "tech_size": size.name,
        "income_id": 0,
        "is_supply": False,
        "is_realization": True,
        "total_price": order.price.price,
        "discount_percent": order.price.discount,
        "spp": spp,
        "finished_price": round(discounted * (100 - spp) / 100),
        "price_with_disc": discounted,
        "sticker": "",
        "g_number": f"98{order.number // 2:018d}",
        "srid": srid(order),
    }


def _descriptions(shop: Shop) -> Callable[[int], Product]:
    """Products by number, each described once."""
    known: dict[int, Product] = {}

    def describe(number: int) -> Product:
        if number not in known:
            known[number] = shop.numbered(number)
        return known[number]

    return describe


AnyRow = TypeVar("AnyRow", OrderRow, SaleRow)


def _answer(rows: Iterable[AnyRow]) -> Answer:
    return Answer(200, msgspec.json.encode(list(rows)))
