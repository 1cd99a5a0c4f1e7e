"""A day in a shop, at once: what a seller and the buyers change between two syncs."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from app.sandbox.dice import draw, mix
from app.sandbox.goods import Price
from app.sandbox.orders import WB_WAREHOUSE_ID, OrderStatus
from app.sandbox.shop import Shop

_ORDERS_FROM = timedelta(days=3)
_NEXT: dict[OrderStatus, tuple[OrderStatus, ...]] = {
    "created": ("delivering", "delivered", "cancelled"),
    "delivering": ("delivered", "cancelled"),
    "delivered": ("returned",),
}
"""No order comes back from the end of its way, at neither marketplace."""


def change(shop: Shop, seed: int, count: int, now: datetime) -> dict[str, int]:
    """Make so many changes, the same ones for the same seed and shop; how many there were of each sort."""
    sorts: tuple[Callable[[Shop, int, datetime], str], ...] = (
        _add,
        _rename,
        _trash,
        _restore,
        _set_price,
        _set_price,
        _set_stock,
        _set_stock,
        _set_status,
    )
    made: Counter[str] = Counter()
    for turn in range(count):
        dice, sort = draw(mix(mix(seed) + turn), sorts)
        made[sort(shop, dice, now)] += 1
    return dict(made)


def _add(shop: Shop, dice: int, now: datetime) -> str:
    del dice
    shop.add(1, now)
    return "added"


def _rename(shop: Shop, dice: int, now: datetime) -> str:
    if (nm_id := _any_product(shop, dice)) is None:
        return _add(shop, dice, now)
    shop.rename(nm_id, f"{shop.product(nm_id).title.partition(' №')[0]} №{dice % 1000}", now)
    return "renamed"


def _trash(shop: Shop, dice: int, now: datetime) -> str:
    if (nm_id := _any_product(shop, dice)) is None:
        return _add(shop, dice, now)
    shop.trash(nm_id, now)
    return "trashed"


def _restore(shop: Shop, dice: int, now: datetime) -> str:
    trashed = shop.numbers(trashed=True)
    if not trashed:
        return _trash(shop, dice, now)
    shop.restore(shop.goods.nm_id(trashed[dice % len(trashed)]), now)
    return "restored"


def _set_price(shop: Shop, dice: int, now: datetime) -> str:
    if (nm_id := _any_product(shop, dice)) is None:
        return _add(shop, dice, now)
    shop.set_price(nm_id, Price(100 + dice % 9000, dice // 9000 % 71, shop.price(nm_id).club_discount), now)
    return "priced"


def _set_stock(shop: Shop, dice: int, now: datetime) -> str:
    if (nm_id := _any_product(shop, dice)) is None:
        return _add(shop, dice, now)
    dice, size = draw(dice >> 20, shop.product(nm_id).sizes)
    _, warehouse_id = draw(dice, (WB_WAREHOUSE_ID, *(warehouse.id for warehouse in shop.warehouses)))
    shop.set_quantity(size.chrt_id, dice % 200, warehouse_id)
    return "counted"


def _set_status(shop: Shop, dice: int, now: datetime) -> str:
    orders = [order for order in shop.orders.created_between(now - _ORDERS_FROM, now, now) if order.status in _NEXT]
    if not orders:
        return _add(shop, dice, now)
    dice, order = draw(dice, orders)
    _, status = draw(dice, _NEXT[order.status])
    shop.set_order_status(order.number, status, now)
    return "orders"


def _any_product(shop: Shop, dice: int) -> int | None:
    numbers = shop.numbers()
    return shop.goods.nm_id(numbers[dice % len(numbers)]) if numbers else None
