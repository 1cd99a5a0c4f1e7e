"""What Piccolo's tables can't say about orders: their indexes, and the walls between tenants."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T04:00:00:000004"
VERSION = "1.38.0"
DESCRIPTION = "indexes and row level security of orders"

INDEXES = (
    # A request lists the newest first; the id breaks ties.
    "CREATE INDEX orders_of_tenant ON orders (tenant_id, ordered_at DESC, id DESC)",
    "CREATE INDEX order_lines_of_order ON order_lines (order_id)",
    "CREATE INDEX order_lines_of_product ON order_lines (product_id)",
    # Lines whose product was not known yet when they were stored, to be looked at again.
    "CREATE INDEX order_lines_without_product ON order_lines (tenant_id) WHERE product_id IS NULL",
    # Who else has a key of the same account.
    "CREATE INDEX credentials_of_seller ON credentials (provider, seller_id)",
)

# A scalar subquery is evaluated once for a statement; the bare function would be called for each row.
SYSTEM = "(SELECT current_setting('app.scope', true)) = 'system'"
# After a transaction the setting is '' and not NULL, and ''::uuid is an error.
TENANT = "(SELECT NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
OWNED = ("orders", "order_lines")

WALLS = tuple(
    statement
    for table in OWNED
    for statement in (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY {table}_wall ON {table} USING (tenant_id = {TENANT} OR {SYSTEM}) WITH CHECK (tenant_id = {TENANT} OR {SYSTEM})",
    )
)

UNDO = (
    *(
        statement
        for table in OWNED
        for statement in (
            f"DROP POLICY {table}_wall ON {table}",
            f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        )
    ),
    *(f"DROP INDEX {statement.split(' ON ')[0].split()[-1]}" for statement in INDEXES),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="app", description=DESCRIPTION)

    async def up() -> None:
        for statement in (*INDEXES, *WALLS):
            await engine_finder().run_ddl(statement)

    async def down() -> None:
        for statement in UNDO:
            await engine_finder().run_ddl(statement)

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
