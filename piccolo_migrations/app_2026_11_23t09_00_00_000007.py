"""What ten thousand tenants ask of PostgreSQL: rows that are updated in place, and a vacuum that comes before a million dead ones."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T09:00:00:000007"
VERSION = "1.38.0"
DESCRIPTION = "updates in place, early vacuum"

# A heartbeat moves `lease_until`. While an index names that, each one writes a new entry into all indexes of the row; running runs are few, so the sweep reads
# them all. https://www.postgresql.org/docs/current/storage-hot.html
INDEXES = ("DROP INDEX sync_runs_leased", "CREATE INDEX sync_runs_running ON sync_runs (id) WHERE status = 'running'")

# By default a table is vacuumed when a fifth of it is dead: of a month of runs that is a day and a half of updates. Earlier, the short indexes over what is
# queued stay short. Tables that only grow and are pruned at their old end are vacuumed as they grow, so that the pruning finds its pages.
# https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM
UPDATED = "autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.02"
GROWING = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05"
SMALL = "autovacuum_vacuum_scale_factor = 0.05"
VACUUM = {
    "sync_runs": UPDATED,
    "webhook_deliveries": UPDATED,
    "events": GROWING,
    "sync_logs": GROWING,
    "webhook_attempts": GROWING,
    "tenants": SMALL,
    "checkpoints": SMALL,
}

UP = (*INDEXES, *(f"ALTER TABLE {table} SET ({parameters})" for table, parameters in VACUUM.items()))
DOWN = (
    "DROP INDEX sync_runs_running",
    "CREATE INDEX sync_runs_leased ON sync_runs (lease_until) WHERE status = 'running'",
    *(
        f"ALTER TABLE {table} RESET ({', '.join(part.split(' = ')[0] for part in parameters.split(', '))})"
        for table, parameters in VACUUM.items()
    ),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="app", description=DESCRIPTION)

    async def up() -> None:
        for statement in UP:
            await engine_finder().run_ddl(statement)

    async def down() -> None:
        for statement in DOWN:
            await engine_finder().run_ddl(statement)

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
