"""Every exchange between the client and the sandbox is held against the official description, both halves of it."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest

from app.marketplaces.contract import Fulfilment, Page
from app.marketplaces.errors import MarketplaceError, RateLimited
from app.marketplaces.exchange import Answer, Call, make_http_client
from app.marketplaces.transport import Backoff, Transport
from app.marketplaces.wildberries.client import WildberriesClient
from app.marketplaces.wildberries.hosts import WildberriesHosts
from app.marketplaces.wildberries.methods import (
    CARDS_LIST,
    CARDS_TRASH,
    GOODS_PRICES,
    METHODS,
    ORDER_FEED,
    PING,
    REMAINS_CREATE,
    REMAINS_DOWNLOAD,
    REMAINS_STATUS,
    SELLER_WAREHOUSES,
    SUPPLIER_ORDERS,
    SUPPLIER_SALES,
    WAREHOUSE_STOCKS,
    WAREHOUSES,
    WB_WAREHOUSES,
    Method,
)
from app.sandbox.clock import Clock
from app.sandbox.main import Sandbox, create_sandbox, serve_in_thread
from app.sandbox.tokens import Category, TokenType, issue_token
from app.secret import Secret
from tests.contracts.specification import Specification
from tests.contracts.test_wildberries_client import specification_of

pytestmark = pytest.mark.anyio

CATALOGUE = (PING, CARDS_LIST, CARDS_TRASH, GOODS_PRICES)
REMAINS = (REMAINS_CREATE, REMAINS_STATUS, REMAINS_DOWNLOAD)
REFUSED = (PING, CARDS_LIST, GOODS_PRICES)

SELLER = UUID("7f6c2a10-5f0f-4a67-9b0e-3a2f6d1c9e55")
Result = TypeVar("Result")


class Witness(Transport):
    """Reads along, and holds what it reads to the description."""

    statuses: dict[str, set[int]]

    async def send(self, call: Call, read: Callable[[Answer], Result]) -> Result:
        url = urlsplit(call.url)
        path = "/" + url.path.split("/", 3)[3]

        def check_and_read(answer: Answer) -> Result:
            specification = specification_of(path)
            specification.check_request(call.method, path, query=dict(parse_qsl(url.query)), body=call.body)
            specification.check_response(call.method, path, answer.status, headers=answer.headers, body=whole(answer))
            self.statuses.setdefault(path, set()).add(answer.status)
            return read(answer)

        return await super().send(call, check_and_read)


def method_of(path: str) -> Method:
    return next(method for method in METHODS if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", method.path), path))


def whole(answer: Answer) -> bytes:
    if answer.file is None:
        return bytes(answer.body)
    body = answer.file.read()
    answer.file.seek(0)
    return body


async def walk(sandbox: Sandbox, pages: Callable[[bytes], AsyncIterator[Page[Any]]]) -> None:
    """To the end, whatever that is; what the client makes of a refusal is tested elsewhere, here only its form counts."""
    cursor = b""
    for _ in range(20):
        try:
            async for page in pages(cursor):
                cursor = page.cursor or cursor
        except RateLimited as error:
            sandbox.state.clock.advance(error.retry_after.total_seconds())
        except MarketplaceError:
            return
        else:
            return


@pytest.mark.parametrize(
    ("token_type", "products", "categories", "methods", "statuses"),
    [
        ("personal", 150, tuple(Category), {*CATALOGUE, WB_WAREHOUSES, SELLER_WAREHOUSES, ORDER_FEED}, {200}),
        ("service", 0, tuple(Category), {*CATALOGUE, WB_WAREHOUSES, SELLER_WAREHOUSES, ORDER_FEED}, {200, 204}),
        ("base", 10, tuple(Category), {*CATALOGUE, *REMAINS, WAREHOUSES, WAREHOUSE_STOCKS, ORDER_FEED}, {200, 429}),
        ("personal", 150, (Category.STATISTICS,), {*REFUSED, REMAINS_CREATE, WAREHOUSES, SUPPLIER_ORDERS, SUPPLIER_SALES}, {200, 401}),
        ("test", 10, tuple(Category), {*REFUSED, REMAINS_CREATE, WAREHOUSES, ORDER_FEED, SUPPLIER_ORDERS}, {401}),
    ],
    ids=["personal", "empty shop", "base", "statistics alone", "test"],
)
async def test_every_exchange_is_as_described(
    token_type: TokenType, products: int, categories: tuple[Category, ...], methods: set[Method], statuses: set[int]
) -> None:
    Specification.load("01-general.yaml")
    sandbox = create_sandbox(clock=Clock(datetime.now(UTC)))

    async def sleep(seconds: float) -> None:
        sandbox.state.clock.advance(seconds)

    with serve_in_thread(sandbox) as url:
        async with make_http_client() as http:
            hosts = WildberriesHosts(**{host: f"{url}/wildberries/{host}" for host in WildberriesHosts.__struct_fields__})
            key = Secret(issue_token(SELLER, products=products, token_type=token_type, categories=categories))
            witness = Witness(http, backoff=Backoff(0, 0), sleep=sleep)
            witness.statuses = {}
            client = WildberriesClient(key, witness, hosts)
            with_sizes = [lambda after, kind=kind: client.stock_pages(kind, client.walk_sizes, after) for kind in Fulfilment]
            with suppress(MarketplaceError):
                await client.verify()
            for pages in (client.product_pages, client.price_pages, *with_sizes, client.order_pages):
                await walk(sandbox, pages)

    assert set[int]().union(*witness.statuses.values()) == statuses
    assert {method_of(path) for path in witness.statuses} == methods


async def test_a_refusal_for_haste_is_as_described() -> None:
    Specification.load("11-analytics.yaml")
    sandbox = create_sandbox(clock=Clock(datetime.now(UTC)))

    async def sleep(seconds: float) -> None:
        sandbox.state.clock.advance(seconds)

    with serve_in_thread(sandbox) as url:
        async with make_http_client() as http:
            witness = Witness(http, backoff=Backoff(0, 0), sleep=sleep)
            witness.statuses = {}
            hosts = WildberriesHosts(content=f"{url}/wildberries/content")
            products = await WildberriesClient(Secret(issue_token(SELLER, products=700)), witness, hosts).fetch_products()

    assert len(products) == 700
    assert set[int]().union(*witness.statuses.values()) == {200, 429}
