from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.column_types import Text

ID = "2026-11-23T19:10:00:000012"
VERSION = "1.38.0"
DESCRIPTION = "answers kept for a key"


async def forwards():
    manager = MigrationManager(
        migration_id=ID, app_name="app", description=DESCRIPTION
    )

    manager.drop_column(
        table_class_name="IdempotentRequest",
        tablename="idempotent_requests",
        column_name="location",
        db_column_name="location",
        schema=None,
    )

    manager.drop_column(
        table_class_name="IdempotentRequest",
        tablename="idempotent_requests",
        column_name="request_hash",
        db_column_name="request_hash",
        schema=None,
    )

    manager.alter_column(
        table_class_name="IdempotentRequest",
        tablename="idempotent_requests",
        column_name="answer_encrypted",
        db_column_name="answer_encrypted",
        params={"null": False},
        old_params={"null": True},
        column_class=Text,
        old_column_class=Text,
        schema=None,
    )

    return manager
