"""The product's own client, which shares no code with the sandbox, finds exactly what the shop has."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import httpx
import pytest

from app.marketplaces.contract import Fulfilment
from app.marketplaces.errors import CredentialsRejected, MarketplaceDown, RateLimited, ReportNotReady, ScopeMissing, UnexpectedResponse
from app.marketplaces.exchange import make_http_client
from app.marketplaces.transport import Backoff, Transport
from app.marketplaces.wildberries.client import WildberriesClient, WildberriesHosts
from app.sandbox.tokens import Category, TokenType, issue_token
from app.sandbox.wildberries.gateway import HOSTS
from app.secret import Secret
from tests.sandbox.conftest import FROZEN_AT

pytestmark = pytest.mark.anyio

RECENT = timedelta(days=12)
"""Whatever became of an order that is no older is told by every method."""


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with make_http_client() as http:
        yield http


def client_for(http: httpx.AsyncClient, sandbox_url: str, token: str, client_secret: str | None = None) -> WildberriesClient:
    hosts = WildberriesHosts(**{host: f"{sandbox_url}/wildberries/{host}" for host in HOSTS})
    secret = Secret(client_secret) if client_secret else None
    return WildberriesClient(Secret(token), Transport(http, backoff=Backoff(base_s=0.001)), hosts, secret)


async def units(client: WildberriesClient, fulfilment: Fulfilment) -> int:
    """For sale in that kind of warehouse; a report that isn't ready is asked for once more, by its cursor."""
    quantity, cursor = 0, b""
    for patience in (1, 0):
        try:
            async for page in client.stock_pages(fulfilment, client.walk_sizes, cursor):
                cursor = page.cursor
                quantity += sum(row.quantity for row in page.items)
        except ReportNotReady:
            assert patience
            continue
        break
    return quantity


@pytest.mark.parametrize(
    ("token_type", "client_secret"), [("personal", None), ("service", None), ("base", None), ("base", "of the service")]
)
async def test_the_client_finds_with_every_type_of_token_what_the_shop_has(
    http: httpx.AsyncClient, sandbox_url: str, control: httpx.AsyncClient, token_type: TokenType, client_secret: str | None
) -> None:
    seller_id = uuid4()
    client = client_for(http, sandbox_url, issue_token(seller_id, products=700, token_type=token_type), client_secret)
    # A report that is made at once needs nobody to wait for it.
    await control.patch("", json={"report_s": 0})

    products = await client.fetch_products()
    prices = [price async for page in client.price_pages() for price in page.items]
    at_wildberries = await units(client, Fulfilment.MARKETPLACE_WAREHOUSE)
    at_home = await units(client, Fulfilment.SELLER_WAREHOUSE)
    orders = {order.external_id: order async for page in client.order_pages() for order in page.items}

    truth = (await control.get(f"/shops/{seller_id}", params={"order_days": RECENT.days})).json()
    assert len({product.external_id for product in products}) == len(products) == truth["products"] == 700
    assert sum(len(product.sizes) for product in products) == truth["sizes"]
    assert sum(price.price or 0 for price in prices) == truth["price_sum"]
    assert sum(price.discounted_price or 0 for price in prices) == Decimal(truth["discounted_price_sum"])
    assert (at_wildberries, at_home) == (truth["marketplace_quantity"], truth["seller_quantity"])
    recent = Counter(order.status for order in orders.values() if order.ordered_at >= FROZEN_AT - RECENT)
    expected = Counter(truth["orders"]["by_status"])
    # Wildberries doesn't say that an order is on its way.
    expected["created"] += expected.pop("delivering")
    assert recent == expected
    assert all(order.lines[0].quantity == 1 and order.currency == "RUB" for order in orders.values())


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
        ({"kind": "unavailable"}, MarketplaceDown),
        ({"kind": "cut"}, MarketplaceDown),
        ({"kind": "reset"}, MarketplaceDown),
        ({"kind": "truncated"}, MarketplaceDown),
        ({"kind": "html"}, UnexpectedResponse),
        ({"kind": "rate_limited_globally", "retry_s": 3582}, RateLimited),
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
