"""The history of stock over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from app.api.roles import Role
from app.api.structs import Instant
from app.stocks.schemas import HistoryQuery, Interval, StockHistoryOut
from app.stocks.service import StockService


class StockController(Controller):
    """How much there was of what a seller offers."""

    path = "/products/{product_id:uuid}"
    tags = ("Catalogue",)

    @get(
        "/stock-history",
        opt={"role": Role.VIEWER, "conditional": True},
        operation_id="getStockHistory",
        summary="Look at the history of a product's stock",
    )
    async def get_stock_history(
        self,
        tenant_id: NamedDependency[UUID],
        product_id: FromPath[UUID],
        since: Annotated[Instant | None, QueryParameter(name="from")] = None,
        until: Annotated[Instant | None, QueryParameter(name="to")] = None,
        interval: FromQuery[Interval | None] = None,
    ) -> StockHistoryOut:
        """With an `interval` there is a point at the end of each hour or day in UTC, and one at `to`: the stock at that moment, whether it changed or not.
        Without one, there is a point for each change. Left out, `to` is now and `from` is 30 days before `to`. At most 1,000 points; ask for a shorter time,
        or by a longer interval, where there would be more.
        """
        return await StockService(tenant_id).get_history(product_id, HistoryQuery(since=since, until=until, interval=interval))
