"""One sandbox behind a real socket for all of these tests, as new before each.

Whatever the sandbox answers to the client of the fixture `wb` is held against the official description (where it lies beside the
repository) and against the models of `wildberries-sdk`: an answer that departs from them fails the test that met it.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest

from app.sandbox.main import serve_in_thread
from app.sandbox.tokens import issue_token
from tests.sandbox.conformance import check_answer

# All clients here say verify=False: there is no TLS, and reading the authorities' certificates takes longer than most of these tests.
FROZEN_AT = datetime(2026, 11, 22, 11, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    with serve_in_thread() as url:
        yield url


@pytest.fixture
async def control(sandbox_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the controls; the sandbox is as new, without limits, and its clock stands still."""
    async with httpx.AsyncClient(base_url=f"{sandbox_url}/sandbox", verify=False) as client:
        await client.delete("")
        await client.patch("", json={"limits": False})
        await client.post("/clock", json={"freeze_at": FROZEN_AT.isoformat()})
        yield client


@pytest.fixture
def seller_id() -> UUID:
    """Always the same, so that the shop is."""
    return UUID("7f6c2a10-5f0f-4a67-9b0e-3a2f6d1c9e55")


@pytest.fixture
async def wb(sandbox_url: str, control: httpx.AsyncClient, seller_id: UUID) -> AsyncIterator[httpx.AsyncClient]:
    """A seller's client with a token for everything, whose shop will have 25 products. Every answer is checked."""
    async with httpx.AsyncClient(
        base_url=f"{sandbox_url}/wildberries",
        headers={"Authorization": issue_token(seller_id)},
        verify=False,
        event_hooks={"response": [check_answer]},
    ) as client:
        yield client


@pytest.fixture
async def unchecked(sandbox_url: str, control: httpx.AsyncClient, seller_id: UUID) -> AsyncIterator[httpx.AsyncClient]:
    """The same for answers that no description allows."""
    async with httpx.AsyncClient(
        base_url=f"{sandbox_url}/wildberries", headers={"Authorization": issue_token(seller_id)}, verify=False
    ) as client:
        yield client
