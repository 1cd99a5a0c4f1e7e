"""What products cost."""

from decimal import Decimal
from typing import Any

import pytest

from app.marketplaces.contract import FetchedPrice
from app.marketplaces.errors import UnexpectedResponse
from app.marketplaces.ozon.client import OzonClient
from tests.marketplaces.ozon import examples
from tests.marketplaces.ozon.conftest import all_pages, questions
from tests.marketplaces.scripted_server import ScriptedServer, json_reply

pytestmark = pytest.mark.anyio

PATH = "/v5/product/info/prices"


async def test_what_is_crossed_out_is_the_price_and_what_the_seller_asks_is_the_discounted_one(
    server: ScriptedServer, client: OzonClient
) -> None:
    server.replies = [json_reply({"items": [examples.PRICED], "cursor": ""})]

    [page] = await all_pages(client.price_pages())

    assert page.items == [FetchedPrice("1000001", Decimal("1999.00"), Decimal("1199.50"), "RUB")]
    assert questions(server) == [(PATH, {"filter": {"visibility": "ALL"}, "cursor": "", "limit": 1000})]


@pytest.mark.parametrize(
    ("told", "price", "discounted"),
    [
        ({"price": 100, "old_price": 0, "marketing_seller_price": 0}, "100", "100"),
        ({"price": "100.50"}, "100.50", "100.50"),
        ({"price": 100, "old_price": None, "marketing_seller_price": 90}, "100", "90"),
        ({"price": 0.1, "old_price": 0.3}, "0.30", "0.10"),
        ({"price": 0}, None, None),
        (None, None, None),
    ],
)
async def test_what_is_zero_or_left_out_is_no_price(
    server: ScriptedServer, client: OzonClient, told: Any, price: str | None, discounted: str | None
) -> None:
    server.replies = [json_reply({"items": [{"product_id": "1", "price": told}]})]

    [page] = await all_pages(client.price_pages())

    assert page.items == [FetchedPrice("1", price and Decimal(price), discounted and Decimal(discounted), "RUB")]


async def test_pages_are_walked_by_cursor_until_an_empty_one(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [
        json_reply({"items": [{**examples.PRICED, "product_id": 1}], "cursor": "a", "total": 1}),
        json_reply({"items": [{**examples.PRICED, "product_id": 2}], "cursor": "b"}),
        json_reply({"items": [], "cursor": "b"}),
    ]

    pages = await all_pages(client.price_pages())

    assert [price.product_external_id for page in pages for price in page.items] == ["1", "2"]
    assert [body["cursor"] for _, body in questions(server)] == ["", "a", "b"]


async def test_a_walk_goes_on_behind_the_page_that_was_stored(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply({"items": [examples.PRICED], "cursor": "a"}), json_reply({"items": [], "cursor": ""})]
    [page] = await all_pages(client.price_pages())

    await all_pages(client.price_pages(page.cursor))

    assert [body["cursor"] for _, body in questions(server)] == ["", "a", "a"]


@pytest.mark.parametrize("price", ["free", -1, 1e300, {}])
async def test_one_impossible_price_costs_itself_only(server: ScriptedServer, client: OzonClient, price: object) -> None:
    broken = {"product_id": 2, "price": {"price": price}}
    server.replies = [json_reply({"items": [examples.PRICED, broken], "cursor": ""})]

    [page] = await all_pages(client.price_pages())

    assert [price.product_external_id for price in page.items] == ["1000001"]
    assert [rejected.external_id for rejected in page.rejected] == ["2"]


async def test_a_list_that_comes_again_is_stopped(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply({"items": [{"product_id": number} for number in range(1, 1001)], "cursor": "a"})]

    with pytest.raises(UnexpectedResponse, match="never end"):
        await all_pages(client.price_pages())

    assert len(server.requests) == 2
