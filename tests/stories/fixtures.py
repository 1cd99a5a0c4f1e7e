"""The whole product, for tests that use it as its users do."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from tests.stories.product import Product


@pytest.fixture(scope="session")
def product_environment() -> Iterator[dict[str, str]]:
    """What the product is told: nothing of the tests' own servers, or a database of its own on the external ones."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL", "LOG_LEVEL")}
    external = os.environ.get("TEST_DATABASE_URL")
    if not external:
        yield environment
        return
    name = f"stock_tracker_stories_{os.getpid()}"

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(external)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(execute(f"CREATE DATABASE {name}"))
    environment["DATABASE_URL"] = urlunsplit(urlsplit(external)._replace(path=f"/{name}"))
    if "TEST_REDIS_URL" in os.environ:
        environment["REDIS_URL"] = os.environ["TEST_REDIS_URL"]
    yield environment
    asyncio.run(execute(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def running_product(product_environment: dict[str, str]) -> Iterator[Product]:
    """The whole product, for all stories."""
    with tempfile.TemporaryDirectory(prefix="st-story-") as folder, Product(Path(folder), product_environment) as product:
        yield product


@pytest.fixture
def product(running_product: Product) -> Product:
    running_product.ensure_worker()
    # A report may be asked for once in 20 s: that is tested where it matters.
    running_product.sandbox("PATCH", delay_ms=0, limits=False)
    running_product.sandbox("DELETE", "/faults")
    return running_product


@pytest.fixture
async def rows(running_product: Product):
    """Look into the product's database, past its walls: `await rows("SELECT …", …)`."""
    connection = await asyncpg.connect(running_product.environment["DATABASE_URL"])

    async def fetch(statement: str, *arguments: object) -> list[asyncpg.Record]:
        async with connection.transaction():
            await connection.execute("SET LOCAL app.scope = 'system'")
            return await connection.fetch(statement, *arguments)

    yield fetch
    await connection.close()
