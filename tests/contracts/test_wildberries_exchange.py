"""Every exchange between the client and the sandbox is held against the official description, both halves of it."""

from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest

from app.marketplaces.errors import MarketplaceError
from app.marketplaces.exchange import make_http_client
from app.marketplaces.transport import Backoff, Transport
from app.marketplaces.wildberries.client import WildberriesClient, WildberriesHosts
from app.sandbox.clock import Clock
from app.sandbox.main import create_sandbox, serve_in_thread
from app.sandbox.tokens import TokenType, issue_token
from app.secret import Secret
from tests.contracts.specification import Specification

pytestmark = pytest.mark.anyio

SELLER = UUID("7f6c2a10-5f0f-4a67-9b0e-3a2f6d1c9e55")
FILE_OF = {"/ping": "01-general.yaml", "/content/": "02-items.yaml", "/api/analytics/": "11-analytics.yaml"}


class Witness:
    """Reads along on the connections of an HTTP client."""

    def __init__(self) -> None:
        self.statuses: list[int] = []

    async def __call__(self, response: httpx.Response) -> None:
        request = response.request
        body = await response.aread()
        path = "/" + request.url.path.split("/", 3)[3]
        specification = Specification.load(next(file for start, file in FILE_OF.items() if path.startswith(start)))
        specification.check_request(request.method, path, query=dict(request.url.params), body=request.content)
        specification.check_response(request.method, path, response.status_code, headers=response.headers, body=body)
        self.statuses.append(response.status_code)


@pytest.mark.parametrize(
    ("token_type", "products", "expected"),
    [("personal", 150, {200}), ("service", 0, {200, 204}), ("base", 10, {200, 403}), ("test", 10, {401})],
)
async def test_every_exchange_is_as_described(token_type: TokenType, products: int, expected: set[int]) -> None:
    Specification.load("01-general.yaml")
    witness = Witness()
    sandbox = create_sandbox(clock=Clock(datetime.now(UTC)))
    with serve_in_thread(sandbox) as url:
        async with make_http_client() as http:
            http.event_hooks = {"response": [witness]}
            hosts = WildberriesHosts(**{host: f"{url}/wildberries/{host}" for host in WildberriesHosts.__struct_fields__})
            key = Secret(issue_token(SELLER, products=products, token_type=token_type))
            client = WildberriesClient(key, Transport(http, backoff=Backoff(0, 0)), hosts)
            for ask in (client.verify, client.fetch_products, client.fetch_stocks):
                # What the client makes of a refusal is tested elsewhere; here only its form counts.
                with suppress(MarketplaceError):
                    await ask()

    assert set(witness.statuses) == expected
    assert len(witness.statuses) >= 3


async def test_a_refusal_for_haste_is_as_described() -> None:
    Specification.load("11-analytics.yaml")
    witness = Witness()
    sandbox = create_sandbox(clock=Clock(datetime.now(UTC)))

    async def sleep(seconds: float) -> None:
        sandbox.state.clock.advance(seconds)

    with serve_in_thread(sandbox) as url:
        async with make_http_client() as http:
            http.event_hooks = {"response": [witness]}
            client = WildberriesClient(
                Secret(issue_token(SELLER, products=700)),
                Transport(http, backoff=Backoff(0, 0), sleep=sleep),
                WildberriesHosts(content=f"{url}/wildberries/content"),
            )
            products = await client.fetch_products()

    assert len(products) == 700
    assert set(witness.statuses) == {200, 429}
