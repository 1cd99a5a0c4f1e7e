from collections.abc import AsyncIterator

import pytest

from app.settings import Settings
from app.webhooks.sender import close_sender, open_sender
from tests.application import client, other_shop, redis, sandbox, sandbox_url, settings, shop
from tests.cli.conftest import environment

__all__ = ["client", "environment", "other_shop", "redis", "sandbox", "sandbox_url", "settings", "shop"]


@pytest.fixture
async def sender(settings: Settings) -> AsyncIterator[None]:
    open_sender(settings)
    yield
    await close_sender()
