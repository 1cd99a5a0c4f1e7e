"""What one unchanged sync leaves behind in PostgreSQL: rows, bytes of tables with their indexes, WAL.

    python -m benchmarks.footprint

Shops at the sandbox are synced until nothing changes any more; then each is synced `ROUNDS` times, with an endpoint that takes its events. What grew is
divided by the number of syncs. Rows that are updated in place cost WAL and no lasting bytes, so both are told.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec

from app.cache import close_cache, open_cache
from app.credentials.factory import close_marketplace_connections
from app.credentials.store import update_wildberries_credentials
from app.database import database, system_scope, tenant_scope
from app.embedded.postgres import Postgres
from app.embedded.redis import Redis
from app.ids import new_id
from app.jobs import broker
from app.migrations import migrate
from app.observability.logs import configure_logs
from app.redis import start_redis, stop_redis
from app.runs.tables import Trigger
from app.sandbox.control import environment as marketplaces_at
from app.sandbox.main import serve_in_thread
from app.sandbox.tokens import issue_token
from app.secret import Secret
from app.settings import get_settings, new_master_key
from app.sync.runner import Runner
from app.webhooks.delivery import claim
from app.webhooks.dispatch import dispatch
from app.webhooks.outcome import write_outcome
from app.webhooks.sender import Answer
from tests.factories import create_run, create_tenant

SHOPS = 20
PRODUCTS = 50
WARM_ROUNDS = 3
ROUNDS = 50

ADD_ENDPOINT = (
    "INSERT INTO webhook_endpoints (id, tenant_id, url, event_types, secret_encrypted, enabled, failed_attempts, created_at, updated_at) "
    "VALUES ($1, $2, 'https://bot.example/', '{}', 'x', true, 0, now(), now())"
)

CATALOGUE = ("products", "stocks")
LASTING = ("sync_runs", "sync_logs", "events", "webhook_deliveries", "webhook_attempts")

SIZES = """
    SELECT relname, n_tup_ins AS inserted, n_tup_upd AS updated, n_tup_hot_upd AS hot, pg_total_relation_size(relid) AS size
      FROM pg_stat_user_tables WHERE schemaname = 'public'
"""

WAL = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"


class Growth(msgspec.Struct, frozen=True):
    """Per sync, of one table: rows inserted and updated, updates that touched no index (HOT), bytes with indexes as they grew without any vacuum, and
    bytes of the rows alone, with their indexes, once what is dead is gone."""

    table: str
    inserted: float
    updated: float
    hot: float
    size_bytes: float
    packed_bytes: float


@asynccontextmanager
async def _opened() -> AsyncGenerator[Any]:
    """What a worker opens, and a connection to look with."""
    settings = get_settings()
    database.configure(settings.database_url)
    await migrate()
    await database.open(settings.database_url, pool_size=10, production=False)
    open_cache(settings)
    start_redis(settings.redis_url.reveal())
    broker.connect_to(settings.redis_url.reveal())
    connection: Any = await asyncpg.connect(settings.database_url.reveal())
    try:
        yield connection
    finally:
        await connection.close()
        await close_marketplace_connections()
        await broker.shutdown()
        await stop_redis()
        await close_cache()
        await database.close()


async def measure() -> tuple[list[Growth], float, float]:
    """The growth of each table that had any, and bytes of WAL, per sync; bytes of what is stored of a product."""
    async with _opened() as looking:
        tenants = [await _tenant() for _ in range(SHOPS)]
        await _sync(tenants, WARM_ROUNDS)
        before, wal_before = await _sizes(looking)
        await _sync(tenants, ROUNDS)
        after, wal_after = await _sizes(looking)
        packed = {table: await _packed_row(looking, table) for table in LASTING}
        catalogue = sum([await _packed(looking, table) for table in CATALOGUE]) / SHOPS / PRODUCTS
    syncs = SHOPS * ROUNDS
    names = ("inserted", "updated", "hot", "size")
    grown = {table: [(after[table][name] - before[table][name]) / syncs for name in names] for table in sorted(after)}
    growth = [Growth(table, *each, packed_bytes=each[0] * packed.get(table, 0.0)) for table, each in grown.items()]
    return [each for each in growth if each.inserted or each.updated], (wal_after - wal_before) / syncs, catalogue


async def _tenant() -> UUID:
    tenant_id = await create_tenant()
    await update_wildberries_credentials(tenant_id, Secret(issue_token(new_id(), products=PRODUCTS)))
    async with tenant_scope(tenant_id) as connection:
        await connection.execute(ADD_ENDPOINT, new_id(), tenant_id)
    return tenant_id


async def _sync(tenants: list[UUID], rounds: int) -> None:
    """Each tenant in turn; its events count as delivered at the first attempt."""
    runner = Runner("footprint")
    for _ in range(rounds):
        for tenant_id in tenants:
            assert await runner.carry_out_run(await create_run(tenant_id, Trigger.SCHEDULE))
            async with system_scope() as connection:
                await dispatch(connection)
                claimed, _ = await claim(connection, 10, {})
            for each in claimed:
                async with tenant_scope(each.tenant_id) as connection:
                    attempted_at = await connection.fetchval("SELECT now()")
                    await write_outcome(
                        connection, tenant_id=each.tenant_id, endpoint_id=each.endpoint_id, delivery_id=each.id, number=each.number,
                        attempted_at=attempted_at, answer=Answer(status_code=200, excerpt="{}", duration_s=0.05), retry_schedule_s=(5,),
                    )  # fmt: skip


async def _packed_row(connection: Any, table: str) -> float:
    """Bytes of a row with its index entries. What is young is all there is."""
    await connection.execute("SELECT set_config('app.scope', 'system', false)")
    return await _packed(connection, table) / max(await connection.fetchval(f"SELECT count(*) FROM {table}"), 1)


async def _packed(connection: Any, table: str) -> float:
    """Bytes of a table with its indexes and without anything dead."""
    await connection.execute(f"VACUUM FULL {table}")
    return await connection.fetchval(f"SELECT pg_total_relation_size('{table}')")


async def _sizes(connection: Any) -> tuple[dict[str, Any], int]:
    # A server process reports what it counted at most a second later, when it is idle.
    await asyncio.sleep(2)
    rows = {row["relname"]: row for row in await connection.fetch(SIZES)}
    return rows, await connection.fetchval(WAL)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="st-footprint-") as folder, serve_in_thread() as sandbox:
        httpx.patch(f"{sandbox}/sandbox", json={"limits": False}, trust_env=False).raise_for_status()
        postgres = Postgres(Path(folder) / "postgres", durable=False)
        postgres.start()
        try:
            with Redis(Path(folder) / "redis") as redis_url:
                os.environ.update(marketplaces_at(sandbox), DATABASE_URL=postgres.url, REDIS_URL=redis_url, DATA_DIR=folder)
                os.environ.update(ENCRYPTION_MASTER_KEY=new_master_key(), MARKETPLACE_LIMITS_ENABLED="false", LOG_LEVEL="error")
                configure_logs(get_settings())
                growth, wal_bytes, catalogue_bytes = asyncio.run(measure())
        finally:
            postgres.stop()
    print(f"{'per unchanged sync':<24}{'inserted':>10}{'updated':>10}{'of it HOT':>10}{'bytes':>10}{'packed':>10}")
    for each in growth:
        print(
            f"{each.table:<24}{each.inserted:>10.2f}{each.updated:>10.2f}{each.hot:>10.2f}{each.size_bytes:>10.0f}{each.packed_bytes:>10.0f}"
        )
    print(f"{'WAL':<54}{wal_bytes:>10.0f}")
    print(f"{'a product with its shelves':<54}{catalogue_bytes:>20.0f}")


if __name__ == "__main__":
    main()
