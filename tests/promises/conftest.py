"""The promises of the sync engine's design, in the order of the document: one file per section, one test per promise."""

import pytest

# Loaded before what is below, whose conditions are to be explained like a test's own.
pytest.register_assert_rewrite("tests.sync.faults.seller")

from tests.application import client, other_shop, redis, sandbox, sandbox_url, settings, shop  # noqa: E402 - see above
from tests.scripted_shop import play_shop  # noqa: E402

__all__ = ["client", "other_shop", "play_shop", "redis", "sandbox", "sandbox_url", "settings", "shop"]
