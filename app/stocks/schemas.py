"""The history of stock as the API tells it."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from app.api.structs import Out

Interval = Literal["hour", "day"]


# Not kw_only: a list makes a thousand of them out of rows.
class StockPointOut(Out, frozen=True):
    """Units that a buyer could order at that moment: those in the marketplace's warehouses, those in the seller's own, and both together."""

    at: datetime
    quantity: int
    marketplace_quantity: int
    seller_quantity: int


class StockHistoryOut(Out, frozen=True):
    """The points in the order of time. There is none before the product's stock was first known, or first changed in the time that history is kept, and none
    that is still to come."""

    product_id: UUID
    points: list[StockPointOut]


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Of which time, from `since` on until `until`, and how often; without an interval, each change. Left out, it is about the last 30 days."""

    since: datetime | None = None
    until: datetime | None = None
    interval: Interval | None = None
