"""How a run ends: its status, and the event that says so, in one transaction."""

from collections.abc import Sequence

import msgspec

from app.credentials.service import confirm_credentials
from app.database import Connection, tenant_scope
from app.events.outbox import record
from app.events.types import EventError, LowStockItem, OrderCounts, ProductCounts, StockCounts, SyncCompleted, SyncCounts, SyncFailed
from app.observability import metrics
from app.runs.lease import Lease
from app.runs.schemas import ErrorOut, StageReport
from app.runs.tables import RunStatus, Stage
from app.sync import messages
from app.sync.notices import record_notices
from app.tenants.service import lock_tenant

LOW_STOCK_LISTED = 10

PRODUCT_LISTS = "products:*"
"""What the cache has to forget before the event of a run that stored something can go out: who acts on it must not read what was before."""

# One walk over the account's products; the lowest ones are looked up only where there are any.
TOTALS = """
    WITH counted AS (
        SELECT count(*) AS products, coalesce(sum(stock_total), 0) AS units,
               count(*) FILTER (WHERE stock_total <= coalesce(product.low_stock_threshold, (SELECT low_stock_threshold FROM tenants WHERE id = $1))) AS low
          FROM products AS product WHERE tenant_id = $1 AND marketplace = $2 AND archived_at IS NULL)
    SELECT products, units, low,
           CASE WHEN low > 0 THEN ARRAY(
               SELECT ROW (product.id, product.article, product.title, product.stock_total)
                 FROM products AS product
                WHERE tenant_id = $1 AND marketplace = $2 AND archived_at IS NULL
                  AND stock_total <= coalesce(product.low_stock_threshold, (SELECT low_stock_threshold FROM tenants WHERE id = $1))
                ORDER BY stock_total, product.id LIMIT $3)
           END AS lowest
      FROM counted
"""

# Each time that a stage came to its end.
DONE = "SELECT operation AS name, sum(created)::int AS created, sum(updated)::int AS updated, sum(archived)::int AS archived FROM sync_logs WHERE run_id = $1 AND tenant_id = $2 GROUP BY operation"


def status_of(stages: Sequence[StageReport]) -> RunStatus:
    """`partial` where some stages worked and others could not."""
    statuses = {stage.status for stage in stages}
    if statuses <= {"succeeded"}:
        return RunStatus.SUCCEEDED
    if statuses & {"succeeded", "partial"}:
        return RunStatus.PARTIAL
    return RunStatus.FAILED


async def finish(lease: Lease, error: ErrorOut | None = None) -> RunStatus:
    """End the run by what its stages did, or as failed with `error`, and record `sync.completed` or `sync.failed` with it.

    Raises:
        LeaseLost: nothing was written.
    """
    status = RunStatus.FAILED if error else status_of(lease.stages)
    if status is RunStatus.FAILED and error is None:
        error = next((stage.error for stage in lease.stages if stage.error), messages.own_reason(lease.language, "internal_error"))
    async with tenant_scope(lease.tenant_id) as connection:
        await lock_tenant(connection, lease.tenant_id)
        duration_s = await lease.finish(connection, status, error)
        await record_notices(connection, lease.tenant_id, lease.run_id, lease.marketplace, lease.language, lease.notices)
        if error:
            failed = SyncFailed(
                tenant_id=lease.tenant_id,
                sync_id=lease.run_id,
                marketplace=lease.marketplace,
                trigger=lease.trigger,
                error=EventError(code=error.code, detail=error.detail),
                message=messages.sync_failed(lease.language, lease.marketplace, error),
            )
            await record(connection, lease.tenant_id, failed)
        else:
            await confirm_credentials(connection, lease.tenant_id, lease.marketplace, stored_at=lease.key_stored_at)
            await record(connection, lease.tenant_id, await _completed(connection, lease, status, duration_s))
    metrics.run_duration.labels(lease.marketplace.value, lease.trigger.value, status.value).observe(duration_s)
    return status


async def _completed(connection: Connection, lease: Lease, status: RunStatus, duration_s: float) -> SyncCompleted:
    totals = await connection.fetchrow(TOTALS, lease.tenant_id, lease.marketplace, LOW_STOCK_LISTED)
    assert totals is not None  # an aggregate gives a row
    low_stock_total = totals["low"]
    done = await _done(connection, lease)
    products, stocks, orders = (done.get(stage, StageReport(stage)) for stage in (Stage.PRODUCTS, Stage.STOCKS, Stage.ORDERS))
    counts = SyncCounts(
        products=ProductCounts(created=products.created, updated=products.updated, archived=products.archived, total=totals["products"]),
        stocks=StockCounts(changed=stocks.changes, total_units=totals["units"]),
        orders=OrderCounts(new=orders.created),
    )
    return SyncCompleted(
        tenant_id=lease.tenant_id,
        sync_id=lease.run_id,
        marketplace=lease.marketplace,
        status="partial" if status is RunStatus.PARTIAL else "succeeded",
        trigger=lease.trigger,
        duration_s=round(duration_s, 3),
        counts=counts,
        low_stock=[
            LowStockItem(product_id=product_id, article=article, title=title, stock=stock)
            for product_id, article, title, stock in totals["lowest"] or ()
        ],
        low_stock_total=low_stock_total,
        message=messages.sync_completed(
            lease.language, lease.marketplace, counts, low_stock_total, shortcomings=[stage.error for stage in lease.stages if stage.error]
        ),
    )


async def _done(connection: Connection, lease: Lease) -> dict[Stage, StageReport]:
    """What the stages of the run changed."""
    if lease.attempt == 1:
        return {stage.name: stage for stage in lease.stages}
    # Stages may have been done again, for who asked while the run waited.
    rows = await connection.fetch(DONE, lease.run_id, lease.tenant_id)
    return {report.name: report for report in (msgspec.convert(dict(row), StageReport) for row in rows)}
