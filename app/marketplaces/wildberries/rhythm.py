"""How often a sync of a Wildberries account can bring anything new."""

from app.marketplaces.wildberries.methods import (
    CARDS_LIST,
    CARDS_TRASH,
    GOODS_PRICES,
    MINUTE_S,
    ORDER_FEED,
    REMAINS_CREATE,
    REMAINS_DOWNLOAD,
    REMAINS_STATUS,
    SELLER_WAREHOUSES,
    SUPPLIER_ORDERS,
    SUPPLIER_SALES,
    WAREHOUSE_STOCKS,
    WAREHOUSES,
    WB_WAREHOUSES,
    Method,
)
from app.marketplaces.wildberries.token import Access, Category, Token

REFRESH_MINUTES = 30
"""How often Wildberries renews its reports on stock and its statistics of orders."""


def least_interval_minutes(access: Access, token: Token | None) -> int:
    """The shortest time between two syncs that is of use with a key. One that can't be read is taken for a good one.

    A sync asks each of its methods at least once, so it can't come round more often than the rarest of them may be called: with a Base token of a service that
    is not registered, that is the order feed, once in 3 hours. And where a report is among them, no more often than reports are renewed.

    Sources: the limits by token type stand in methods.py; that data is renewed every 30 minutes is said of the stocks reports and of the statistics
    of orders and sales at dev.wildberries.ru, "Analytics" and "Reports", as of 2026-10-24. The order feed is as of now, and no sync comes round for it alone.
    """
    methods = [method for method in _methods(access, token) if token is None or token.may_have(method.category)]
    slowest_s = max((method.budget(access).interval_s for method in methods), default=0.0)
    reads_reports = token is None or token.may_have(Category.ANALYTICS, Category.STATISTICS)
    return max(-int(-slowest_s // MINUTE_S), REFRESH_MINUTES if reads_reports else 1)


def _methods(access: Access, token: Token | None) -> tuple[Method, ...]:
    """Those that a sync calls, if the key's categories open them."""
    marketplace_stock = (REMAINS_CREATE, REMAINS_STATUS, REMAINS_DOWNLOAD) if access in WB_WAREHOUSES.closed_to else (WB_WAREHOUSES,)
    seller_stock = (WAREHOUSES, WAREHOUSE_STOCKS) if access in SELLER_WAREHOUSES.closed_to else (SELLER_WAREHOUSES,)
    orders = (ORDER_FEED,) if token is None or token.may_have(Category.ANALYTICS) else (SUPPLIER_ORDERS, SUPPLIER_SALES)
    return (CARDS_LIST, CARDS_TRASH, GOODS_PRICES, *marketplace_stock, *seller_stock, *orders)
