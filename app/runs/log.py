"""One row per operation of a run, for whoever asks later what happened."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from app.database import Connection
from app.ids import new_id
from app.marketplaces.contract import Marketplace
from app.runs.schemas import StageReport
from app.runs.tables import Stage

# $1 tenant, $2 run, $3 marketplace, $4 rows; many go as one JSON argument.
SELECTED_LOGS = """
    SELECT id, $1::uuid, $2::uuid, $3::text, operation, status, fetched, created, updated, unchanged, archived, rejected, requests, duration_ms,
           error_code, error_detail, started_at, finished_at
      FROM json_to_recordset($4) AS log
           (id uuid, operation text, status text, fetched int, created int, updated int, unchanged int, archived int, rejected int, requests int,
            duration_ms int, error_code text, error_detail text, started_at timestamptz, finished_at timestamptz)
"""

# Rows that a transaction wrote whose outcome its worker never heard are written again.
WRITE_LOGS = f"""
    INSERT INTO sync_logs
           (id, tenant_id, run_id, marketplace, operation, status, fetched, created, updated, unchanged, archived, rejected, requests, duration_ms,
            error_code, error_detail, started_at, finished_at)
    {SELECTED_LOGS}
        ON CONFLICT (id) DO NOTHING
"""


class LogRow(msgspec.Struct, frozen=True):
    """A stage that has ended, as `SELECTED_LOGS` reads it."""

    id: UUID
    operation: Stage
    status: str
    fetched: int
    created: int
    updated: int
    unchanged: int
    archived: int
    rejected: int
    requests: int
    duration_ms: int
    error_code: str | None
    error_detail: str | None
    started_at: datetime
    finished_at: datetime

    @classmethod
    def of(cls, report: StageReport, finished_at: datetime) -> "LogRow":
        error = report.error
        return cls(
            new_id(),
            report.name,
            report.status,
            report.fetched,
            report.created,
            report.updated,
            report.unchanged,
            report.archived,
            report.rejected,
            report.requests,
            round(report.duration_s * 1000),
            error.code if error else None,
            error.detail[:500] if error else None,
            finished_at - timedelta(seconds=report.duration_s),
            finished_at,
        )


async def write_logs(connection: Connection, tenant_id: UUID, run_id: UUID, marketplace: Marketplace, rows: Sequence[LogRow]) -> None:
    """Write the rows of stages that have ended, in the transaction that makes it true."""
    if rows:
        await connection.execute(WRITE_LOGS, tenant_id, run_id, marketplace, encode(rows))


def encode(rows: Sequence[LogRow]) -> str:
    """The rows as `SELECTED_LOGS` reads them."""
    return msgspec.json.encode(rows).decode()
