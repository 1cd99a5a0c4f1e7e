"""What Piccolo's tables can't say about the engine: the history of stock, by month; the order of changes; who may see a pause."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T08:00:00:000006"
VERSION = "1.38.0"
DESCRIPTION = "stock history, order of changes, pauses"

# A scalar subquery is evaluated once for a statement; the bare function would be called for each row.
SYSTEM = "(SELECT current_setting('app.scope', true)) = 'system'"
# After a transaction the setting is '' and not NULL, and ''::uuid is an error.
TENANT = "(SELECT NULLIF(current_setting('app.tenant_id', true), '')::uuid)"

# A row says what a product's stock became at that instant, and stays true until the next one. One partition per month, made and dropped by
# app.stocks.history; rows of a month that has none yet, after a leap of the clock say, wait in the last one.
HISTORY = (
    """
    CREATE TABLE stock_history (
        tenant_id uuid NOT NULL,
        product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
        changed_at timestamptz NOT NULL,
        marketplace_quantity integer NOT NULL,
        seller_quantity integer NOT NULL,
        PRIMARY KEY (product_id, changed_at)
    ) PARTITION BY RANGE (changed_at)
    """,
    "CREATE TABLE stock_history_other PARTITION OF stock_history DEFAULT",
)

INDEXES = (
    # What changed after a bot last asked.
    "CREATE INDEX products_changed ON products (tenant_id, updated_at, id)",
    # Whose key ends soon.
    "CREATE INDEX credentials_expiring ON credentials (expires_at) WHERE expires_at IS NOT NULL",
)

WALLS = (
    *(
        statement
        for table in ("stock_history", "stock_history_other", "sync_pauses")
        for statement in (f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY", f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    ),
    # A partition has no policy of its own: it is reached through its table, or not at all.
    f"CREATE POLICY stock_history_wall ON stock_history USING (tenant_id = {TENANT} OR {SYSTEM}) WITH CHECK (tenant_id = {TENANT} OR {SYSTEM})",
    # A tenant may know that it is held up, and changes nothing about it.
    f"CREATE POLICY sync_pauses_wall ON sync_pauses USING ({SYSTEM}) WITH CHECK ({SYSTEM})",
    f"CREATE POLICY sync_pauses_view ON sync_pauses FOR SELECT USING (tenant_id = {TENANT} OR tenant_id IS NULL)",
)

UNDO = (
    "DROP TABLE stock_history",
    "DROP POLICY sync_pauses_wall ON sync_pauses",
    "DROP POLICY sync_pauses_view ON sync_pauses",
    "ALTER TABLE sync_pauses NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE sync_pauses DISABLE ROW LEVEL SECURITY",
    *(f"DROP INDEX {statement.split(' ON ')[0].split()[-1]}" for statement in INDEXES),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="app", description=DESCRIPTION)

    async def up() -> None:
        for statement in (*HISTORY, *INDEXES, *WALLS):
            await engine_finder().run_ddl(statement)

    async def down() -> None:
        for statement in UNDO:
            await engine_finder().run_ddl(statement)

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
