"""Which tables exist, and where their migrations live."""

from pathlib import Path

from piccolo.conf.apps import AppConfig, table_finder

import piccolo_migrations

SUBJECTS_WITH_TABLES = (
    "tenants",
    "auth",
    "credentials",
    "audit",
    "idempotency",
    "events",
    "runs",
    "products",
    "stocks",
    "orders",
    "webhooks",
)

APP_CONFIG = AppConfig(
    app_name="app",
    migrations_folder_path=str(Path(piccolo_migrations.__file__).parent),
    table_classes=table_finder([f"app.{subject}.tables" for subject in SUBJECTS_WITH_TABLES], exclude_imported=True),
    migration_dependencies=[],
)
