from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from app.marketplaces.contract import FetchedOrder, FetchedOrderLine, Fulfilment, OrderStatus
from app.marketplaces.errors import MethodGone, RateLimited, ScopeMissing, UnexpectedResponse
from app.marketplaces.wildberries import order_feed
from app.marketplaces.wildberries.methods import ORDER_FEED
from app.marketplaces.wildberries.order_feed import FURTHEST_BACK, OVERLAP, FeedPlace
from app.marketplaces.wildberries.statistics import StatisticsPlace
from tests.marketplaces.keys import ALL_CATEGORIES, make_key
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply
from tests.marketplaces.wildberries.asking import MakeClient, all_items, all_pages, sent
from tests.marketplaces.wildberries.examples import BASE_TOKEN_NOT_ALLOWED, FEED_ORDER, SCOPE_NOT_ALLOWED, TOO_MANY_REQUESTS, feed_page

pytestmark = pytest.mark.anyio

BASE = make_key(acc=1, **{"for": None})
SNAPSHOT_AT = datetime(2026, 11, 22, 11, 0, 2, tzinfo=UTC)


@pytest.fixture
def five_per_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_feed, "ORDER_FEED", msgspec.structs.replace(ORDER_FEED, page_size=5))


def orders(first: int, number: int) -> list[dict[str, Any]]:
    return [{**FEED_ORDER, "srid": f"12.r{n}.0.0"} for n in range(first, first + number)]


def place(cursor: bytes) -> FeedPlace:
    return msgspec.json.decode(cursor, type=FeedPlace)


def start_of(body: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(body["selectedPeriod"]["start"])


async def test_an_order_is_one_unit(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(feed_page(FEED_ORDER))]

    [order] = await all_items(make_client().order_pages())

    assert order == FetchedOrder(
        external_id="12.r0000000000000000000000000000001.0.0",
        number="",
        status=OrderStatus.CANCELLED,
        marketplace_status="cancel",
        fulfilment=Fulfilment.MARKETPLACE_WAREHOUSE,
        ordered_at=datetime(2026, 11, 21, 15, 8, 31, tzinfo=UTC),
        changed_at=datetime(2026, 11, 22, 6, 40, 10, tzinfo=UTC),
        warehouse="Склад WB",
        destination="Казань",
        currency="RUB",
        lines=(FetchedOrderLine("201000118", "330100901", "", 1, Decimal("840.00")),),
    )


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("created", OrderStatus.CREATED),
        ("buyout", OrderStatus.DELIVERED),
        ("cancel", OrderStatus.CANCELLED),
        ("return", OrderStatus.RETURNED),
        ("returnDefective", OrderStatus.RETURNED),
    ],
)
async def test_each_documented_status_is_understood(
    server: ScriptedServer, make_client: MakeClient, word: str, status: OrderStatus
) -> None:
    server.replies = [json_reply(feed_page({**FEED_ORDER, "status": word, "isMp": True, "destinationCity": "", "updatedAt": None}))]

    [order] = await all_items(make_client().order_pages())

    assert (order.status, order.marketplace_status) == (status, word)
    assert (order.fulfilment, order.destination, order.changed_at) == (Fulfilment.SELLER_WAREHOUSE, "Приволжский", None)


async def test_the_first_walk_goes_as_far_back_as_wildberries_tells(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(feed_page())]

    [page] = await all_pages(make_client().order_pages())

    [body] = sent(server)
    assert timedelta(0) <= datetime.now(UTC) - FURTHEST_BACK - start_of(body) < timedelta(minutes=1)
    assert body["pagination"] == {"limit": 10_000}
    assert page.items == []
    assert place(page.cursor) == FeedPlace(read_until=SNAPSHOT_AT)


async def test_the_next_window_overlaps_the_last_one(server: ScriptedServer, make_client: MakeClient) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    server.replies = [json_reply(feed_page(snapshot=f"{now:%Y-%m-%dT%H:%M:%SZ}"))]
    [first] = await all_pages(make_client().order_pages())

    await all_pages(make_client().order_pages(first.cursor))

    assert start_of(sent(server)[1]) == now - OVERLAP


@pytest.mark.usefixtures("five_per_page")
async def test_all_pages_of_a_window_are_of_one_snapshot(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [
        json_reply(feed_page(*orders(1, 5))),
        json_reply(feed_page(*orders(6, 5), snapshot="2026-11-22T11:05:00Z")),
        json_reply(feed_page()),
    ]

    pages = await all_pages(make_client().order_pages())

    assert [len(page.items) for page in pages] == [5, 5, 0]
    assert [body["pagination"] for body in sent(server)] == [
        {"limit": 5},
        {"limit": 5, "offset": 5, "snapshotTime": "2026-11-22T11:00:02Z"},
        {"limit": 5, "offset": 10, "snapshotTime": "2026-11-22T11:00:02Z"},
    ]
    assert len({body["selectedPeriod"]["start"] for body in sent(server)}) == 1
    assert place(pages[-1].cursor) == FeedPlace(read_until=SNAPSHOT_AT)


@pytest.mark.usefixtures("five_per_page")
async def test_a_walk_that_was_put_back_goes_on_in_its_window(server: ScriptedServer, make_client: MakeClient) -> None:
    wait = json_reply(TOO_MANY_REQUESTS, 429, **{"X-Ratelimit-Retry": "60"})
    server.replies = [json_reply(feed_page(*orders(1, 5))), wait, json_reply(feed_page(*orders(6, 1)))]
    pages = make_client().order_pages()
    first = await anext(pages)
    with pytest.raises(RateLimited):
        await anext(pages)

    [second] = await all_pages(make_client().order_pages(first.cursor))

    assert sent(server)[2] == sent(server)[1]
    assert place(second.cursor) == FeedPlace(read_until=SNAPSHOT_AT)


@pytest.mark.usefixtures("five_per_page")
async def test_what_a_base_token_may_ask_in_hours_is_left_to_the_next_run(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(feed_page(*orders(1, 5))), json_reply(feed_page(*orders(6, 1)))]

    first = await all_pages(make_client(BASE).order_pages())
    second = await all_pages(make_client(BASE).order_pages(first[-1].cursor))

    assert [len(page.items) for page in (*first, *second)] == [5, 1]
    assert sent(server)[1]["pagination"]["offset"] == 5


@pytest.mark.usefixtures("five_per_page")
async def test_a_snapshot_that_is_forgotten_starts_the_window_again(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(feed_page(*orders(1, 5))), json_reply({"title": "Bad Request", "detail": "unknown snapshot"}, 400)]
    pages = make_client(BASE).order_pages()
    first = await anext(pages)
    again = make_client(BASE).order_pages(first.cursor)

    page = await anext(again)
    with pytest.raises(UnexpectedResponse):
        await anext(again)

    assert page.items == []
    assert place(page.cursor) == FeedPlace()


async def test_a_malformed_order_costs_itself_only(server: ScriptedServer, make_client: MakeClient) -> None:
    bad = [
        {**FEED_ORDER, "srid": "a", "status": "lost in space"},
        {**FEED_ORDER, "srid": "b", "createdAt": "yesterday"},
        {**FEED_ORDER, "srid": "c", "createdAt": "2026-11-21T18:08:31"},
        {**FEED_ORDER, "srid": "d", "sellerPrice": -5},
        {**FEED_ORDER, "srid": ""},
    ]
    server.replies = [json_reply(feed_page(*bad, FEED_ORDER))]

    [page] = await all_pages(make_client().order_pages())

    assert [order.external_id for order in page.items] == [FEED_ORDER["srid"]]
    assert sorted(rejected.external_id or "" for rejected in page.rejected) == ["", "a", "b", "c", "d"]


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"{}",
        b'{"data":{"orders":[]}}',
        b'{"data":{"snapshotTime":"soon","currency":"RUB","orders":[]}}',
        b'{"data":{"snapshotTime":1}}',
    ],
)
async def test_an_answer_of_another_shape_is_unexpected(server: ScriptedServer, make_client: MakeClient, body: bytes) -> None:
    server.replies = [Reply(body=body)]

    with pytest.raises(UnexpectedResponse, match="order-feed"):
        await all_pages(make_client().order_pages())


# ---- the feed or the statistics


@pytest.mark.parametrize(
    "refusal",
    [json_reply(SCOPE_NOT_ALLOWED, 401), json_reply(BASE_TOKEN_NOT_ALLOWED, 403), json_reply({"code": "PLUG-404-20270101"}, 404)],
    ids=["category", "closed", "gone"],
)
async def test_where_the_feed_is_not_to_be_had_the_statistics_are_asked(
    server: ScriptedServer, make_client: MakeClient, refusal: Reply
) -> None:
    server.replies = [refusal, json_reply([]), json_reply([])]

    await all_pages(make_client().order_pages())

    assert [request.path.rpartition("/")[2] for request in server.requests] == ["order-feed", "orders", "sales"]


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [(json_reply(SCOPE_NOT_ALLOWED, 401), ScopeMissing), (json_reply({"code": "PLUG-404-20270101"}, 404), MethodGone)],
)
async def test_where_neither_is_to_be_had_the_feed_says_why(
    server: ScriptedServer, make_client: MakeClient, refusal: Reply, expected: type[Exception]
) -> None:
    server.replies = [refusal]

    with pytest.raises(expected):
        await all_pages(make_client(make_key(s=ALL_CATEGORIES - 32)).order_pages())

    assert len(server.requests) == 1


async def test_a_key_without_analytics_asks_the_statistics_at_once(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply([])]

    await all_pages(make_client(make_key(s=ALL_CATEGORIES - 4)).order_pages())

    assert [request.path.rpartition("/")[2] for request in server.requests] == ["orders", "sales"]


async def test_who_changes_from_one_to_the_other_goes_on_where_the_other_stood(server: ScriptedServer, make_client: MakeClient) -> None:
    there = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
    statistics = msgspec.json.encode(StatisticsPlace(there, there + timedelta(hours=5)))
    feed = msgspec.json.encode(FeedPlace(read_until=there))
    server.replies = [json_reply(feed_page()), json_reply([])]

    await all_pages(make_client().order_pages(statistics))
    await all_pages(make_client(make_key(s=ALL_CATEGORIES - 4)).order_pages(feed))

    assert start_of(sent_first(server)) == there - OVERLAP
    moscow = (there - timedelta(hours=1) + timedelta(hours=3)).replace(tzinfo=None).isoformat()
    assert [request.query["dateFrom"] for request in server.requests[1:]] == [[moscow], [moscow]]


def sent_first(server: ScriptedServer) -> dict[str, Any]:
    return msgspec.json.decode(server.requests[0].body)
