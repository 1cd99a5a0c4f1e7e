"""One row per operation of a run, for whoever asks later what happened."""

from datetime import timedelta

from app.database import Connection
from app.ids import new_id
from app.runs.lease import Lease
from app.runs.schemas import StageReport

WRITE = """
    INSERT INTO sync_logs
           (id, tenant_id, run_id, marketplace, operation, status, fetched, created, updated, unchanged, archived, rejected,
            requests, duration_ms, error_code, error_detail, started_at, finished_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, now() - $17::interval, now())
"""


async def write_sync_log(connection: Connection, lease: Lease, report: StageReport) -> None:
    """Write a stage's row, in the transaction that ends the stage."""
    error = report.error
    await connection.execute(
        WRITE, new_id(), lease.tenant_id, lease.run_id, lease.marketplace, report.name, report.status, report.fetched, report.created,
        report.updated, report.unchanged, report.archived, report.rejected, report.requests, round(report.duration_s * 1000),
        error.code if error else None, error.detail[:500] if error else None, timedelta(seconds=report.duration_s),
    )  # fmt: skip
