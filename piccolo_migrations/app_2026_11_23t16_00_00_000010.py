"""The walls around what the identity of callers added, and the indexes that its questions need."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T16:00:00:000010"
VERSION = "1.38.0"
DESCRIPTION = "walls of identity"

# As in 000002.
SYSTEM = "(SELECT current_setting('app.scope', true)) = 'system'"
TENANT = "(SELECT NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
OF_TENANT = f"tenant_id = {TENANT} OR {SYSTEM}"

WALLS = {
    "service_links": f"USING ({OF_TENANT}) WITH CHECK ({OF_TENANT})",
    "credential_links": f"USING ({OF_TENANT}) WITH CHECK ({OF_TENANT})",
    "idempotent_requests": f"USING ({OF_TENANT}) WITH CHECK ({OF_TENANT})",
    "service_keys": f"USING ({SYSTEM}) WITH CHECK ({SYSTEM})",
    "web_app_sign_ins": f"USING ({SYSTEM}) WITH CHECK ({SYSTEM})",
}

# A tenant sees the names of the bots that may act for it, and changes none.
LINKED_KEYS = "CREATE POLICY service_keys_linked ON service_keys FOR SELECT USING (id IN (SELECT service_key_id FROM service_links))"

INDEXES = ("CREATE INDEX login_sessions_of_tenant ON login_sessions (tenant_id)",)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="app", description=DESCRIPTION)

    async def up() -> None:
        for table, rule in WALLS.items():
            await engine_finder().run_ddl(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            await engine_finder().run_ddl(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            await engine_finder().run_ddl(f"CREATE POLICY {table}_wall ON {table} {rule}")
        for statement in (LINKED_KEYS, *INDEXES):
            await engine_finder().run_ddl(statement)

    async def down() -> None:
        await engine_finder().run_ddl("DROP INDEX login_sessions_of_tenant")
        await engine_finder().run_ddl("DROP POLICY service_keys_linked ON service_keys")
        for table in WALLS:
            await engine_finder().run_ddl(f"DROP POLICY {table}_wall ON {table}")
            await engine_finder().run_ddl(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            await engine_finder().run_ddl(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
