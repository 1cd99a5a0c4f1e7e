"""Clients of small applications."""

from typing import Any

import httpx
import pytest
from litestar.types import ControllerRouterHandler

from tests.api.application import ClientFor, make_app


@pytest.fixture
def client_for() -> ClientFor:
    """A client of an application that has just these handlers."""

    def client(*handlers: ControllerRouterHandler, base_url: str = "http://test", **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=make_app(handlers, **options)), base_url=base_url)

    return client
