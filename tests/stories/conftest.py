import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.stories.product import Product


@pytest.fixture(scope="session")
def running_product() -> Iterator[Product]:
    """The whole product with servers of its own, or on the external ones, in a database of its own."""
    before = {name: os.environ.pop(name, None) for name in ("DATABASE_URL", "REDIS_URL")}
    external = {"DATABASE_URL": os.environ.get("TEST_DATABASE_URL"), "REDIS_URL": os.environ.get("TEST_REDIS_URL")}
    os.environ.update({name: value for name, value in external.items() if value})
    try:
        with tempfile.TemporaryDirectory(prefix="st-story-") as folder, Product(Path(folder)) as product:
            yield product
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


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
