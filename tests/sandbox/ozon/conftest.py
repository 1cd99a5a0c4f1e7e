"""A seller at the sandbox's Ozon. All answers to `ozon` are held against the official description and published models."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.sandbox.ozon.keys import issue_ozon_key
from tests.sandbox.ozon.conformance import check_answer

CLIENT_ID = 123456
KEY = {"Client-Id": str(CLIENT_ID), "Api-Key": issue_ozon_key(CLIENT_ID)}


@pytest.fixture
async def ozon(sandbox_url: str, control: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """With a key for everything, and a shop of 25 cards; nothing is limited and the clock stands still."""
    async with httpx.AsyncClient(
        base_url=f"{sandbox_url}/ozon", headers=KEY, verify=False, event_hooks={"response": [check_answer]}
    ) as client:
        yield client


@pytest.fixture
async def unchecked(sandbox_url: str, control: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """The same for answers that no description allows."""
    async with httpx.AsyncClient(base_url=f"{sandbox_url}/ozon", headers=KEY, verify=False) as client:
        yield client


@pytest.fixture
async def shop(control: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """The controls of the seller's shop."""
    async with httpx.AsyncClient(base_url=f"{control.base_url}ozon/shops/{CLIENT_ID}", verify=False) as client:
        yield client


@pytest.fixture
def truth(shop: httpx.AsyncClient) -> Any:
    """Asks for the shop's totals."""

    async def ask(order_days: int = 30) -> dict[str, Any]:
        return (await shop.get("", params={"order_days": order_days})).json()

    return ask
