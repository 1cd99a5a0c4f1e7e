"""How the history of stock is kept: a row whenever one of a product's totals changed, in a partition for each month."""

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import structlog

from app.database import Connection, system_scope
from app.errors import Unavailable
from app.settings import get_settings

MONTHS_AHEAD = 2

# Two processes that start at once must not make the same partition: one does, and the other has nothing to do.
ONE_AT_A_TIME = "SELECT pg_try_advisory_xact_lock(hashtext('stock-tracker stock_history'))"
# Whoever writes waits behind us while we wait. This is also less than PostgreSQL's deadlock_timeout: should we and a writer wait for each other, it is we who
# give up, and never the writer who is made to.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'"

PARTITIONS = """
    SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
     WHERE inhparent = 'stock_history'::regclass AND relname ~ '^stock_history_[0-9]{4}_[0-9]{2}$' ORDER BY relname
"""

# A partition that is made later takes in what has waited in stock_history_other. Nobody may add to that meanwhile; and a new partition's foreign key locks the
# products, which writers lock before they come to a partition, so we do it in their order.
LOCK = ("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE", "LOCK TABLE stock_history_other IN ACCESS EXCLUSIVE MODE")
# Attached rather than made as a partition: that would lock out all readers, too.
MAKE = (
    "CREATE TABLE {name} (LIKE stock_history)",
    """
    WITH waiting AS (DELETE FROM stock_history WHERE changed_at >= '{begins}' AND changed_at < '{ends}' RETURNING *)
    INSERT INTO {name} SELECT * FROM waiting
    """,
    "ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
    "ALTER TABLE stock_history ATTACH PARTITION {name} FOR VALUES FROM ('{begins}') TO ('{ends}')",
)

log = structlog.get_logger(__name__)


async def keep_partitions() -> None:
    """Make the partitions up to the month after the next, and drop those of months that ended more than STOCK_HISTORY_DAYS ago. Any number of processes may do
    this at any time, and should now and then; where writers are in the way, the next time will do.

    Raises:
        Unavailable: the database does not answer.
    """
    for part in (_make_partitions, _drop_old):
        try:
            async with system_scope() as connection:
                if await connection.fetchval(ONE_AT_A_TIME):
                    await connection.execute(LOCK_TIMEOUT)
                    await part(connection)
        except Unavailable as error:
            if not isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                raise
            log.warning("stock_history.busy")


async def _make_partitions(connection: Connection) -> None:
    now, oldest_kept = await _bounds(connection)
    known = await _months(connection)
    begin = known[0] if known else _month(now)
    # What came before the first partition was made; it is pruned to the partition in which such rows wait.
    waiting: datetime | None = await connection.fetchval("SELECT min(changed_at) FROM stock_history WHERE changed_at < $1", begin)
    if waiting is not None:
        begin = max(_month(waiting), _month(oldest_kept))
    # Without gaps, so that what lies between two partitions is never looked for in the other one.
    missing = [month for month in _months_between(begin, _later(_month(now), MONTHS_AHEAD)) if month not in known]
    if missing:
        for statement in LOCK:
            await connection.execute(statement)
        for month in missing:
            name = _name(month)
            for statement in MAKE:
                await connection.execute(statement.format(name=name, begins=month.isoformat(), ends=_later(month).isoformat()))
            log.info("stock_history.partition_made", partition=name)


async def _drop_old(connection: Connection) -> None:
    _, oldest_kept = await _bounds(connection)
    months = await _months(connection)
    for month in months:
        if _later(month) <= oldest_kept:
            await connection.execute(f"DROP TABLE {_name(month)}")
            log.info("stock_history.partition_dropped", partition=_name(month))
    if months:
        await connection.execute("DELETE FROM stock_history WHERE changed_at < $1", min(months[0], _month(oldest_kept)))


async def _bounds(connection: Connection) -> tuple[datetime, datetime]:
    """Now, and since when rows are kept, by the clock that the rows have their times from."""
    now: datetime = await connection.fetchval("SELECT now()")
    return now, now - timedelta(days=get_settings().stock_history_days)


async def _months(connection: Connection) -> list[datetime]:
    """The months that have a partition, oldest first."""
    rows: list[Any] = await connection.fetch(PARTITIONS)
    return [datetime.strptime(f"{row[0]} +0000", "stock_history_%Y_%m %z") for row in rows]


def _months_between(first: datetime, last: datetime) -> list[datetime]:
    months = [first]
    while months[-1] < last:
        months.append(_later(months[-1]))
    return months


def _month(moment: datetime) -> datetime:
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _later(month: datetime, months: int = 1) -> datetime:
    years, place = divmod(month.month - 1 + months, 12)
    return month.replace(year=month.year + years, month=place + 1)


def _name(month: datetime) -> str:
    return f"stock_history_{month:%Y_%m}"
