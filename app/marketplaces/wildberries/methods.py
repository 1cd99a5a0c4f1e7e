"""The methods of Wildberries that we call: what each is, whom it serves, how much it may answer.

Source: the official descriptions (dev.wildberries.ru, sections "Products" and "Analytics"), as of 2026-10-24.
"""

import msgspec

from app.marketplaces.exchange import MIB
from app.marketplaces.wildberries.token import Category


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """How to call it and how patiently (see `Call`).

    `group` names the budget that calls draw from; methods of one group share it. `closed` is what a seller hears to whose type of token the
    method is not open.
    """

    verb: str
    path: str
    group: str
    category: Category
    closed: str
    max_bytes: int
    attempts: int = 5
    patience_s: float = 10.0
    timeout_s: float = 300.0


# 3 calls in 30 s per host; asked on a schedule, Wildberries blocks it for a while.
PING = Method(
    verb="GET",
    path="/ping",
    group="ping",
    category=Category.CONTENT,
    closed="Wildberries accepts the key, and does not open its product cards to it.",
    max_bytes=MIB,
    # Somebody is waiting for the verdict on a key.
    attempts=2,
    patience_s=3.0,
    timeout_s=8.0,
)

CARDS_LIST = Method(
    verb="POST",
    path="/content/v2/get/cards/list",
    group="content",
    category=Category.CONTENT,
    closed="Wildberries does not open its product cards to this key.",
    # 100 cards; a description has up to 5,000 characters, and a card 30 pictures in 5 sizes.
    max_bytes=32 * MIB,
)

WB_WAREHOUSES = Method(
    verb="POST",
    path="/api/analytics/v1/stocks-report/wb-warehouses",
    group="stocks-report/wb-warehouses",
    category=Category.ANALYTICS,
    closed="Wildberries gives the stock of its own warehouses to Personal and Service tokens only, and to Base tokens of a registered service.",
    max_bytes=256 * MIB,
)

SELLER_WAREHOUSES = Method(
    verb="POST",
    path="/api/analytics/v1/stocks-report/seller-warehouses",
    group="stocks-report/seller-warehouses",
    category=Category.ANALYTICS,
    closed="Wildberries gives the stock of the seller's warehouses to Personal and Service tokens only.",
    max_bytes=256 * MIB,
)
