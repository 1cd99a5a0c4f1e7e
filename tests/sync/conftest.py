import pytest

from tests.application import client, other_shop, redis, sandbox, sandbox_url, settings, shop

__all__ = ["client", "other_shop", "redis", "sandbox", "sandbox_url", "settings", "shop"]

# Loaded before what is below, whose conditions are to be explained like a test's own.
pytest.register_assert_rewrite("tests.sync.faults.matrix", "tests.sync.faults.seller")
