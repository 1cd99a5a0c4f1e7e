"""Who may see a user: looked up by the user, where all memberships of the installation were gathered for each statement."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T20:10:00:000014"
VERSION = "1.38.0"
DESCRIPTION = "users' wall by index"

SYSTEM = "(SELECT current_setting('app.scope', true)) = 'system'"
TENANT = "(SELECT NULLIF(current_setting('app.tenant_id', true), '')::uuid)"

BEFORE = f"{SYSTEM} OR id IN (SELECT user_id FROM memberships)"
AFTER = f"{SYSTEM} OR EXISTS (SELECT FROM memberships WHERE memberships.tenant_id = {TENANT} AND memberships.user_id = users.id)"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="app", description=DESCRIPTION)

    async def up() -> None:
        await engine_finder().run_ddl(f"ALTER POLICY users_wall ON users USING ({AFTER}) WITH CHECK ({AFTER})")

    async def down() -> None:
        await engine_finder().run_ddl(f"ALTER POLICY users_wall ON users USING ({BEFORE}) WITH CHECK ({BEFORE})")

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
