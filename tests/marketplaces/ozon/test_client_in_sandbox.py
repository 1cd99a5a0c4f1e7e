"""The client and the sandbox, each written from the documentation alone, understand each other."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from app.marketplaces.contract import FetchedOrder, Fulfilment, KnownSize, KnownSizes, OrderStatus, Page
from app.marketplaces.errors import (
    CredentialsRejected,
    MarketplaceDown,
    MarketplaceError,
    MethodGone,
    RateLimited,
    ScopeMissing,
    UnexpectedResponse,
)
from app.marketplaces.ozon.client import OzonClient
from app.marketplaces.ozon.keys import OzonCredentials, OzonToken
from app.marketplaces.ozon.limit_headers import limit_news
from app.marketplaces.ozon.methods import METHODS, OZON_WAREHOUSES, ROLES
from app.marketplaces.ozon.postings import STATUSES
from app.marketplaces.transport import Backoff, Transport
from app.sandbox.clock import Clock
from app.sandbox.faults import Fault
from app.sandbox.main import Sandbox, create_sandbox, serve_in_thread
from app.sandbox.ozon.catalogue import Catalogue
from app.sandbox.ozon.keys import issue_ozon_key, issue_ozon_token, seller_of
from app.sandbox.ozon.money import after_promotions
from app.sandbox.ozon.parcels import Parcels
from app.secret import Secret
from tests.marketplaces.ozon.conftest import all_pages

pytestmark = pytest.mark.anyio

CLIENT_ID = 123456
PRODUCTS = 900

MakeClient = Callable[..., OzonClient]


@pytest.fixture
def sandbox() -> Sandbox:
    return create_sandbox(clock=Clock(datetime.now(UTC)))


@pytest.fixture
def url(sandbox: Sandbox) -> Iterator[str]:
    with serve_in_thread(sandbox) as url:
        yield url


@pytest.fixture
def make_client(sandbox: Sandbox, url: str, http: aiohttp.ClientSession) -> MakeClient:
    """A client that lives by the sandbox's clock."""

    async def sleep(seconds: float) -> None:
        sandbox.state.clock.advance(seconds)

    def make(*, oauth: bool = False, **options: Any) -> OzonClient:
        if oauth:
            key: Any = OzonToken(Secret(issue_ozon_token(CLIENT_ID, products=PRODUCTS, **options)))
        else:
            key = OzonCredentials(str(CLIENT_ID), Secret(issue_ozon_key(CLIENT_ID, products=PRODUCTS, **options)))
        transport = Transport(http, news=limit_news, backoff=Backoff(0, 0), sleep=sleep)
        return OzonClient(key, transport, f"{url}/ozon", now=sandbox.state.clock.now)

    return make


def catalogue_of(sandbox: Sandbox) -> Catalogue:
    return sandbox.catalogues.of(seller_of(CLIENT_ID))


async def sizes_of(client: OzonClient) -> KnownSizes:
    products = [product for product in await client.fetch_products() if not product.archived]

    async def walk() -> AsyncIterator[list[KnownSize]]:
        for start in range(0, len(products), 300):
            yield [
                KnownSize(product.external_id, size.id, size.name, size.barcodes)
                for product in products[start : start + 300]
                for size in product.sizes
            ]

    return walk


def true_orders(sandbox: Sandbox, since: datetime) -> dict[str, tuple[OrderStatus, Fulfilment, int]]:
    """Of each parcel ordered since then: how far it is, where from, how many units."""
    now = sandbox.state.clock.now()
    parcels = Parcels(catalogue_of(sandbox).shop, now).ordered(since, now + timedelta(seconds=1))
    return {
        parcel.number: (
            STATUSES[parcel.status],
            Fulfilment.MARKETPLACE_WAREHOUSE if parcel.order.from_marketplace else Fulfilment.SELLER_WAREHOUSE,
            sum(line.units for line in parcel.lines),
        )
        for parcel in parcels
    }


def told(order: FetchedOrder) -> tuple[OrderStatus, Fulfilment, int]:
    return order.status, order.fulfilment, sum(line.quantity for line in order.lines)


@pytest.mark.parametrize("oauth", [False, True], ids=["pair", "token"])
async def test_a_key_tells_what_it_may_do(make_client: MakeClient, oauth: bool) -> None:
    facts = await make_client(oauth=oauth).verify()

    assert facts.scopes == ("products", "stocks", "prices", "orders")
    assert facts.missing_scopes == ()
    assert facts.seller_id == (None if oauth else str(CLIENT_ID))
    assert facts.expires_at is not None


@pytest.mark.parametrize(("totals"), ["present", "gone"])
async def test_a_whole_shop_arrives_each_product_once(sandbox: Sandbox, make_client: MakeClient, totals: Any) -> None:
    sandbox.state.behaviour = type(sandbox.state.behaviour)(ozon_totals=totals)
    client = make_client()

    pages = await all_pages(client.product_pages())

    products = [product for page in pages for product in page.items]
    catalogue, now = catalogue_of(sandbox), sandbox.state.clock.now()
    assert all(page.rejected == () for page in pages)
    assert len({product.external_id for product in products}) == len(products) > 1000
    for archived, visibility in ((False, "ALL"), (True, "ARCHIVED")):
        theirs = {
            str(offer.product_id): (offer.offer_id, offer.name, str(offer.sku))
            for offer in catalogue.describe(catalogue.chrt_ids(visibility, now))
        }
        ours = {
            product.external_id: (product.article, product.title, product.sizes[0].id)
            for product in products
            if product.archived is archived
        }
        assert ours == theirs
    assert all(product.sizes[0].barcodes for product in products)


async def test_the_stock_adds_up_to_the_truth(sandbox: Sandbox, make_client: MakeClient) -> None:
    client = make_client()
    known_sizes = await sizes_of(client)

    at_ozon, at_home = [
        [stock for page in await all_pages(client.stock_pages(fulfilment, known_sizes)) for stock in page.items]
        for fulfilment in Fulfilment
    ]

    catalogue, now = catalogue_of(sandbox), sandbox.state.clock.now()
    active = catalogue.chrt_ids("ALL", now)
    fbo = [stock for stocks in catalogue.fbo(active, now).values() for stock in stocks]
    fbs = [stock for stocks in catalogue.fbs(active, now).values() for stock in stocks]
    assert sum(stock.quantity for stock in at_ozon) == sum(stock.present - stock.reserved for stock in fbo) > 0
    assert sum(stock.quantity for stock in at_home) == sum(stock.present - stock.reserved for stock in fbs) > 0
    assert len({(stock.size_id, stock.warehouse_id) for stock in at_ozon}) == len(at_ozon) == len(fbo)
    assert {(stock.warehouse_id, stock.warehouse) for stock in at_ozon} == {
        (str(stock.warehouse.id), stock.warehouse.name) for stock in fbo
    }
    assert {(stock.warehouse_id, stock.warehouse) for stock in at_home} == {
        (str(stock.warehouse_id), stock.warehouse_name) for stock in fbs
    }


async def test_the_prices_are_the_shops(sandbox: Sandbox, make_client: MakeClient) -> None:
    pages = await all_pages(make_client().price_pages())

    catalogue = catalogue_of(sandbox)
    theirs = {
        str(offer.product_id): (offer.price.price, after_promotions(offer.price))
        for offer in catalogue.describe(catalogue.chrt_ids("ALL", sandbox.state.clock.now()))
    }
    ours = {price.product_external_id: (price.price, price.discounted_price) for page in pages for price in page.items}
    assert ours == theirs
    assert {price.currency for page in pages for price in page.items} == {"RUB"}


async def test_sixty_days_of_orders_arrive_as_they_are(sandbox: Sandbox, make_client: MakeClient) -> None:
    pages = await all_pages(make_client().order_pages())

    orders = [order for page in pages for order in page.items]
    truth = true_orders(sandbox, sandbox.state.clock.now() - timedelta(days=60))
    assert {order.external_id: told(order) for order in orders} == truth
    assert len(orders) == len(truth) > 100
    assert {order.fulfilment for order in orders} == set(Fulfilment)
    assert all(order.warehouse and order.destination and order.number for order in orders)
    assert all(line.price and line.article and line.size_id for order in orders for line in order.lines)


async def test_syncs_of_what_changed_keep_up_with_the_truth(sandbox: Sandbox, make_client: MakeClient) -> None:
    client, clock = make_client(expires_at=sandbox.state.clock.now() + timedelta(days=60)), sandbox.state.clock
    first_since = clock.now() - timedelta(days=60)
    kept: dict[str, FetchedOrder] = {}
    cursor = b""
    for pause in (timedelta(), timedelta(minutes=30), timedelta(hours=7), timedelta(minutes=5), timedelta(days=3), timedelta(hours=2)):
        clock.advance(pause.total_seconds())
        async for page in client.order_pages(cursor):
            kept |= {order.external_id: order for order in page.items}
            cursor = page.cursor

    fbs = {number: truth for number, truth in true_orders(sandbox, first_since).items() if truth[1] is Fulfilment.SELLER_WAREHOUSE}
    recent = true_orders(sandbox, clock.now() - timedelta(days=7))
    assert {number: told(kept[number]) for number in recent} == recent
    within = true_orders(sandbox, clock.now() - timedelta(days=60))
    assert {number: told(kept[number]) for number in fbs if number in within} == {number: fbs[number] for number in fbs if number in within}


@pytest.mark.parametrize("kind", ["server_error", "unavailable", "disconnect", "cut"])
async def test_a_bad_moment_passes_unnoticed(sandbox: Sandbox, make_client: MakeClient, kind: Any) -> None:
    sandbox.state.faults.add(Fault(kind=kind, times=2, skip=1))
    client = make_client()

    products = await client.fetch_products()

    catalogue, now = catalogue_of(sandbox), sandbox.state.clock.now()
    assert len(products) == len(catalogue.chrt_ids("ALL", now)) + len(catalogue.chrt_ids("ARCHIVED", now))


async def test_a_page_that_is_promised_and_never_comes_ends_the_list(sandbox: Sandbox, make_client: MakeClient) -> None:
    sandbox.state.faults.add(Fault(kind="promised_page", times=100))

    pages = await all_pages(make_client().order_pages())

    assert {order.external_id for page in pages for order in page.items} == set(
        true_orders(sandbox, sandbox.state.clock.now() - timedelta(days=60))
    )


async def walk(client: OzonClient, path: str, known_sizes: KnownSizes) -> list[Page[Any]]:
    """All pages of the list at this path."""
    match path:
        case "/v3/product/list" | "/v3/product/info/list":
            return await all_pages(client.product_pages())
        case "/v5/product/info/prices":
            return await all_pages(client.price_pages())
        case "/v1/product/info/stocks-by-warehouse/fbo":
            return await all_pages(client.stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE, known_sizes))
        case "/v2/product/info/stocks-by-warehouse/fbs":
            return await all_pages(client.stock_pages(Fulfilment.SELLER_WAREHOUSE, known_sizes))
        case _:
            return await all_pages(client.order_pages())


LISTS = [method.path for method in METHODS if method not in (ROLES, OZON_WAREHOUSES)]


# Of a posting, the sandbox spoils numbers that nobody reads; test_postings.py spoils those that we do.
@pytest.mark.parametrize("path", [path for path in LISTS if "posting" not in path])
async def test_one_malformed_item_costs_itself_only(sandbox: Sandbox, make_client: MakeClient, path: str) -> None:
    client = make_client()
    known_sizes = await sizes_of(client)
    whole = await walk(client, path, known_sizes)
    sandbox.state.faults.add(Fault(kind="malformed_item", path=path))

    pages = await walk(client, path, known_sizes)

    assert sum(len(page.rejected) for page in pages) == 1
    assert sum(len(page.items) for page in pages) == sum(len(page.items) for page in whole) - 1


@pytest.mark.parametrize(
    ("path", "skip", "words"),
    [
        ("/v4/posting/fbs/list", 0, "no cursor"),
        ("/v4/posting/fbs/list", 1, "never end"),
        ("/v3/posting/fbo/list", 1, "never end"),
        ("/v1/product/info/stocks-by-warehouse/fbo", 0, "no cursor"),
    ],
)
async def test_a_cursor_that_comes_again_is_not_taken_for_the_end(
    sandbox: Sandbox, make_client: MakeClient, path: str, skip: int, words: str
) -> None:
    client = make_client()
    known_sizes = await sizes_of(client)
    sandbox.state.faults.add(Fault(kind="repeated_cursor", path=path, skip=skip, times=1000))

    with pytest.raises(UnexpectedResponse, match=words):
        await walk(client, path, known_sizes)


@pytest.mark.parametrize("kind", ["undocumented", "html", "truncated"])
@pytest.mark.parametrize("path", LISTS)
async def test_an_answer_that_nobody_can_read_is_never_taken_for_an_empty_one(
    sandbox: Sandbox, make_client: MakeClient, path: str, kind: Any
) -> None:
    client = make_client()
    known_sizes = await sizes_of(client)
    sandbox.state.faults.add(Fault(kind=kind, path=path, times=1000))

    with pytest.raises((UnexpectedResponse, MarketplaceDown)):
        await walk(client, path, known_sizes)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("unauthorized", CredentialsRejected),
        ("key_deactivated", CredentialsRejected),
        ("ip_restricted", CredentialsRejected),
        ("role_missing", ScopeMissing),
        ("company_blocked", MarketplaceError),
        ("offer_not_signed", MarketplaceError),
        ("method_gone", MethodGone),
        ("method_obsolete", MethodGone),
        ("circle_open", RateLimited),
        ("rate_limited", RateLimited),
    ],
)
async def test_a_refusal_is_understood(sandbox: Sandbox, make_client: MakeClient, kind: Any, expected: type[MarketplaceError]) -> None:
    sandbox.state.faults.add(Fault(kind=kind, retry_s=10299))

    with pytest.raises(expected) as refusal:
        await make_client().fetch_products()

    assert refusal.value.detail_ru
    if kind == "rate_limited":
        assert isinstance(refusal.value, RateLimited)
        assert refusal.value.retry_after == timedelta(seconds=10299)


async def test_a_key_for_one_list_of_orders_reads_that_one(sandbox: Sandbox, make_client: MakeClient) -> None:
    client = make_client(roles=("Posting FBS",))
    facts = await client.verify()
    orders: list[FetchedOrder] = []

    with pytest.raises(ScopeMissing, match="/v3/posting/fbo/list"):
        async for page in client.order_pages():
            orders += page.items

    assert facts.scopes == ()
    theirs = true_orders(sandbox, sandbox.state.clock.now() - timedelta(days=60))
    assert {order.external_id for order in orders} == {
        number for number, truth in theirs.items() if truth[1] is Fulfilment.SELLER_WAREHOUSE
    }


async def test_a_key_that_expires_meanwhile_is_rejected(sandbox: Sandbox, make_client: MakeClient) -> None:
    client = make_client()
    await client.verify()
    sandbox.state.clock.advance(timedelta(days=91).total_seconds())

    with pytest.raises(CredentialsRejected, match="deactivated"):
        await client.fetch_products()


async def test_a_wrong_key_is_a_wrong_key(make_client: MakeClient, sandbox: Sandbox, url: str, http: aiohttp.ClientSession) -> None:
    wrong = OzonClient(OzonCredentials("7", Secret(issue_ozon_key(CLIENT_ID))), Transport(http), f"{url}/ozon")

    with pytest.raises(CredentialsRejected, match="pair of Client-Id and Api-Key"):
        await wrong.verify()
