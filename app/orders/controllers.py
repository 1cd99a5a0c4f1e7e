"""Orders over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from app.api.pagination import DEFAULT_LIMIT, Cursor, Limit, PageOut
from app.api.roles import Role
from app.api.structs import Instant
from app.marketplaces.contract import Marketplace, OrderStatus
from app.orders.schemas import OrderOut, OrderQuery
from app.orders.service import OrderService


class OrderController(Controller):
    """What buyers ordered."""

    path = "/orders"
    tags = ("Catalogue",)

    @get(opt={"role": Role.VIEWER, "conditional": True}, operation_id="listOrders", summary="List orders")
    async def list_orders(
        self,
        tenant_id: NamedDependency[UUID],
        marketplace: FromQuery[Marketplace | None] = None,
        status: FromQuery[OrderStatus | None] = None,
        since: Annotated[Instant | None, QueryParameter(name="from")] = None,
        until: Annotated[Instant | None, QueryParameter(name="to")] = None,
        product_id: FromQuery[UUID | None] = None,
        limit: FromQuery[Limit] = DEFAULT_LIMIT,
        cursor: FromQuery[Cursor | None] = None,
    ) -> PageOut[OrderOut]:
        """Newest first. `from` and `to` are about the time of the order: from that moment on, and before that moment."""
        return await OrderService(tenant_id).list_orders(
            OrderQuery(marketplace=marketplace, status=status, since=since, until=until, product_id=product_id, limit=limit, cursor=cursor)
        )
