"""What Piccolo's tables can't say: composite and partial indexes, the walls between tenants, and the audit log that only grows."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T01:00:00:000002"
VERSION = "1.38.0"
DESCRIPTION = "indexes and row level security"

INDEXES = (
    # A request lists the newest, or walks by id; a UUID of version 7 sorts by time.
    "CREATE INDEX products_of_tenant ON products (tenant_id, id)",
    "CREATE INDEX sync_runs_of_tenant ON sync_runs (tenant_id, id DESC)",
    "CREATE INDEX sync_logs_of_tenant ON sync_logs (tenant_id, id DESC)",
    "CREATE INDEX sync_logs_of_run ON sync_logs (run_id)",
    "CREATE INDEX audit_log_of_tenant ON audit_log (tenant_id, id DESC)",
    "CREATE INDEX webhook_deliveries_of_endpoint ON webhook_deliveries (endpoint_id, id DESC)",
    # One active run per account: asking again joins it.
    "CREATE UNIQUE INDEX sync_runs_one_active ON sync_runs (tenant_id, marketplace) WHERE status IN ('queued', 'running')",
    # What the workers and the scheduler look for, and nothing else.
    "CREATE INDEX sync_runs_queued ON sync_runs (priority, not_before) WHERE status = 'queued'",
    "CREATE INDEX sync_runs_leased ON sync_runs (lease_until) WHERE status = 'running'",
    "CREATE INDEX tenants_due ON tenants (next_sync_at) WHERE sync_enabled",
    "CREATE INDEX events_not_dispatched ON events (id) WHERE dispatched_at IS NULL",
    "CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_attempt_at) WHERE status = 'pending'",
    "CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (endpoint_id, next_attempt_at) WHERE status = 'pending'",
)

# Room on each page, so that the frequent updates of these rows stay on it and touch no index.
ROOM = tuple(f"ALTER TABLE {table} SET (fillfactor = 70)" for table in ("sync_runs", "checkpoints", "tenants", "webhook_deliveries"))

# A scalar subquery is evaluated once for a statement; the bare function would be called for each row.
SYSTEM = "(SELECT current_setting('app.scope', true)) = 'system'"
# After a transaction the setting is '' and not NULL, and ''::uuid is an error.
TENANT = "(SELECT NULLIF(current_setting('app.tenant_id', true), '')::uuid)"

OWNED = (
    "memberships",
    "login_sessions",
    "credentials",
    "products",
    "stocks",
    "sync_runs",
    "sync_logs",
    "checkpoints",
    "sightings",
    "events",
    "webhook_endpoints",
    "webhook_deliveries",
    "webhook_attempts",
    "audit_log",
)

WALLS = tuple(
    statement
    for table, rule in (
        *((table, f"tenant_id = {TENANT} OR {SYSTEM}") for table in OWNED),
        ("tenants", f"id = {TENANT} OR {SYSTEM}"),
        ("users", f"{SYSTEM} OR id IN (SELECT user_id FROM memberships)"),
    )
    for statement in (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY {table}_wall ON {table} USING ({rule}) WITH CHECK ({rule})",
    )
)

AUDIT_ONLY_GROWS = (
    """
    CREATE FUNCTION audit_log_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        -- Erasing a tenant takes its log along; that is the cascade of the tenant's row, one trigger deep.
        IF TG_OP = 'DELETE' AND pg_trigger_depth() > 1 THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'audit_log rows are never changed or removed';
    END
    $$
    """,
    "CREATE TRIGGER audit_log_only_grows BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_log_only_grows()",
)

UNDO = (
    "DROP TRIGGER audit_log_only_grows ON audit_log",
    "DROP FUNCTION audit_log_only_grows()",
    *(
        statement
        for table in (*OWNED, "users", "tenants")
        for statement in (
            f"DROP POLICY {table}_wall ON {table}",
            f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        )
    ),
    *(f"DROP INDEX {statement.split(' ON ')[0].split()[-1]}" for statement in INDEXES),
    *(statement.split(" SET ")[0] + " RESET (fillfactor)" for statement in ROOM),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="app", description=DESCRIPTION)

    async def up() -> None:
        for statement in (*INDEXES, *ROOM, *WALLS, *AUDIT_ONLY_GROWS):
            await engine_finder().run_ddl(statement)

    async def down() -> None:
        for statement in UNDO:
            await engine_finder().run_ddl(statement)

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
