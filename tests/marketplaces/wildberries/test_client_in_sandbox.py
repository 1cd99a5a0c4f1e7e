"""The client and the sandbox, each written from the documentation alone, understand each other."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest

from app.marketplaces.contract import FetchedOrder, Fulfilment, Page
from app.marketplaces.errors import CredentialsRejected, MarketplaceError, MethodGone, RateLimited, ScopeMissing, UnexpectedResponse
from app.marketplaces.transport import Backoff, Transport
from app.marketplaces.wildberries import cards as cards_module
from app.marketplaces.wildberries import client as client_module
from app.marketplaces.wildberries import statistics as statistics_module
from app.marketplaces.wildberries.client import WildberriesClient
from app.marketplaces.wildberries.hosts import WildberriesHosts
from app.marketplaces.wildberries.methods import CARDS_LIST, SUPPLIER_ORDERS, SUPPLIER_SALES, WB_WAREHOUSES
from app.sandbox.clock import Clock
from app.sandbox.faults import Fault
from app.sandbox.main import Sandbox, create_sandbox, serve_in_thread
from app.sandbox.tokens import Category, issue_token
from app.secret import Secret
from tests.marketplaces.wildberries.asking import all_items, all_pages, nobody_asks

pytestmark = pytest.mark.anyio

SELLER = UUID("7f6c2a10-5f0f-4a67-9b0e-3a2f6d1c9e55")
PRODUCTS = 250

MakeClient = Callable[..., WildberriesClient]


@pytest.fixture
def sandbox() -> Sandbox:
    return create_sandbox(clock=Clock(datetime.now(UTC)))


@pytest.fixture
def url(sandbox: Sandbox) -> Iterator[str]:
    with serve_in_thread(sandbox) as url:
        yield url


@pytest.fixture
def make_client(sandbox: Sandbox, url: str, http: aiohttp.ClientSession) -> MakeClient:
    """A client that sleeps by moving the sandbox's clock."""

    async def sleep(seconds: float) -> None:
        sandbox.state.clock.advance(seconds)

    def make(*, secret: Secret | None = None, **claims: Any) -> WildberriesClient:
        hosts = WildberriesHosts(**{host: f"{url}/wildberries/{host}" for host in WildberriesHosts.__struct_fields__})
        key = Secret(issue_token(SELLER, products=PRODUCTS, **claims))
        return WildberriesClient(key, Transport(http, backoff=Backoff(0, 0), sleep=sleep), hosts, secret)

    return make


async def patiently(sandbox: Sandbox, walk: Callable[[bytes], AsyncIterator[Page[Any]]]) -> list[Any]:
    """All items of a walk that is put back whenever Wildberries asks for it."""
    items: list[Any] = []
    cursor = b""
    for _ in range(100):
        try:
            async for page in walk(cursor):
                items += page.items
                cursor = page.cursor or cursor
        except RateLimited as error:
            sandbox.state.clock.advance(error.retry_after.total_seconds())
        else:
            return items
    raise AssertionError("It never came to an end.")


async def test_a_whole_shop_arrives_each_product_once(sandbox: Sandbox, make_client: MakeClient) -> None:
    client = make_client()

    facts = await client.verify()
    pages = await all_pages(client.product_pages())

    products = [product for page in pages for product in page.items]
    sizes = [size.id for product in products for size in product.sizes]
    truth = sandbox.state.shop(SELLER).totals(sandbox.state.clock.now())
    assert facts.seller_id == str(SELLER)
    assert facts.token_type == "personal"
    assert facts.missing_scopes == ()
    assert [len(page.items) for page in pages] == [100, 100, 50]
    assert all(page.rejected == () for page in pages)
    assert len({product.external_id for product in products}) == truth.products == PRODUCTS
    assert len(set(sizes)) == len(sizes) == truth.sizes
    assert all(product.title and product.article and product.brand and product.category for product in products)


async def test_the_stock_adds_up_to_the_truth(sandbox: Sandbox, make_client: MakeClient) -> None:
    client = make_client()
    known = {(product.external_id, size.id) for product in await client.fetch_products() for size in product.sizes}

    at_wildberries, at_home = [
        [stock for page in await all_pages(client.stock_pages(fulfilment, nobody_asks)) for stock in page.items]
        for fulfilment in Fulfilment
    ]

    truth = sandbox.state.shop(SELLER).totals(sandbox.state.clock.now())
    assert sum(stock.quantity for stock in at_wildberries) == truth.marketplace_quantity > 0
    assert sum(stock.quantity for stock in at_home) == truth.seller_quantity > 0
    assert {(stock.product_external_id, stock.size_id) for stock in at_wildberries + at_home} <= known
    assert {(stock.warehouse_id, stock.warehouse) for stock in at_wildberries} == {("-999999", "Склад WB")}


async def test_a_named_warehouse_is_taken_as_it_comes(sandbox: Sandbox, make_client: MakeClient) -> None:
    client = make_client()
    hidden = await all_pages(client.stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, nobody_asks))
    sandbox.state.behaviour = type(sandbox.state.behaviour)(limits=False, warehouses="named")

    named = await all_pages(client.stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, nobody_asks))

    assert {stock.warehouse for page in named for stock in page.items} == {"Коледино", "Электросталь", "Казань"}
    units = [sum(stock.quantity for page in pages for stock in page.items) for pages in (hidden, named)]
    assert units[0] == units[1]


async def test_the_next_walk_brings_only_what_changed(sandbox: Sandbox, make_client: MakeClient) -> None:
    client = make_client()
    before = await all_pages(client.product_pages())
    changed = before[0].items[7]
    sandbox.state.clock.advance(60)
    sandbox.state.shop(SELLER).rename(int(changed.external_id), "Новое имя", sandbox.state.clock.now())

    [page] = await all_pages(client.product_pages(before[-1].cursor))

    assert [(product.external_id, product.title) for product in page.items] == [(changed.external_id, "Новое имя")]


async def test_the_limits_only_make_a_walk_longer(monkeypatch: pytest.MonkeyPatch, make_client: MakeClient) -> None:
    monkeypatch.setattr(cards_module, "CARDS_LIST", msgspec.structs.replace(CARDS_LIST, page_size=10))
    monkeypatch.setattr(client_module, "WB_WAREHOUSES", msgspec.structs.replace(WB_WAREHOUSES, page_size=200))
    client = make_client()

    products = await client.fetch_products()
    stocks = [stock for page in await all_pages(client.stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, nobody_asks)) for stock in page.items]

    assert len({product.external_id for product in products}) == PRODUCTS
    assert len({stock.size_id for stock in stocks}) == len(stocks) > 200
    assert client.traffic.waited_s > 20


@pytest.mark.parametrize("kind", ["server_error", "bad_gateway", "disconnect", "cut"])
async def test_a_bad_moment_passes_unnoticed(sandbox: Sandbox, make_client: MakeClient, kind: Any) -> None:
    sandbox.state.behaviour = msgspec.structs.replace(sandbox.state.behaviour, limits=False)
    sandbox.state.faults.add(Fault(kind=kind, times=2, skip=1))
    client = make_client()

    products = await client.fetch_products()

    assert len({product.external_id for product in products}) == PRODUCTS
    assert client.traffic.requests == 4 + 2


@pytest.mark.parametrize("errors", ["documented", "newer"])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("rate_limited", RateLimited),
        ("rate_limited_globally", RateLimited),
        ("unauthorized", CredentialsRejected),
        ("method_gone", MethodGone),
        ("undocumented", UnexpectedResponse),
    ],
)
async def test_a_refusal_is_understood_in_either_form(
    sandbox: Sandbox, make_client: MakeClient, kind: Any, expected: type[MarketplaceError], errors: Any
) -> None:
    sandbox.state.behaviour = type(sandbox.state.behaviour)(errors=errors)
    sandbox.state.faults.add(Fault(kind=kind, retry_s=10299))

    with pytest.raises(expected) as refusal:
        await make_client().fetch_products()

    assert type(refusal.value) is expected
    if isinstance(refusal.value, RateLimited):
        assert refusal.value.retry_after == timedelta(seconds=10299)


async def test_a_key_lacks_what_was_not_ticked(make_client: MakeClient) -> None:
    client = make_client(categories=(Category.CONTENT, Category.MARKETPLACE))

    facts = await client.verify()
    with pytest.raises(ScopeMissing) as refusal:
        await client.fetch_stocks()

    assert facts.missing_scopes == ("stocks", "prices", "orders")
    assert refusal.value.scope == "Analytics"


async def test_a_test_key_is_told_from_one_that_lacks_a_category(make_client: MakeClient) -> None:
    with pytest.raises(CredentialsRejected, match="works in Wildberries' sandbox only"):
        await make_client(token_type="test").verify()


async def test_a_key_without_content_is_valid_all_the_same(make_client: MakeClient) -> None:
    client = make_client(categories=(Category.ANALYTICS,))

    facts = await client.verify()

    assert facts.scopes == ("stocks", "orders")
    assert facts.missing_scopes == ("products", "prices")


@pytest.mark.parametrize(
    ("token_type", "secret"), [("personal", None), ("service", None), ("base", None), ("base", Secret("of-the-service"))]
)
async def test_every_type_of_token_gets_all_there_is(
    sandbox: Sandbox, make_client: MakeClient, token_type: Any, secret: Secret | None
) -> None:
    client = make_client(token_type=token_type, secret=secret)

    products = await client.fetch_products()
    prices = await patiently(sandbox, client.price_pages)
    at_wildberries, at_home = [
        await patiently(sandbox, partial(client.stock_pages, fulfilment, client.walk_sizes)) for fulfilment in Fulfilment
    ]

    truth = sandbox.state.shop(SELLER).totals(sandbox.state.clock.now())
    assert len({product.external_id for product in products}) == truth.products
    assert {price.product_external_id for price in prices} == {product.external_id for product in products}
    assert sum(stock.quantity for stock in at_wildberries) == truth.marketplace_quantity > 0
    assert sum(stock.quantity for stock in at_home) == truth.seller_quantity > 0


def by_id(orders: list[FetchedOrder]) -> dict[str, FetchedOrder]:
    """What the engine keeps: of each order the state that changed last, and of equals the later one."""
    newest: dict[str, FetchedOrder] = {}
    for order in orders:
        before = newest.get(order.external_id)
        if before is None or before.changed_at is None or order.changed_at is None or order.changed_at >= before.changed_at:
            newest[order.external_id] = order
    return newest


async def test_orders_of_a_month_add_up_to_the_truth(sandbox: Sandbox, make_client: MakeClient) -> None:
    orders = by_id(await patiently(sandbox, make_client().order_pages))

    truth = sandbox.state.shop(SELLER).totals(sandbox.state.clock.now(), order_days=28).orders
    recent = [order for order in orders.values() if order.ordered_at >= sandbox.state.clock.now() - timedelta(days=28)]
    told = Counter(order.status.value for order in recent)
    assert len(recent) == truth.orders > 0
    assert told["delivered"] == truth.by_status["delivered"]
    assert told["cancelled"] == truth.by_status["cancelled"]
    assert told["returned"] == truth.by_status["returned"]


async def test_the_next_windows_bring_what_changed_and_nothing_is_missed(sandbox: Sandbox, make_client: MakeClient) -> None:
    client = make_client()
    orders: dict[str, FetchedOrder] = {}
    cursor = b""
    fetched: list[int] = []

    for _ in range(4):
        pages = await all_pages(client.order_pages(cursor))
        cursor = pages[-1].cursor
        fetched.append(sum(len(page.items) for page in pages))
        orders = by_id([*orders.values(), *(order for page in pages for order in page.items)])
        sandbox.state.clock.advance(2 * 3600)

    whole = by_id(await patiently(sandbox, make_client().order_pages))
    last = by_id([*orders.values(), *(await patiently(sandbox, lambda after: client.order_pages(after or cursor)))])
    assert max(fetched[1:]) < fetched[0] / 4
    assert whole.items() <= last.items()


@pytest.mark.parametrize("rows_at_most", [80_000, 40])
async def test_the_statistics_tell_the_same_orders_as_the_feed(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, make_client: MakeClient, rows_at_most: int
) -> None:
    sandbox.state.behaviour = msgspec.structs.replace(sandbox.state.behaviour, statistics_rows=rows_at_most)
    for name, method in (("SUPPLIER_ORDERS", SUPPLIER_ORDERS), ("SUPPLIER_SALES", SUPPLIER_SALES)):
        monkeypatch.setattr(statistics_module, name, msgspec.structs.replace(method, page_size=rows_at_most))
    # The lists are drawn up every half an hour, and tell changes by the minute.
    sandbox.state.clock.advance(1800 - sandbox.state.clock.now().timestamp() % 1800)
    now = sandbox.state.clock.now().replace(second=0, microsecond=0)

    feed = by_id(await patiently(sandbox, make_client(categories=(Category.ANALYTICS,)).order_pages))
    statistics = by_id(await patiently(sandbox, make_client(categories=(Category.STATISTICS,)).order_pages))

    since, until = now - timedelta(days=25), now - timedelta(days=15)
    told = [
        {order.external_id: order.status for order in orders.values() if order.changed_at and since <= order.changed_at < until}
        for orders in (feed, statistics)
    ]
    assert told[0] == told[1]
    assert len(told[0]) > 20


async def test_a_base_token_reads_orders_once_in_hours_and_loses_none(sandbox: Sandbox, make_client: MakeClient) -> None:
    client = make_client(token_type="base", categories=(Category.STATISTICS,))

    pages = await all_pages(client.order_pages())
    with pytest.raises(RateLimited) as refusal:
        await all_pages(client.order_pages(pages[-1].cursor))

    assert client.traffic.requests == 4
    assert timedelta(hours=2) < refusal.value.retry_after <= timedelta(hours=3)


async def test_what_is_thrown_away_is_gone_and_what_is_taken_back_is_there_again(sandbox: Sandbox, make_client: MakeClient) -> None:
    client = make_client()
    shop = sandbox.state.shop(SELLER)
    before = await all_pages(client.product_pages())
    thrown = [int(product.external_id) for product in before[0].items[:3]]
    sandbox.state.clock.advance(60)
    for nm_id in thrown:
        shop.trash(nm_id, sandbox.state.clock.now())
    sandbox.state.clock.advance(60)

    after = await all_pages(client.product_pages(before[-1].cursor))
    shop.restore(thrown[0], sandbox.state.clock.now())
    sandbox.state.clock.advance(60)
    later = await all_pages(client.product_pages(after[-1].cursor))

    assert [gone for page in after for gone in page.gone] == [str(nm_id) for nm_id in thrown]
    assert [product for page in after for product in page.items] == []
    assert [gone for page in later for gone in page.gone] == []
    assert [product.external_id for page in later for product in page.items] == [str(thrown[0])]


async def test_prices_add_up_to_the_truth(sandbox: Sandbox, make_client: MakeClient) -> None:
    prices = await all_items(make_client().price_pages())

    truth = sandbox.state.shop(SELLER).totals(sandbox.state.clock.now())
    assert sum(price.price or 0 for price in prices) == truth.price_sum
    assert sum(price.discounted_price or 0 for price in prices) == truth.discounted_price_sum


async def test_a_key_that_expires_meanwhile_is_rejected_by_wildberries(sandbox: Sandbox, make_client: MakeClient) -> None:
    client = make_client(expires_at=datetime.now(UTC) + timedelta(days=1))
    sandbox.state.clock.advance(timedelta(days=2).total_seconds())

    with pytest.raises(CredentialsRejected, match="Wildberries says that the key has expired"):
        await client.verify()
