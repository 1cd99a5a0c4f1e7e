"""The orders of one tenant: looked at, and copied from the marketplace."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from app.api.pagination import PageOut, decode_cursor, encode_cursor
from app.credentials.factory import create_marketplace_client
from app.database import Connection, tenant_scope
from app.events.types import OrdersCreated
from app.marketplaces.contract import Marketplace, MarketplaceClient, OrderStatus
from app.marketplaces.read_ahead import read_ahead
from app.orders import store
from app.orders.schemas import OrderLineOut, OrderOut, OrderQuery
from app.runs.checkpoints import Progressed
from app.runs.lease import Lease
from app.runs.schemas import StageReport
from app.runs.tables import Stage

COLUMNS = (
    "id, marketplace, external_id, number, status, marketplace_status, fulfilment, warehouse, destination, currency, "
    "ordered_at, changed_at, updated_at"
)

FULL_PASS_EVERY_S = 24 * 3600.0

# What a marketplace tells later than that, or what we missed for so long, is counted and no news to anybody.
NEWS = timedelta(days=3)

LINES = """
    SELECT line.order_id, line.product_id, line.product_external_id, line.size_id, line.article, product.title, line.quantity, line.price
      FROM order_lines AS line LEFT JOIN products AS product ON product.id = line.product_id
     WHERE line.order_id = ANY($1::uuid[])
     ORDER BY line.id
"""


class OrderService:
    """The orders of one tenant. Its client comes from the factory when the first marketplace call needs it."""

    def __init__(self, tenant_id: UUID, client: MarketplaceClient | None = None) -> None:
        self.tenant_id = tenant_id
        self._client = client

    async def list_orders(self, query: OrderQuery) -> PageOut[OrderOut]:
        """A page of orders, newest first."""
        fingerprint = ("orders", msgspec.structs.replace(query, limit=0, cursor=None))
        arguments: list[object] = [self.tenant_id, query.limit + 1]
        conditions = ["tenant_id = $1"]

        def argument(value: object) -> str:
            arguments.append(value)
            return f"${len(arguments)}"

        if query.marketplace:
            conditions.append(f"marketplace = {argument(query.marketplace)}")
        if query.status:
            conditions.append(f"status = {argument(query.status)}")
        if query.since:
            conditions.append(f"ordered_at >= {argument(query.since)}")
        if query.until:
            conditions.append(f"ordered_at < {argument(query.until)}")
        if query.product_id:
            conditions.append(f"EXISTS (SELECT FROM order_lines WHERE order_id = orders.id AND product_id = {argument(query.product_id)})")
        if query.cursor:
            place = ", ".join(argument(value) for value in decode_cursor(query.cursor, fingerprint, (datetime, UUID)))
            conditions.append(f"(ordered_at, id) < ({place})")
        statement = f"SELECT {COLUMNS} FROM orders WHERE {' AND '.join(conditions)} ORDER BY ordered_at DESC, id DESC LIMIT $2"
        async with tenant_scope(self.tenant_id) as connection:
            rows = await connection.fetch(statement, *arguments)
            more, rows = len(rows) > query.limit, rows[: query.limit]
            lines: dict[UUID, list[OrderLineOut]] = {row[0]: [] for row in rows}
            for order_id, *line in await connection.fetch(LINES, list(lines)):
                lines[order_id].append(OrderLineOut(*line))
        items = [OrderOut(*row, lines=lines[row[0]]) for row in rows]
        return PageOut(items, encode_cursor(fingerprint, (items[-1].ordered_at, items[-1].id)) if more else None)

    async def sync(self, lease: Lease, report: StageReport, marketplace: Marketplace) -> None:
        """Copy the orders that are new or changed since the checkpoint; in a full run and once a day, as far back as the marketplace tells, for what it told
        too late for the windows, which overlap by an hour.

        Raises:
            LeaseLost: stop; what was committed stays.
            MarketplaceError: the stage can't go on; what was committed stays, and the next run goes on behind it.
        """
        client = self._client or await create_marketplace_client(self.tenant_id, marketplace)
        reached = self._begin(lease)
        looked_back = False
        async for pages in read_ahead(client.order_pages(reached.cursor)):
            orders = [order for page in pages for order in page.items]
            rejected = [item for page in pages for item in page.rejected]
            reached = msgspec.structs.replace(reached, cursor=pages[-1].cursor)
            async with lease.writing(report, total=pages[-1].total) as connection:
                written = await store.write_orders(connection, self.tenant_id, marketplace, orders)
                if not looked_back:
                    looked_back = await self._resolve_lines(connection, lease, reached)
                await lease.save(connection, Stage.ORDERS, reached)
                if reached.full_pass_at is not None:
                    # The first walk of an account tells of nothing: all that it finds was there before.
                    lease.note(OrdersCreated.type, [order.id for order in written.new if is_news(order, lease.now())])
                report.fetched += len(orders) + len(rejected)
                report.created += written.created
                report.updated += written.updated
                report.unchanged += written.unchanged
                report.reject(rejected)
        if not looked_back:
            async with lease.writing(report) as connection:
                await self._resolve_lines(connection, lease, reached)
        if reached.full_pass_run is not None:
            async with lease.writing(report) as connection:
                now: datetime = await connection.fetchval("SELECT now()")
                done = msgspec.structs.replace(reached, full_pass_run=None, full_pass_at=now)
                await lease.save(connection, Stage.ORDERS, done)

    async def _resolve_lines(self, connection: Connection, lease: Lease, reached: Progressed) -> bool:
        """Find the products of lines that came before them, of those products that are new since the checkpoint was saved. True: that is done."""
        since = lease.reached(Stage.ORDERS).saved_at
        if since is not None and await store.resolve_lines(connection, self.tenant_id, lease.marketplace, since=since):
            await lease.save(connection, Stage.ORDERS, reached, anew=True)
        return True

    def _begin(self, lease: Lease) -> Progressed:
        reached = lease.reached(Stage.ORDERS)
        if reached.run_id == lease.run_id:
            return reached  # an earlier worker of this run began it
        due = reached.full_pass_age_s is None or reached.full_pass_age_s > FULL_PASS_EVERY_S
        # A long walk that an earlier run left unfinished goes on: it is walked by time, so what lies behind it is done.
        if lease.full or (due and reached.full_pass_run is None):
            return msgspec.structs.replace(reached, cursor=b"", full_pass_run=lease.run_id, run_id=lease.run_id)
        return msgspec.structs.replace(reached, run_id=lease.run_id)


def is_news(order: store.OrderRow, now: datetime) -> bool:
    """Whether the seller is to hear of an order that we see for the first time."""
    return order.status not in (OrderStatus.CANCELLED, OrderStatus.RETURNED) and now - order.ordered_at <= NEWS
