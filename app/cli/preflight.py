"""What must hold before a process starts, so that it fails with one clear line and not in the middle of its work."""

from app.credentials.sealed import count_values_without_key
from app.database import database, system_scope
from app.errors import StartRefused
from app.migrations import pending
from app.settings import Settings


async def check_database(settings: Settings) -> None:
    """Open the database, look, and close it again.

    Raises:
        StartRefused: it can't be reached, it lacks migrations, or values are sealed with a master key that is not configured.
    """
    await database.open(settings.database_url, pool_size=2, production=settings.production)
    try:
        async with system_scope() as connection:
            missing = await pending(connection)
            if missing:
                raise StartRefused(f"The database lacks {len(missing)} migrations; run `stock-tracker migrate` first.")
            unreadable = await count_values_without_key(connection)
            if unreadable:
                raise StartRefused(
                    f"ENCRYPTION_MASTER_KEY: {unreadable} stored values were sealed with a key that is not configured; "
                    "add the former key behind the new one, separated by a comma."
                )
    finally:
        await database.close()
