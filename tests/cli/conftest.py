import os

import pytest

from tests.application import sandbox_url

__all__ = ["sandbox_url"]


@pytest.fixture
def environment(migrated_url: str, redis_url: str) -> dict[str, str]:
    """What a process is told that works with the tests' servers, and nothing of a developer's own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "ENCRYPTION_MASTER_KEY", "JWT_SECRET") if name in os.environ}
    return kept | {"DATABASE_URL": migrated_url, "REDIS_URL": redis_url, "LOG_LEVEL": "info", "LOG_FORMAT": "json"}
