"""Orders: the lists of postings, and the windows by which they are read."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.marketplaces.contract import FetchedOrder, FetchedOrderLine, Fulfilment, OrderStatus, Page
from app.marketplaces.errors import CredentialsRejected, MethodGone, RateLimited, ScopeMissing, UnexpectedResponse
from app.marketplaces.ozon.client import OzonClient
from app.marketplaces.ozon.postings import STATUSES
from tests.marketplaces.ozon import examples
from tests.marketplaces.ozon.conftest import NOW, MakeClient, all_pages, collect, questions
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply

pytestmark = pytest.mark.anyio

FBS, FBO = "/v4/posting/fbs/list", "/v3/posting/fbo/list"
NOTHING = json_reply(examples.NO_POSTINGS)


def filters(server: ScriptedServer, path: str) -> list[dict[str, datetime]]:
    """What the questions asked for, as instants."""
    found: list[dict[str, datetime]] = []
    for asked, body in questions(server):
        if asked == path:
            told = body["filter"]
            times = {"since": told["since"], "to": told["to"]}
            if changed := told.get("last_changed_status_date"):
                times |= {"changed_from": changed["from"], "changed_to": changed["to"]}
            found.append({name: datetime.fromisoformat(time) for name, time in times.items()})
    return found


def ids(pages: list[Page[Any]]) -> list[str]:
    return [order.external_id for page in pages for order in page.items]


async def test_a_posting_from_the_sellers_warehouse_arrives_in_our_words(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.postings(examples.FBS_POSTING)), NOTHING]

    pages = await all_pages(client.order_pages())

    assert [order for page in pages for order in page.items] == [
        FetchedOrder(
            external_id="0100000001-0001-1",
            number="0100000001-0001",
            status=OrderStatus.CREATED,
            marketplace_status="awaiting_packaging",
            fulfilment=Fulfilment.SELLER_WAREHOUSE,
            ordered_at=datetime(2026, 11, 21, 8, tzinfo=UTC),
            changed_at=None,
            warehouse="Main FBS",
            destination="Казань",
            currency="RUB",
            lines=(FetchedOrderLine(None, "900000001", "TSHIRT-BLK-M", 2, Decimal("1299.00")),),
        )
    ]


async def test_a_posting_from_ozons_warehouse_arrives_likewise(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [NOTHING, json_reply(examples.postings(examples.FBO_POSTING))]

    [_, page] = await all_pages(client.order_pages())

    [order] = page.items
    assert order.fulfilment is Fulfilment.MARKETPLACE_WAREHOUSE
    assert order.ordered_at == datetime(2026, 11, 20, 23, 59, 51, 653736, tzinfo=UTC)
    assert (order.status, order.warehouse, order.destination) == (OrderStatus.DELIVERING, "ХОРУГВИНО_РФЦ", "Новосибирск")


async def test_the_first_walk_is_over_sixty_days_of_both_lists(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [NOTHING]

    await all_pages(client.order_pages())

    asked = [body for _, body in questions(server)]
    assert [path for path, _ in questions(server)] == [FBS, FBO]
    for window in filters(server, FBS) + filters(server, FBO):
        assert window["since"] == NOW - timedelta(days=60)
        assert NOW <= window["to"] < NOW + timedelta(days=2)
        assert "changed_from" not in window
    assert all(body["limit"] == 100 and body["cursor"] == "" and body["sort_dir"] == "ASC" for body in asked)
    assert all(body["with"] == {"analytics_data": True, "financial_data": True} for body in asked)


async def test_the_next_walk_asks_fbs_for_what_changed_and_fbo_for_the_last_days(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [NOTHING]
    first = await all_pages(make_client().order_pages())
    server.requests.clear()

    await all_pages(make_client(now=NOW + timedelta(hours=2)).order_pages(first[-1].cursor))

    [fbs], [fbo] = filters(server, FBS), filters(server, FBO)
    assert fbs["changed_from"] == NOW - timedelta(hours=1)
    assert fbs["changed_to"] >= NOW + timedelta(hours=2)
    assert fbs["since"] == NOW + timedelta(hours=2) - timedelta(days=60)
    assert fbo["since"] == NOW + timedelta(hours=2) - timedelta(days=7)


async def test_fbo_is_read_over_the_whole_window_once_a_day(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [NOTHING]
    cursor = b""
    for hours in (0, 12, 23, 24, 36, 49):
        pages = await all_pages(make_client(now=NOW + timedelta(hours=hours)).order_pages(cursor))
        cursor = pages[-1].cursor

    windows = [window["to"] - window["since"] > timedelta(days=30) for window in filters(server, FBO)]
    assert windows == [True, False, False, True, False, True]


async def test_after_a_long_pause_no_window_is_longer_than_the_first_one(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [NOTHING]
    first = await all_pages(make_client().order_pages())
    server.requests.clear()
    later = NOW + timedelta(days=500)

    await all_pages(make_client(now=later).order_pages(first[-1].cursor))

    assert [window["since"] for window in filters(server, FBS) + filters(server, FBO)] == [later - timedelta(days=60)] * 2


async def test_a_walk_goes_on_behind_any_page_that_was_stored(server: ScriptedServer, make_client: MakeClient) -> None:
    answers = [
        json_reply(examples.postings({**examples.FBS_POSTING, "posting_number": "1"}, cursor="a", has_next=True)),
        json_reply(examples.postings({**examples.FBS_POSTING, "posting_number": "2"}, cursor="b")),
        json_reply(examples.postings({**examples.FBO_POSTING, "posting_number": "3"}, cursor="c", has_next=True)),
        json_reply(examples.postings({**examples.FBO_POSTING, "posting_number": "4"}, cursor="d")),
    ]
    server.replies = answers
    pages = await all_pages(make_client().order_pages())
    assert ids(pages) == ["1", "2", "3", "4"]
    later = make_client(now=NOW + timedelta(minutes=5))

    server.requests.clear()
    server.replies = answers[1:]
    assert ids(await all_pages(later.order_pages(pages[0].cursor))) == ["2", "3", "4"]
    assert filters(server, FBS)[0]["since"] == NOW - timedelta(days=60)
    assert [body["cursor"] for _, body in questions(server)] == ["a", "", "c"]

    server.requests.clear()
    server.replies = [NOTHING, answers[3]]
    rest = await all_pages(later.order_pages(pages[2].cursor))
    assert ids(rest) == ["4"]
    assert [body["cursor"] for _, body in questions(server)] == ["", "c"]


async def test_a_cursor_that_ozon_no_longer_takes_is_given_up(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.postings(examples.FBS_POSTING, cursor="a", has_next=True)), json_reply({"code": 3}, 400)]
    kept: list[Page[Any]] = []
    with pytest.raises(UnexpectedResponse):
        await collect(client.order_pages(), kept)
    with pytest.raises(UnexpectedResponse):
        await collect(client.order_pages(kept[-1].cursor), kept)
    server.requests.clear()
    server.replies = [NOTHING]

    await all_pages(client.order_pages(kept[-1].cursor))

    assert [body["cursor"] for _, body in questions(server)] == ["", ""]
    assert filters(server, FBS)[0].keys() == {"since", "to"}


@pytest.mark.parametrize("last", [examples.postings(cursor="b", has_next=True), examples.postings()])
async def test_an_empty_page_ends_a_list_whatever_it_promises(server: ScriptedServer, client: OzonClient, last: dict[str, Any]) -> None:
    server.replies = [json_reply(examples.postings(examples.FBS_POSTING, cursor="a", has_next=True)), json_reply(last), NOTHING]

    await all_pages(client.order_pages())

    assert [path for path, _ in questions(server)] == [FBS, FBS, FBO]


async def test_orders_that_can_not_be_asked_for_do_not_count_as_read(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.postings(examples.FBS_POSTING, has_next=True))]

    with pytest.raises(UnexpectedResponse, match="no cursor"):
        await all_pages(client.order_pages())


async def test_a_list_that_comes_again_is_stopped(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.postings(examples.FBS_POSTING, cursor="a", has_next=True))]

    with pytest.raises(UnexpectedResponse, match="never end"):
        await all_pages(client.order_pages())

    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (json_reply(examples.NO_ROLE, 403), ScopeMissing),
        (json_reply(examples.NOT_FOUND, 404), MethodGone),
        (json_reply(examples.CIRCLE_OPEN, 503), RateLimited),
    ],
)
async def test_neither_list_holds_up_the_other(server: ScriptedServer, client: OzonClient, reply: Reply, error: type[Exception]) -> None:
    server.replies = [reply, json_reply(examples.postings(examples.FBO_POSTING))]
    pages: list[Page[Any]] = []

    with pytest.raises(error):
        await collect(client.order_pages(), pages)

    assert ids(pages) == ["0200000002-0007-1"]
    server.requests.clear()
    server.replies = [NOTHING]
    await all_pages(client.order_pages(pages[-1].cursor))
    assert filters(server, FBS)[0].keys() == {"since", "to"}


async def test_a_rejected_key_ends_both(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.DEACTIVATED, 403)]

    with pytest.raises(CredentialsRejected):
        await all_pages(client.order_pages())

    assert len(server.requests) == 1


async def test_an_answer_of_the_old_form_is_no_empty_list(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply({"result": {"postings": [examples.FBS_POSTING], "has_next": False}})]

    with pytest.raises(UnexpectedResponse):
        await all_pages(client.order_pages())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "on_the_moon"}, "Its status is none that is documented."),
        ({"in_process_at": None}, "It has no time."),
        ({"products": None}, "Expected `array`, got `null` - at `$.products`"),
        ({"products": [{"sku": 1, "quantity": 0}]}, "Expected `int` >= 1 - at `$.products[0].quantity`"),
        ({"products": [{"sku": 1, "quantity": 1, "price": {"amount": "-5"}}]}, "This can't be a price."),
    ],
)
async def test_one_malformed_posting_costs_itself_only(
    server: ScriptedServer, client: OzonClient, change: dict[str, Any], reason: str
) -> None:
    malformed = {**examples.FBS_POSTING, "posting_number": "x", **change}
    server.replies = [json_reply(examples.postings(examples.FBS_POSTING, malformed)), NOTHING]

    page, _ = await all_pages(client.order_pages())

    assert [order.external_id for order in page.items] == ["0100000001-0001-1"]
    assert [(rejected.external_id, rejected.reason) for rejected in page.rejected] == [("x", reason)]


async def test_what_may_be_null_may_be_null(server: ScriptedServer, client: OzonClient) -> None:
    bare = {
        "posting_number": "1",
        "status": "delivered",
        "in_process_at": "2026-11-21T08:00:00",
        "products": [{"sku": "5", "quantity": "2", "price": None}],
        "analytics_data": None,
        "delivery_method": None,
        "financial_data": None,
        "order_number": None,
    }
    server.replies = [json_reply(examples.postings(bare)), NOTHING]

    page, _ = await all_pages(client.order_pages())

    [order] = page.items
    assert order.lines == (FetchedOrderLine(None, "5", "", 2, None),)
    assert (order.number, order.warehouse, order.destination, order.currency) == ("", "", "", "RUB")
    assert order.ordered_at == datetime(2026, 11, 21, 8, tzinfo=UTC)


async def test_every_documented_status_has_a_meaning(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.postings(*({**examples.FBS_POSTING, "status": status} for status in STATUSES))), NOTHING]

    page, _ = await all_pages(client.order_pages())

    assert len(page.items) == 13
    assert {order.marketplace_status for order in page.items if order.status is OrderStatus.CANCELLED} == {"cancelled", "not_accepted"}


async def test_postings_of_a_new_status_are_rejected_and_the_walk_gets_past_them(server: ScriptedServer, client: OzonClient) -> None:
    unknown = [{**examples.FBS_POSTING, "posting_number": number, "status": "teleported"} for number in ("1", "2")]
    server.replies = [json_reply(examples.postings(*unknown)), NOTHING]

    page, *_ = await all_pages(client.order_pages())

    assert page.items == []
    assert [rejected.external_id for rejected in page.rejected] == ["1", "2"]
