"""Real servers for all tests: embedded ones, or those that TEST_DATABASE_URL and TEST_REDIS_URL name.

One database is migrated and kept as a template; each test process works in a clone of it, as the application's own ordinary role, with real
commits. After each test that touched it the tenants, users and service keys are deleted, and all else goes with them.
"""

import asyncio
import os
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from app.database import database, system_scope
from app.embedded.postgres import Postgres
from app.embedded.redis import Redis
from app.jobs import broker
from app.migrations import migrate
from app.secret import Secret
from app.settings import get_settings, new_master_key
from tests.stories.fixtures import product, product_environment, rows, running_product

# One running product for the stories, the commands and the example bots.
__all__ = ["product", "product_environment", "rows", "running_product"]

# A shell starts what runs in its background with SIGINT ignored, and children inherit that; the tests interrupt some.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Set before anything reads the settings: a test must never find a developer's own.
os.environ.update(
    APP_ENV="development",
    ENCRYPTION_MASTER_KEY=new_master_key(),
    JWT_SECRET=secrets.token_urlsafe(48),
    WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
    # What a test looks for in the log must not be filtered by an application that another test made.
    LOG_LEVEL="debug",
    # A report may be asked for once a minute: that is tested where it matters.
    MARKETPLACE_LIMITS_ENABLED="false",
    # Nor are requests counted, but where that is what is tested.
    RATE_LIMIT_TENANT_PER_MINUTE="0",
    RATE_LIMIT_GLOBAL_PER_MINUTE="0",
    RATE_LIMIT_AUTH_PER_MINUTE="0",
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Session scope: one event loop for all tests, since the pool belongs to a loop."""
    return "asyncio"


@pytest.fixture(scope="session")
def embedded_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The server of this test session. In a short path of its own, since pytest's own folder may be closed to the server's account."""
    with tempfile.TemporaryDirectory(prefix="st-test-") as folder:
        server = Postgres(Path(folder) / "postgres", durable=False)
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> str:
    """A server on which the role of the URL may create databases."""
    return os.environ.get("TEST_DATABASE_URL") or request.getfixturevalue("embedded_postgres").url


@pytest.fixture
def postgres_superuser_url(request: pytest.FixtureRequest) -> str:
    """A role that no wall holds. An external server has none to lend."""
    if os.environ.get("TEST_DATABASE_URL"):
        pytest.skip("TEST_DATABASE_URL names an ordinary role")
    return request.getfixturevalue("embedded_postgres").superuser_dsn


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis-compatible server; an external one is used as it is, so name an empty one."""
    external = os.environ.get("TEST_REDIS_URL")
    if external:
        yield external
        return
    with Redis(tmp_path_factory.mktemp("servers") / "redis") as url:
        yield url


@pytest.fixture(scope="session")
def migrated_url(postgres_url: str) -> Iterator[str]:
    """A database of this test process with all migrations carried out, and nothing in it."""
    name = f"stock_tracker_test_{os.getpid()}"
    url = urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))

    async def create() -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        database.configure(Secret(url))
        await migrate()

    async def drop() -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()

    asyncio.run(create())
    yield url
    asyncio.run(drop())


@pytest.fixture(scope="session")
async def open_database(migrated_url: str, redis_url: str, anyio_backend: str) -> AsyncIterator[str]:
    """The application's own pool, in the tests' loop, and settings that name the servers."""
    os.environ.update(DATABASE_URL=migrated_url, REDIS_URL=redis_url)
    get_settings.cache_clear()
    await database.open(Secret(migrated_url), pool_size=10, production=False)
    yield migrated_url
    await database.close()


@pytest.fixture
async def clean_database(open_database: str, redis_url: str) -> AsyncIterator[str]:
    """The open database, and a broker to ring with; what the test leaves in the database is deleted."""
    broker.connect_to(redis_url)
    yield open_database
    await broker.shutdown()
    async with system_scope() as connection:
        await connection.execute("DELETE FROM tenants")
        await connection.execute("DELETE FROM users")
        await connection.execute("DELETE FROM service_keys")
        await connection.execute("DELETE FROM web_app_sign_ins")
        await connection.execute("DELETE FROM sync_pauses")
        # Entries of no tenant, which triggers keep from being deleted.
        if await connection.fetchval("SELECT EXISTS (SELECT FROM audit_log)"):
            await connection.execute(
                "ALTER TABLE audit_log DISABLE TRIGGER USER; TRUNCATE audit_log; ALTER TABLE audit_log ENABLE TRIGGER USER"
            )


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"
