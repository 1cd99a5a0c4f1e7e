"""Rows of long ago, with ids as they would have been made then."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.database import system_scope
from app.ids import new_id
from app.marketplaces.contract import Marketplace
from app.retention import Batch, Walk
from app.runs.tables import PRIORITY, Trigger


def id_of_age(age: timedelta) -> UUID:
    """As `new_id()` made them that long ago: the first 48 bits are the Unix time in milliseconds (RFC 9562, section 5.7)."""
    milliseconds = int((datetime.now(UTC) - age).timestamp() * 1000)
    return UUID(int=milliseconds << 80 | new_id().int & (1 << 80) - 1)


async def add_ended_run(
    tenant_id: UUID,
    age: timedelta,
    marketplace: Marketplace = Marketplace.WILDBERRIES,
    *,
    status: str = "succeeded",
    trigger: Trigger = Trigger.SCHEDULE,
    stages: str = "[]",
) -> UUID:
    """A run that began and ended that long ago, and the log of one of its stages. `stages`: JSON of `StageReport`s."""
    run_id = id_of_age(age)
    async with system_scope() as connection:
        await connection.execute(
            'INSERT INTO sync_runs (id, tenant_id, marketplace, "trigger", scopes, status, priority, not_before, queued_at, finished_at, stages) '
            "VALUES ($1, $2, $3, $7, '{products}', $4, $8, now() - $5::interval, now() - $5::interval, "
            "CASE WHEN $6 THEN now() - $5::interval END, $9)",
            run_id, tenant_id, marketplace, status, age, status not in ("queued", "running"), trigger, PRIORITY[trigger], stages,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO sync_logs (id, tenant_id, run_id, marketplace, operation, status, started_at, finished_at) "
            "VALUES ($1, $2, $3, $4, 'products', 'succeeded', now() - $5::interval, now() - $5::interval)",
            id_of_age(age), tenant_id, run_id, marketplace, age,
        )  # fmt: skip
    return run_id


async def grow_older(statement: str, *arguments: object) -> None:
    async with system_scope() as connection:
        await connection.execute(statement, *arguments)


async def walk_through(walk: Walk) -> list[Batch]:
    """All batches of a walk, each in a transaction of its own."""
    batches: list[Batch] = []
    while not batches or batches[-1].reached is not None:
        async with system_scope() as connection:
            batches.append(await walk(connection, batches[-1].reached if batches else None))
    return batches
