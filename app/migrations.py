"""Bringing the database to the tables' present form, and seeing whether it is there."""

import contextlib
import io

import asyncpg
from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.apps.migrations.commands.base import BaseMigrationManager
from piccolo.apps.migrations.commands.forwards import run_forwards
from piccolo.apps.migrations.commands.new import AutoMigrationManager
from piccolo.conf.apps import Finder

from app.database import Connection, database
from app.errors import StartRefused

# Any number will do, as long as it never changes: two versions that migrate at once must wait for each other.
MIGRATION_LOCK = 727001


async def migrate() -> list[str]:
    """Carry out what is missing, and give the ids of the migrations that were carried out.

    Any number of processes may call this at once: Piccolo takes no lock of its own, so we do.

    Raises:
        StartRefused: no connection, or a migration failed; the ones before it stay.
    """
    try:
        connection = await database.get_new_connection()
    except (OSError, asyncpg.PostgresError, ValueError) as error:
        raise StartRefused(f"DATABASE_URL: can't connect to the database: {str(error) or type(error).__name__}") from error
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        missing = await pending(connection)
        if missing:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints for its own command line
                result = await run_forwards("all")
            if not result.success:
                raise StartRefused(f"The migrations failed: {result.message}")
        return missing
    except (SystemExit, asyncpg.PostgresError) as error:
        raise StartRefused(f"The migrations failed: {error}") from error
    finally:
        await connection.close()


async def pending(connection: Connection) -> list[str]:
    """The ids of the migrations that the database has not seen, oldest first."""
    known = await _migrations()
    if await connection.fetchval("SELECT to_regclass('public.migration')") is None:
        return [migration.migration_id for migration in known]
    seen = {row["name"] for row in await connection.fetch("SELECT name FROM migration WHERE app_name = 'app'")}
    return [migration.migration_id for migration in known if migration.migration_id not in seen]


async def differences() -> list[str]:
    """What the tables in the code have that the migrations don't make, or the other way round: one line each."""
    with contextlib.redirect_stdout(io.StringIO()):
        statements = await AutoMigrationManager(auto_input="y").get_alter_statements(Finder().get_app_config("app"))
    return [line for group in statements for line in group.statements]


async def _migrations() -> list[MigrationManager]:
    return await BaseMigrationManager().get_migration_managers(app_config=Finder().get_app_config("app"))
