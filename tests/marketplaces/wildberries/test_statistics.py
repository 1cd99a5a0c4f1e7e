from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from app.marketplaces.contract import FetchedOrder, FetchedOrderLine, Fulfilment, OrderStatus
from app.marketplaces.errors import MarketplaceDown, RateLimited, UnexpectedResponse
from app.marketplaces.wildberries import statistics
from app.marketplaces.wildberries.methods import SUPPLIER_ORDERS, SUPPLIER_SALES
from app.marketplaces.wildberries.statistics import StatisticsPlace
from app.secret import Secret
from tests.marketplaces.keys import ALL_CATEGORIES, make_key
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply
from tests.marketplaces.wildberries.asking import MakeClient, all_items, all_pages
from tests.marketplaces.wildberries.examples import SUPPLIER_ORDER, SUPPLIER_SALE, TOO_MANY_REQUESTS

pytestmark = pytest.mark.anyio

KEY = make_key(s=ALL_CATEGORIES - 4)
BASE = make_key(s=ALL_CATEGORIES - 4, acc=1, **{"for": None})
NOTHING = json_reply([])
ORDER = FetchedOrder(
    external_id="12.r0000000000000000000000000000001.0.0",
    number="9800000000000000001",
    status=OrderStatus.CREATED,
    marketplace_status="created",
    fulfilment=Fulfilment.MARKETPLACE_WAREHOUSE,
    ordered_at=datetime(2026, 11, 21, 15, 8, 31, tzinfo=UTC),
    changed_at=datetime(2026, 11, 21, 15, 8, 31, tzinfo=UTC),
    warehouse="Склад WB РФ",
    destination="Московская",
    currency="RUB",
    lines=(FetchedOrderLine("201000118", None, "MUG-WHITE-01", 1, Decimal("840.00")),),
)


@pytest.fixture
def ten_per_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of five rows may be one that was cut off."""
    monkeypatch.setattr(statistics, "SUPPLIER_ORDERS", msgspec.structs.replace(SUPPLIER_ORDERS, page_size=10))
    monkeypatch.setattr(statistics, "SUPPLIER_SALES", msgspec.structs.replace(SUPPLIER_SALES, page_size=10))


def changed(minute: int, number: int = 1) -> dict[str, Any]:
    return {**SUPPLIER_ORDER, "srid": f"12.r{minute}.{number}.0", "lastChangeDate": f"2026-11-22T10:{minute:02}:00"}


def place(cursor: bytes) -> StatisticsPlace:
    return msgspec.json.decode(cursor, type=StatisticsPlace)


async def test_an_order_in_moscow_time_is_an_order_in_utc(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply([SUPPLIER_ORDER]), NOTHING]

    pages = await all_pages(make_client(KEY).order_pages())

    assert [order for page in pages for order in page.items] == [ORDER]
    assert place(pages[-1].cursor) == StatisticsPlace(orders_until=datetime(2026, 11, 22, 7, 11, 7, tzinfo=UTC))


async def test_what_became_of_an_order_is_newer_than_the_order(server: ScriptedServer, make_client: MakeClient) -> None:
    returned = {**SUPPLIER_SALE, "saleID": "R1", "lastChangeDate": "2026-11-24T08:00:00"}
    cancelled = {**SUPPLIER_ORDER, "srid": "2", "isCancel": True, "cancelDate": "2026-11-22T00:00:00"}
    server.replies = [json_reply([SUPPLIER_ORDER, cancelled]), json_reply([SUPPLIER_SALE, returned])]

    found = await all_items(make_client(KEY).order_pages())

    assert [(order.status, order.marketplace_status) for order in found] == [
        (OrderStatus.CREATED, "created"),
        (OrderStatus.CANCELLED, "cancel"),
        (OrderStatus.DELIVERED, "buyout"),
        (OrderStatus.RETURNED, "return"),
    ]
    assert found[0].changed_at < found[2].changed_at < found[3].changed_at
    assert found[1].changed_at == datetime(2026, 11, 22, 7, 11, 7, tzinfo=UTC)


async def test_an_order_from_the_sellers_own_warehouse_says_so(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply([{**SUPPLIER_ORDER, "warehouseType": "Склад продавца"}]), NOTHING]

    [order] = await all_items(make_client(KEY).order_pages())

    assert order.fulfilment is Fulfilment.SELLER_WAREHOUSE


async def test_the_first_walk_begins_a_month_ago_by_moscows_clock(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [Reply(status=204, content_type=None)]

    pages = await all_pages(make_client(KEY).order_pages())

    assert pages == []
    for request in server.requests:
        asked_from = datetime.fromisoformat(request.query["dateFrom"][0])
        assert asked_from.tzinfo is None
        assert (
            timedelta(0)
            <= datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=3) - timedelta(days=31) - asked_from
            < timedelta(minutes=1)
        )
        assert request.query["flag"] == ["0"]


async def test_the_next_walk_steps_back_a_little(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply([SUPPLIER_ORDER]), json_reply([SUPPLIER_SALE]), json_reply([SUPPLIER_ORDER]), json_reply([SUPPLIER_SALE])]
    first = await all_pages(make_client(KEY).order_pages())

    second = await all_pages(make_client(KEY).order_pages(first[-1].cursor))

    assert [request.query["dateFrom"] for request in server.requests[2:]] == [["2026-11-22T09:11:07"], ["2026-11-23T07:00:00"]]
    assert second[-1].cursor == first[-1].cursor


@pytest.mark.usefixtures("ten_per_page")
async def test_a_long_list_is_walked_until_nothing_new_comes(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [
        json_reply([changed(minute) for minute in range(5)]),
        json_reply([changed(4), *(changed(5, number) for number in range(5))]),
        json_reply([changed(5, number) for number in range(5)]),
        NOTHING,
    ]

    found = await all_items(make_client(KEY).order_pages())

    assert len({order.external_id for order in found}) == 4 + 1 + 5
    assert [request.query["dateFrom"][0] for request in server.requests[1:3]] == ["2026-11-22T10:03:59", "2026-11-22T10:04:59"]
    assert len(server.requests) == 4


@pytest.mark.usefixtures("ten_per_page")
async def test_the_place_moves_at_the_end_of_an_answer_only(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply([changed(minute) for minute in range(5)]), json_reply([changed(7)]), NOTHING]

    pages = await all_pages(make_client(KEY).order_pages())

    assert [(len(page.items), page.cursor != b"" and place(page.cursor).orders_until) for page in pages] == [
        (5, None),
        (0, datetime(2026, 11, 22, 7, 4, tzinfo=UTC)),
        (1, datetime(2026, 11, 22, 7, 4, tzinfo=UTC)),
        (0, datetime(2026, 11, 22, 7, 7, tzinfo=UTC)),
    ]


@pytest.mark.usefixtures("ten_per_page")
async def test_a_base_token_is_not_asked_for_what_it_gets_in_hours(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply([changed(minute) for minute in range(5)]), NOTHING]

    await all_pages(make_client(BASE).order_pages())

    assert [request.path.rpartition("/")[2] for request in server.requests] == ["orders", "sales"]


async def test_the_limit_of_one_list_does_not_hold_up_the_other(server: ScriptedServer, make_client: MakeClient) -> None:
    hours = json_reply(TOO_MANY_REQUESTS, 429, **{"X-Ratelimit-Retry": "10000"})
    server.replies = [hours, json_reply([SUPPLIER_SALE])]
    pages: list[Any] = []

    with pytest.raises(RateLimited) as refusal:
        async for page in make_client(BASE).order_pages():
            pages.append(page)  # noqa: PERF401 - a comprehension keeps nothing of what raises

    assert refusal.value.retry_after == timedelta(seconds=10_000)
    assert [order.status for page in pages for order in page.items] == [OrderStatus.DELIVERED]


async def test_the_longer_of_two_waits_is_told(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(TOO_MANY_REQUESTS, 429, **{"X-Ratelimit-Retry": wait}) for wait in ("700", "9000")]

    with pytest.raises(RateLimited) as refusal:
        await all_pages(make_client(BASE).order_pages())

    assert refusal.value.retry_after == timedelta(seconds=9000)


async def test_a_malformed_row_costs_itself_only(server: ScriptedServer, make_client: MakeClient) -> None:
    bad_orders = [{**SUPPLIER_ORDER, "srid": "a", "date": "0001-01-01T00:00:00"}, {**SUPPLIER_ORDER, "srid": "b", "nmId": 0}]
    bad_sale = {**SUPPLIER_SALE, "srid": "c", "saleID": "D1"}
    server.replies = [json_reply([*bad_orders, SUPPLIER_ORDER]), json_reply([bad_sale, SUPPLIER_SALE])]

    pages = await all_pages(make_client(KEY).order_pages())

    assert [order.status for page in pages for order in page.items] == [OrderStatus.CREATED, OrderStatus.DELIVERED]
    assert sorted(item.external_id or "" for page in pages for item in page.rejected) == ["a", "b", "c"]


async def test_a_time_that_says_its_zone_is_taken_at_its_word(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply([{**SUPPLIER_ORDER, "date": "2026-11-21T15:08:31Z"}]), NOTHING]

    [order] = await all_items(make_client(KEY).order_pages())

    assert order.ordered_at == ORDER.ordered_at


async def test_a_list_that_breaks_off_is_asked_for_again(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [Reply(body=msgspec.json.encode([SUPPLIER_ORDER])[:-9]), json_reply([SUPPLIER_ORDER]), NOTHING]

    assert await all_items(make_client(KEY).order_pages()) == [ORDER]


async def test_a_list_that_never_comes_whole_is_a_bad_day(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [Reply(body=b'[{"srid":')]

    with pytest.raises(MarketplaceDown):
        await all_pages(make_client(KEY).order_pages())


@pytest.mark.parametrize("body", [b"null", b"{}", b'{"errors":["dateFrom: field required"]}', b"[1,2]"])
async def test_an_answer_of_another_shape_is_unexpected(server: ScriptedServer, make_client: MakeClient, body: bytes) -> None:
    server.replies = [Reply(body=body)]

    with pytest.raises(UnexpectedResponse, match="supplier/orders"):
        await all_pages(make_client(KEY).order_pages())


async def test_an_unreadable_key_is_tried_with_both(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply({"code": "PLUG-404-20270101"}, 404), NOTHING]

    await all_pages(make_client(Secret("0123456789abcdef")).order_pages())

    assert len(server.requests) == 3


async def test_rows_that_mean_nothing_to_us_are_rejected_and_the_walk_gets_past_them(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    unknown = [{**SUPPLIER_SALE, "srid": srid, "saleID": "X1"} for srid in ("1", "2")]
    server.replies = [NOTHING, json_reply(unknown)]

    pages = await all_pages(make_client(KEY).order_pages())

    assert [order for page in pages for order in page.items] == []
    assert [rejected.external_id for page in pages for rejected in page.rejected] == ["1", "2"]


@pytest.mark.usefixtures("ten_per_page")
async def test_a_full_answer_of_what_is_known_is_walked_on_from_its_end(server: ScriptedServer, make_client: MakeClient) -> None:
    known, new = [changed(minute) for minute in range(30, 40)], [changed(minute) for minute in (39, 50)]
    until = datetime(2026, 11, 22, 7, 45, tzinfo=UTC)
    cursor = msgspec.json.encode(StatisticsPlace(until, until))
    server.replies = [json_reply(known), json_reply(new), NOTHING]

    pages = await all_pages(make_client(KEY).order_pages(cursor))

    assert place(pages[-1].cursor).orders_until == datetime(2026, 11, 22, 7, 50, tzinfo=UTC)
