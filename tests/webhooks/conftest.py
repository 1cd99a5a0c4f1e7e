from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from app.settings import get_settings
from app.webhooks.destinations import DestinationPolicy
from app.webhooks.sender import Sender
from tests.factories import create_tenant
from tests.webhooks.bots import Bot, bot_of


@pytest.fixture
async def tenant(clean_database: str) -> UUID:
    return await create_tenant()


@pytest.fixture
async def bot(tenant: UUID) -> AsyncIterator[Bot]:
    """A bot that wants all events of the tenant."""
    async with bot_of(tenant) as bot:
        yield bot


@pytest.fixture
async def sender(clean_database: str) -> AsyncIterator[Sender]:
    sender = Sender(DestinationPolicy(get_settings().webhook_allowed_networks))
    yield sender
    await sender.close()
