"""Many tenants that were synced already, as a process: one real first sync, and copies of its rows.

Arguments: how many tenants, and how many products each has. The last line of the output is the tenants' ids as JSON. All of them have the same shop at the
sandbox, each a key of its own, and none is due. The copies are made as a superuser, whom no wall between tenants holds.
"""

import os
import sys
import time
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import uvloop

from app.cache import close_cache, open_cache
from app.credentials.factory import close_marketplace_connections
from app.credentials.schemas import CredentialsPatch
from app.credentials.service import update_credentials
from app.database import database, tenant_scope
from app.ids import new_id
from app.jobs import broker
from app.marketplaces.contract import Marketplace
from app.observability.logs import configure_logs
from app.redis import start_redis, stop_redis
from app.runs.service import get_run, request_run
from app.runs.tables import RunStatus, Trigger
from app.secret import Secret
from app.settings import Settings, get_settings
from app.sync.runner import Runner
from app.vault import get_vault
from benchmarks.shops import SHOP_IN_DATABASE, seller_token

PER_STATEMENT = 500

# An id of the template, as the tenant of this number has it: the time in a UUID of version 7 is moved, so that a tenant's rows lie together, as they do where
# it was synced by itself.
COPIED_ID = """
    CREATE FUNCTION copied(id uuid, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
        SELECT (lpad(to_hex($2 + {now_ms}), 12, '0') || substr(replace($1::text, '-', ''), 13))::uuid
    $$
"""

# Of the orders only those that the next sync may meet again; a month of them, for each tenant, would take longer than what is measured.
RECENT = "now() - interval '6 hours'"
COPIES = {
    "tenants": {"id": "copy.id", "name": "'Shop ' || copy.number", "wb_credentials_encrypted": "copy.sealed", "next_sync_at": "NULL"},
    "credentials": {"tenant_id": "copy.id", "id": "copied(original.id, copy.number)", "seller_id": "copy.id::text"},
    "checkpoints": {"tenant_id": "copy.id", "id": "copied(original.id, copy.number)"},
    "products": {"tenant_id": "copy.id", "id": "copied(original.id, copy.number)"},
    "stocks": {"tenant_id": "copy.id", "id": "copied(original.id, copy.number)", "product_id": "copied(original.product_id, copy.number)"},
    "orders": {"tenant_id": "copy.id", "id": "copied(original.id, copy.number)"},
    "order_lines": {
        "tenant_id": "copy.id",
        "id": "copied(original.id, copy.number)",
        "order_id": "copied(original.order_id, copy.number)",
        "product_id": "copied(original.product_id, copy.number)",
    },
}
ONLY = {
    "tenants": "original.id = $1",
    "orders": f"original.tenant_id = $1 AND original.changed_at > {RECENT}",
    "order_lines": f"original.tenant_id = $1 AND original.order_id IN (SELECT id FROM orders WHERE tenant_id = $1 AND changed_at > {RECENT})",
}


async def _first_sync(settings: Settings, tenant_id: UUID, products: int) -> None:
    await database.open(settings.database_url, pool_size=settings.database_pool_size, production=settings.production)
    open_cache(settings)
    start_redis(settings.redis_url.reveal())
    broker.connect_to(settings.redis_url.reveal())
    await broker.startup()
    async with tenant_scope(tenant_id) as connection:
        await connection.execute(SHOP_IN_DATABASE, tenant_id)
    await update_credentials(tenant_id, "benchmark", CredentialsPatch(wildberries_api_key=Secret(seller_token(products))), verify=True)
    run, _ = await request_run(tenant_id, Marketplace.WILDBERRIES, Trigger.API)
    await Runner("benchmark").carry_out_run(run.id)
    done = await get_run(tenant_id, run.id)
    if done.status is not RunStatus.SUCCEEDED:
        raise SystemExit(f"The run is {done.status}: {done.stages}")
    await broker.shutdown()
    await close_marketplace_connections()
    await close_cache()
    await stop_redis()
    await database.close()


async def _copy(tenant_id: UUID, tenants: list[UUID], products: int) -> None:
    connection: Any = await asyncpg.connect(os.environ["SUPERUSER_URL"])
    # What is copied refers to what is copied: foreign keys need no look-ups.
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(COPIED_ID.format(now_ms=int(time.time() * 1000)))
    # A day between two turns: nobody's comes in the middle of the measurement.
    await connection.execute("UPDATE tenants SET sync_interval_minutes = 1440, next_sync_at = NULL WHERE id = $1", tenant_id)
    await connection.execute("DELETE FROM sync_runs WHERE status = 'queued'")
    statements = [await _copying(connection, table) for table in COPIES]
    for start in range(0, len(tenants), PER_STATEMENT):
        some = tenants[start : start + PER_STATEMENT]
        sealed = [get_vault().seal(Secret(seller_token(products)), tenant_id=one, purpose=Marketplace.WILDBERRIES) for one in some]
        async with connection.transaction():
            for statement in statements:
                await connection.execute(statement, tenant_id, some, list(range(start, start + len(some))), sealed)
    await connection.execute("DROP FUNCTION copied")
    # A service of this size was analysed long ago, and nothing is to be cleaned up while it is measured.
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def _copying(connection: Any, table: str) -> str:
    """The rows of `table` of tenant $1 for each of the tenants $2 with their numbers $3 and sealed keys $4."""
    columns = [
        row[0]
        for row in await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER'",
            table,
        )
    ]
    values = ", ".join(COPIES[table].get(column, f'original."{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    return f"""
        INSERT INTO {table} ({names})
        SELECT {values}
          FROM unnest($2::uuid[], $3::bigint[], $4::text[]) AS copy (id, number, sealed)
          CROSS JOIN {table} AS original
         WHERE {ONLY.get(table, "original.tenant_id = $1")}
         ORDER BY copy.number
    """


async def _main(settings: Settings, count: int, products: int) -> None:
    template, tenants = new_id(), [new_id() for _ in range(count)]
    await _first_sync(settings, template, products)
    await _copy(template, tenants, products)
    sys.stdout.buffer.write(msgspec.json.encode(tenants) + b"\n")


if __name__ == "__main__":
    configure_logs(get_settings())
    uvloop.run(_main(get_settings(), int(sys.argv[1]), int(sys.argv[2])))
