"""What the sandbox remembers: shared by the marketplaces that it plays and the surface that controls them."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from app.sandbox.clock import Clock
from app.sandbox.faults import Faults
from app.sandbox.limits import Buckets
from app.sandbox.page_cache import PageCache
from app.sandbox.shop import MAX_PRODUCTS, Shop

_PAGES_BYTES = 64 * 1024 * 1024
"""Ozon's pages of a shop of 10,000 cards have 50 MB, and who syncs it asks for them in turn: one page too many, and none would be found again."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How the marketplaces answer.

    - `limits`: whether they count requests.
    - `delay_ms`: how long every answer takes.
    - `default_products`: how many a shop has whose token doesn't say.
    - `warehouses`: Wildberries' own as one (as since August 2026), or by name (as before).
    - `report_s`: how long after it was asked for a report on remains is done, in seconds.
    - `statistics_rows`: how many rows the Statistics methods give at most at once.
    - `ozon_totals`: whether Ozon's lists still tell `total`, which it dropped on 2026-11-23.
    - `errors`: the shape of its gateway's errors and limit headers: as documented, or as seen on its newer gateways.
    """

    limits: bool = True
    delay_ms: Annotated[int, Meta(ge=0)] = 0
    default_products: Annotated[int, Meta(ge=0, le=MAX_PRODUCTS)] = 25
    warehouses: Literal["masked", "named"] = "masked"
    errors: Literal["documented", "newer"] = "documented"
    ozon_totals: Literal["gone", "present"] = "gone"
    report_s: Annotated[float, Meta(ge=0)] = 5
    statistics_rows: Annotated[int, Meta(ge=1)] = 80_000


class Report(msgspec.Struct, frozen=True):
    """A report that was asked for: by whom, when, and how its rows are to be told apart."""

    seller_id: UUID
    asked_at: datetime
    groupings: frozenset[str]


class State:
    """Everything that changes while the sandbox runs. All of it is in memory and goes with the process."""

    def __init__(self, behaviour: Behaviour, clock: Clock) -> None:
        self.behaviour = behaviour
        self.clock = clock
        self.buckets = Buckets()
        self.faults = Faults()
        self.pages = PageCache(_PAGES_BYTES)
        self.shops: dict[UUID, Shop] = {}
        self.reports: dict[UUID, Report] = {}
        self.requests: Counter[tuple[UUID | None, str, int]] = Counter()
        """By seller (None where no token told), method and status. A broken connection counts as status 0."""

    def shop(self, seller_id: UUID, products: int | None = None) -> Shop:
        """The seller's shop; it opens when it is first asked for, with so many products."""
        shop = self.shops.get(seller_id)
        if shop is None:
            shop = self.open_shop(seller_id, self.behaviour.default_products if products is None else products)
        return shop

    def open_shop(self, seller_id: UUID, products: int, seed: int | None = None) -> Shop:
        """A new shop in place of the seller's old one. Without a seed it follows from the seller's id."""
        seed = seller_id.int % 2**32 if seed is None else seed
        shop = Shop(seller_id, products=products, seed=seed, opened_at=self.clock.now())
        self.shops[seller_id] = shop
        return shop
