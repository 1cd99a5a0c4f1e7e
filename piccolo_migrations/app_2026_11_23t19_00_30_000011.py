"""The index of tenants that are being erased: hardly ever there is a row in it, and a scheduler asks once a second."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T19:00:30:000011"
VERSION = "1.38.0"
DESCRIPTION = "index of erasures"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="app", description=DESCRIPTION)

    async def up() -> None:
        await engine_finder().run_ddl("CREATE INDEX tenants_erasing ON tenants (id) WHERE erasing_at IS NOT NULL")

    async def down() -> None:
        await engine_finder().run_ddl("DROP INDEX tenants_erasing")

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
