"""What a seller hears of a run beside how it went: products that crossed their thresholds, and new orders."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from app.database import Connection
from app.events.outbox import record
from app.events.types import MAX_PRODUCTS, NewOrder, OrdersCreated, StockLow, StockMoved, StockOut, StockReplenished, ThresholdItem
from app.marketplaces.contract import Marketplace
from app.products.tables import StockLevel
from app.runs.schemas import Notice
from app.sync import messages

# A product may have moved on since it was noted, when the marketplace's other report came later: what is no longer so is not told.
PRODUCTS = """
    SELECT id, article, title, stock_total,
           coalesce(low_stock_threshold, (SELECT low_stock_threshold FROM tenants WHERE id = $1)) AS threshold
      FROM products WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND stock_level = $3 AND archived_at IS NULL AND (stock_total <= 0 OR $3 <> 'out')
     ORDER BY stock_total, id
"""

# Scalar subqueries: a join becomes a walk over all products while the planner knows nothing of them.
ORDERS = """
    SELECT id, number, ordered_at, fulfilment, currency,
           (SELECT coalesce(sum(quantity), 0) FROM order_lines WHERE order_id = orders.id) AS units,
           (SELECT CASE WHEN bool_and(price IS NOT NULL) THEN sum(quantity * price) END FROM order_lines WHERE order_id = orders.id) AS amount,
           (SELECT ROW (coalesce(nullif(article, ''), (SELECT article FROM products WHERE products.id = product_id)),
                        (SELECT title FROM products WHERE products.id = product_id))
              FROM order_lines WHERE order_id = orders.id ORDER BY id LIMIT 1) AS first
      FROM orders WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND status NOT IN ('cancelled', 'returned')
     ORDER BY ordered_at DESC, id DESC
"""

STOCK_EVENTS: Sequence[tuple[type[StockMoved], StockLevel, Callable[[str, Marketplace, Sequence[ThresholdItem], int], str]]] = (
    (StockOut, StockLevel.OUT, messages.stock_out),
    (StockLow, StockLevel.LOW, messages.stock_low),
    (StockReplenished, StockLevel.OK, messages.stock_replenished),
)


async def record_notices(
    connection: Connection, tenant_id: UUID, run_id: UUID, marketplace: Marketplace, language: str, notices: Mapping[str, Notice]
) -> None:
    """Record what a run noted, one event of a type, in the transaction that ends it; the tenant is locked. Called before the run's own event is recorded,
    which so is the last word of a run."""
    for event, level, message in STOCK_EVENTS:
        if noted := notices.get(event.type):
            rows = await connection.fetch(PRODUCTS, tenant_id, noted.ids, level)
            products = [
                ThresholdItem(product_id=row[0], article=row[1], title=row[2], stock=row[3], threshold=row[4])
                for row in rows[:MAX_PRODUCTS]
            ]
            if products:
                total = _still(noted, len(rows))
                stock_event = event(
                    tenant_id=tenant_id,
                    sync_id=run_id,
                    marketplace=marketplace,
                    products=products,
                    total=total,
                    message=message(language, marketplace, products, total),
                )
                await record(connection, tenant_id, stock_event)
    if noted := notices.get(OrdersCreated.type):
        orders = [_order(row) for row in await connection.fetch(ORDERS, tenant_id, noted.ids)]
        if orders:
            total = _still(noted, len(orders))
            orders_event = OrdersCreated(
                tenant_id=tenant_id,
                sync_id=run_id,
                marketplace=marketplace,
                orders=orders,
                total=total,
                message=messages.orders_created(language, marketplace, orders, total),
            )
            await record(connection, tenant_id, orders_event)


def _still(noted: Notice, found: int) -> int:
    """How many of those that were noted are told of: all but those that were looked at and are no longer so."""
    return noted.total - len(noted.ids) + found


def _order(row: Any) -> NewOrder:
    article, title = row["first"] or (None, None)
    return NewOrder(
        order_id=row["id"],
        number=row["number"],
        ordered_at=row["ordered_at"],
        fulfilment=row["fulfilment"],
        units=row["units"],
        amount=row["amount"],
        currency=row["currency"],
        article=article or "",
        title=title or "",
    )
