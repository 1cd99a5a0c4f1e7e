"""The audit log can't be emptied at one stroke either: TRUNCATE fires no trigger of rows."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T20:00:00:000013"
VERSION = "1.38.0"
DESCRIPTION = "no truncated log"

DO = (
    """
    CREATE FUNCTION audit_log_is_not_emptied() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'audit_log is never emptied';
    END
    $$
    """,
    "CREATE TRIGGER audit_log_is_not_emptied BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_not_emptied()",
)

UNDO = ("DROP TRIGGER audit_log_is_not_emptied ON audit_log", "DROP FUNCTION audit_log_is_not_emptied()")


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="app", description=DESCRIPTION)

    async def up() -> None:
        for statement in DO:
            await engine_finder().run_ddl(statement)

    async def down() -> None:
        for statement in UNDO:
            await engine_finder().run_ddl(statement)

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
