"""The product's own client, which shares no code with the sandbox, finds exactly what the shop has."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest

from app.marketplaces.contract import Fulfilment
from app.marketplaces.errors import CredentialsRejected, MarketplaceDown, RateLimited, ScopeMissing, UnexpectedResponse
from app.marketplaces.exchange import make_http_client
from app.marketplaces.transport import Backoff, Transport
from app.marketplaces.wildberries.client import WildberriesClient, WildberriesHosts
from app.sandbox.tokens import Category, issue_token
from app.sandbox.wildberries.gateway import HOSTS
from app.secret import Secret

pytestmark = pytest.mark.anyio


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with make_http_client() as http:
        yield http


def client_for(http: httpx.AsyncClient, sandbox_url: str, token: str) -> WildberriesClient:
    hosts = WildberriesHosts(**{host: f"{sandbox_url}/wildberries/{host}" for host in HOSTS})
    return WildberriesClient(Secret(token), Transport(http, backoff=Backoff(base_s=0.001)), hosts)


async def test_the_client_finds_each_product_once_and_every_unit(
    http: httpx.AsyncClient, sandbox_url: str, control: httpx.AsyncClient
) -> None:
    seller_id = uuid4()
    client = client_for(http, sandbox_url, issue_token(seller_id, products=1500))

    products = await client.fetch_products()
    at_wildberries = [row async for page in client.stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE) for row in page.items]
    at_home = [row async for page in client.stock_pages(Fulfilment.SELLER_WAREHOUSE) for row in page.items]

    truth = (await control.get(f"/shops/{seller_id}")).json()
    assert len({product.external_id for product in products}) == len(products) == truth["products"] == 1500
    assert sum(len(product.sizes) for product in products) == truth["sizes"]
    assert sum(row.quantity for row in at_wildberries) == truth["marketplace_quantity"]
    assert sum(row.quantity for row in at_home) == truth["seller_quantity"]


async def test_the_client_reads_from_the_token_what_was_put_into_it(
    http: httpx.AsyncClient, sandbox_url: str, control: httpx.AsyncClient
) -> None:
    seller_id = uuid4()

    facts = await client_for(http, sandbox_url, issue_token(seller_id, categories=[Category.CONTENT])).verify()

    assert facts.seller_id == str(seller_id)
    assert facts.token_type == "personal"
    assert facts.read_only is True
    assert "products" in facts.scopes
    assert "stocks" in facts.missing_scopes


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "server_error"}, MarketplaceDown),
        ({"kind": "bad_gateway"}, MarketplaceDown),
        ({"kind": "disconnect"}, MarketplaceDown),
        ({"kind": "cut"}, MarketplaceDown),
        ({"kind": "rate_limited", "retry_s": 10299}, RateLimited),
        ({"kind": "unauthorized"}, CredentialsRejected),
        ({"kind": "undocumented"}, UnexpectedResponse),
    ],
)
async def test_the_client_calls_each_fault_by_its_name(
    http: httpx.AsyncClient, sandbox_url: str, control: httpx.AsyncClient, fault: dict[str, object], error: type[Exception]
) -> None:
    client = client_for(http, sandbox_url, issue_token(UUID(int=7)))
    await control.post("/faults", json={**fault, "times": 9})

    with pytest.raises(error):
        await client.fetch_products()


async def test_the_client_calls_a_missing_category_by_its_name(
    http: httpx.AsyncClient, sandbox_url: str, control: httpx.AsyncClient
) -> None:
    client = client_for(http, sandbox_url, issue_token(UUID(int=7), categories=[Category.ANALYTICS]))

    with pytest.raises(ScopeMissing):
        await client.fetch_products()
