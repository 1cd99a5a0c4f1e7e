"""The methods of Wildberries that we call, as a table: what each is, whom it serves, how often it may be asked, how much it may answer.

| method              | host        | category    | page    | limit                  | limit of a Base token  | open to                           |
|---------------------|-------------|-------------|---------|------------------------|------------------------|-----------------------------------|
| PING                | each        | any         |         | 1 in 10 s, burst 99    | the same               | all; one budget for each host     |
| CARDS_LIST          | content     | Content     | 100     | 1 in 0.6 s, burst 5    | the same               | all; one budget for the category  |
| CARDS_TRASH         | content     | Content     | 100     | 1 in 0.6 s, burst 5    | the same               | all; the same budget              |
| GOODS_PRICES        | prices      | Prices      | 1,000   | 1 in 0.6 s, burst 5    | 1 in 15 min            | all                               |
| WB_WAREHOUSES       | analytics   | Analytics   | 250,000 | 1 in 20 s              | closed                 | Personal, Service, Base + secret  |
| SELLER_WAREHOUSES   | analytics   | Analytics   | 250,000 | 1 in 20 s              | closed                 | Personal, Service                 |
| REMAINS_CREATE      | analytics   | Analytics   |         | 1 in 1 min, burst 5    | 1 in 15 min            | all                               |
| REMAINS_STATUS      | analytics   | Analytics   |         | 1 in 5 s, burst 5      | 1 in 15 min            | all                               |
| REMAINS_DOWNLOAD    | analytics   | Analytics   | all     | 1 in 1 min             | 1 in 15 min            | all                               |
| WAREHOUSES          | marketplace | Marketplace | all     | 1 in 0.2 s, burst 20   | the same               | all; a 4XX costs 10               |
| WAREHOUSE_STOCKS    | marketplace | Marketplace | 1,000   | 1 in 0.2 s, burst 20   | the same               | all; a 4XX costs 10               |
| ORDER_FEED          | analytics   | Analytics   | 10,000  | 1 in 1 min             | 1 in 3 h               | all                               |
| SUPPLIER_ORDERS     | statistics  | Statistics  | 80,000  | 1 in 1 min, burst 10   | 1 in 3 h               | all; to be switched off one day   |
| SUPPLIER_SALES      | statistics  | Statistics  | 80,000  | 1 in 1 min             | 1 in 2 h               | all; to be switched off one day   |

Limits hold per seller and type of token; a Test token is counted as Base. Source: the descriptions of the methods at dev.wildberries.ru, sections
"General", "Product management", "Analytics" and "Reports", as of 2026-10-24. tests/marketplaces/wildberries/test_methods.py holds this table to the data.
"""

import msgspec

from app.marketplaces.exchange import MIB, Budget
from app.marketplaces.wildberries.hosts import Host
from app.marketplaces.wildberries.token import Access, Category

MINUTE_S = 60.0
HOUR_S = 3600.0
QUARTER_OF_AN_HOUR = Budget(15 * MINUTE_S, 1)


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """How to call it and how patiently (see `Call`). `path` may have names in braces.

    `group` names the budget that calls draw from; methods of one group share it. `page_size` is the most items that one answer gives, or that one
    question may name. `closed` is what a seller hears to whose token it is not open, in English and in Russian.
    """

    verb: str
    host: Host
    path: str
    category: Category
    group: str
    limit: Budget
    base_limit: Budget | None = None
    closed_to: frozenset[Access] = frozenset()
    closed: tuple[str, str]
    page_size: int = 1
    max_bytes: int = MIB
    spooled: bool = False
    attempts: int = 5
    patience_s: float = 10.0
    timeout_s: float = 300.0

    def budget(self, access: Access) -> Budget:
        """How often a key may call it."""
        return self.base_limit if self.base_limit and access is Access.BASE else self.limit


PING = Method(
    verb="GET",
    host="content",
    path="/ping",
    category=Category.CONTENT,
    group="ping",
    # Asked on a schedule, Wildberries blocks it for a while.
    limit=Budget(10.0, 99),
    closed=(
        "Wildberries accepts the key, and does not open its product cards to it.",
        "Wildberries принимает ключ, но не открывает ему карточки товаров.",
    ),
    # Somebody is waiting for the verdict on a key.
    attempts=2,
    patience_s=3.0,
    timeout_s=8.0,
)

_CONTENT_LIMIT = Budget(0.6, 5)
_CONTENT_CLOSED = ("Wildberries does not open its product cards to this key.", "Wildberries не открывает карточки товаров этому ключу.")

CARDS_LIST = Method(
    verb="POST",
    host="content",
    path="/content/v2/get/cards/list",
    category=Category.CONTENT,
    group="content",
    limit=_CONTENT_LIMIT,
    closed=_CONTENT_CLOSED,
    page_size=100,
    # 100 cards; a description has up to 5,000 characters, and a card 30 pictures in 5 sizes.
    max_bytes=32 * MIB,
)

CARDS_TRASH = Method(
    verb="POST",
    host="content",
    path="/content/v2/get/cards/trash",
    category=Category.CONTENT,
    group="content",
    limit=_CONTENT_LIMIT,
    closed=_CONTENT_CLOSED,
    page_size=100,
    max_bytes=32 * MIB,
)

GOODS_PRICES = Method(
    verb="GET",
    host="prices",
    path="/api/v2/list/goods/filter",
    category=Category.PRICES,
    group="prices",
    limit=Budget(0.6, 5),
    base_limit=QUARTER_OF_AN_HOUR,
    closed=("Wildberries does not open prices to this key.", "Wildberries не открывает цены этому ключу."),
    page_size=1000,
    max_bytes=32 * MIB,
)

WB_WAREHOUSES = Method(
    verb="POST",
    host="analytics",
    path="/api/analytics/v1/stocks-report/wb-warehouses",
    category=Category.ANALYTICS,
    group="stocks-report/wb-warehouses",
    limit=Budget(20.0, 1),
    closed_to=frozenset({Access.BASE}),
    closed=(
        "Wildberries gives the stock of its own warehouses to Personal and Service tokens only, and to Base tokens of a registered service.",
        "Остатки на складах WB доступны только персональному и сервисному токенам и базовому токену зарегистрированного сервиса.",
    ),
    # A later page is a later state of the report, which is renewed every half an hour: the fewer, the better.
    page_size=250_000,
    max_bytes=256 * MIB,
    spooled=True,
)

SELLER_WAREHOUSES = Method(
    verb="POST",
    host="analytics",
    path="/api/analytics/v1/stocks-report/seller-warehouses",
    category=Category.ANALYTICS,
    group="stocks-report/seller-warehouses",
    limit=Budget(20.0, 1),
    closed_to=frozenset({Access.BASE, Access.BASE_WITH_SECRET}),
    closed=(
        "Wildberries gives the stock of the seller's warehouses to Personal and Service tokens only.",
        "Отчёт об остатках на складах продавца доступен только персональному и сервисному токенам.",
    ),
    page_size=250_000,
    max_bytes=256 * MIB,
    spooled=True,
)

_REMAINS_CLOSED = (
    "Wildberries does not open the report on warehouse remains to this key.",
    "Wildberries не открывает отчёт об остатках на складах этому ключу.",
)

REMAINS_CREATE = Method(
    verb="GET",
    host="analytics",
    path="/api/v1/warehouse_remains",
    category=Category.ANALYTICS,
    group="warehouse_remains",
    limit=Budget(MINUTE_S, 5),
    base_limit=QUARTER_OF_AN_HOUR,
    closed=_REMAINS_CLOSED,
)

REMAINS_STATUS = Method(
    verb="GET",
    host="analytics",
    path="/api/v1/warehouse_remains/tasks/{task_id}/status",
    category=Category.ANALYTICS,
    group="warehouse_remains/status",
    limit=Budget(5.0, 5),
    base_limit=QUARTER_OF_AN_HOUR,
    closed=_REMAINS_CLOSED,
)

REMAINS_DOWNLOAD = Method(
    verb="GET",
    host="analytics",
    path="/api/v1/warehouse_remains/tasks/{task_id}/download",
    category=Category.ANALYTICS,
    group="warehouse_remains/download",
    limit=Budget(MINUTE_S, 1),
    base_limit=QUARTER_OF_AN_HOUR,
    closed=_REMAINS_CLOSED,
    max_bytes=512 * MIB,
    spooled=True,
)

_WAREHOUSES_CLOSED = (
    "Wildberries does not open the seller's warehouses to this key.",
    "Wildberries не открывает склады продавца этому ключу.",
)

WAREHOUSES = Method(
    verb="GET",
    host="marketplace",
    path="/api/v3/warehouses",
    category=Category.MARKETPLACE,
    group="seller-warehouses",
    limit=Budget(0.2, 20, refusal_cost=10),
    closed=_WAREHOUSES_CLOSED,
)

WAREHOUSE_STOCKS = Method(
    verb="POST",
    host="marketplace",
    path="/api/v3/stocks/{warehouseId}",
    category=Category.MARKETPLACE,
    group="seller-stocks",
    limit=Budget(0.2, 20, refusal_cost=10),
    closed=_WAREHOUSES_CLOSED,
    page_size=1000,
)

ORDER_FEED = Method(
    verb="POST",
    host="analytics",
    path="/api/analytics/v1/order-feed",
    category=Category.ANALYTICS,
    group="order-feed",
    limit=Budget(MINUTE_S, 1),
    base_limit=Budget(3 * HOUR_S, 1),
    closed=("Wildberries does not open its order feed to this key.", "Wildberries не открывает ленту заказов этому ключу."),
    page_size=10_000,
    max_bytes=32 * MIB,
)

_STATISTICS_CLOSED = (
    "Wildberries does not open its statistics of orders to this key.",
    "Wildberries не открывает статистику заказов этому ключу.",
)

SUPPLIER_ORDERS = Method(
    verb="GET",
    host="statistics",
    path="/api/v1/supplier/orders",
    category=Category.STATISTICS,
    group="supplier/orders",
    limit=Budget(MINUTE_S, 10),
    base_limit=Budget(3 * HOUR_S, 1),
    closed=_STATISTICS_CLOSED,
    page_size=80_000,
    max_bytes=256 * MIB,
    spooled=True,
)

SUPPLIER_SALES = Method(
    verb="GET",
    host="statistics",
    path="/api/v1/supplier/sales",
    category=Category.STATISTICS,
    group="supplier/sales",
    limit=Budget(MINUTE_S, 1),
    base_limit=Budget(2 * HOUR_S, 1),
    closed=_STATISTICS_CLOSED,
    page_size=80_000,
    max_bytes=256 * MIB,
    spooled=True,
)

METHODS = (
    PING,
    CARDS_LIST,
    CARDS_TRASH,
    GOODS_PRICES,
    WB_WAREHOUSES,
    SELLER_WAREHOUSES,
    REMAINS_CREATE,
    REMAINS_STATUS,
    REMAINS_DOWNLOAD,
    WAREHOUSES,
    WAREHOUSE_STOCKS,
    ORDER_FEED,
    SUPPLIER_ORDERS,
    SUPPLIER_SALES,
)
