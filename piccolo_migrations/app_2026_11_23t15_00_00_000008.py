"""What is looked for among the runs that have ended: news that nobody was told of, and dead letters."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T15:00:00:000008"
VERSION = "1.38.0"
DESCRIPTION = "untold runs, dead letters"

# Until now a run kept what had been told of it.
TOLD = "UPDATE sync_runs SET notices = NULL WHERE notices IS NOT NULL AND status NOT IN ('queued', 'running')"

INDEXES = (
    # The schedulers look each second; there is nearly never one.
    "CREATE INDEX sync_runs_untold ON sync_runs (id) WHERE status = 'cancelled' AND notices IS NOT NULL",
    # An operator looks for a handful in a month of all tenants' runs.
    "CREATE INDEX sync_runs_dead ON sync_runs (id) WHERE error_code = 'crashed'",
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="app", description=DESCRIPTION)

    async def up() -> None:
        # Row level security holds the owner too.
        for statement in ("SET LOCAL app.scope = 'system'", TOLD, *INDEXES):
            await engine_finder().run_ddl(statement)

    async def down() -> None:
        for statement in INDEXES:
            await engine_finder().run_ddl(f"DROP INDEX {statement.split(' ON ')[0].split()[-1]}")

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
