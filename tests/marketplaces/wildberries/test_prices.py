from decimal import Decimal
from typing import Any

import pytest

from app.marketplaces.contract import FetchedPrice
from app.marketplaces.errors import UnexpectedResponse
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply
from tests.marketplaces.wildberries.asking import MakeClient, all_items, all_pages
from tests.marketplaces.wildberries.examples import goods, goods_page

pytestmark = pytest.mark.anyio

NO_MORE = json_reply(goods_page())


async def test_prices_are_walked_by_offset_until_an_empty_list(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(goods_page(*(goods(nm_id) for nm_id in range(1, 1001)))), json_reply(goods_page(goods(1001))), NO_MORE]

    pages = await all_pages(make_client().price_pages())

    assert [len(page.items) for page in pages] == [1000, 1]
    assert pages[1].items == [FetchedPrice("1001", Decimal("1200.00"), Decimal("840.00"), "RUB")]
    assert [request.query for request in server.requests] == [{"limit": ["1000"], "offset": [offset]} for offset in ("0", "1000", "2000")]


async def test_a_walk_goes_on_behind_the_page_that_was_stored(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(goods_page(goods(1))), NO_MORE]
    pages = await all_pages(make_client().price_pages())

    await all_pages(make_client().price_pages(pages[0].cursor))

    assert server.requests[-1].query["offset"] == ["1000"]


@pytest.mark.parametrize(
    ("sizes", "price", "discounted"),
    [
        ([(1500, 1200), (1000, 900), (1600, None)], "1000", "900"),
        ([(1500, None), (1000, None)], "1000", None),
        ([(None, None), (1000.5, 332.55)], "1000.5", "332.55"),
        ([(None, None)], None, None),
        ([(0, 0)], "0", "0"),
    ],
)
async def test_the_cheapest_size_is_the_price(
    server: ScriptedServer, make_client: MakeClient, sizes: list[tuple[Any, Any]], price: str | None, discounted: str | None
) -> None:
    server.replies = [json_reply(goods_page(goods(7, *sizes))), NO_MORE]

    [found] = await all_items(make_client().price_pages())

    assert (found.price, found.discounted_price) == (price and Decimal(price), discounted and Decimal(discounted))


async def test_a_product_without_sizes_has_no_price(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(goods_page({**goods(7), "sizes": None, "currencyIsoCode4217": "BYN"})), NO_MORE]

    [found] = await all_items(make_client().price_pages())

    assert found == FetchedPrice("7", None, None, "BYN")


@pytest.mark.parametrize(("price", "reason"), [(-1, "can't be a price"), (1e15, "can't be a price"), ("much", "decimal"), ([], "decimal")])
async def test_a_malformed_price_costs_itself_only(server: ScriptedServer, make_client: MakeClient, price: Any, reason: str) -> None:
    server.replies = [json_reply(goods_page(goods(1), goods(2, (price, 10)))), NO_MORE]

    [page] = await all_pages(make_client().price_pages())

    assert [item.product_external_id for item in page.items] == ["1"]
    assert [rejected.external_id for rejected in page.rejected] == ["2"]
    assert reason in page.rejected[0].reason


async def test_a_price_that_is_no_number_is_no_price(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(goods_page(goods(1), goods(2, ("NaN", 10)), goods(3, (10, "Infinity")))), NO_MORE]

    [page] = await all_pages(make_client().price_pages())

    assert [rejected.external_id for rejected in page.rejected] == ["2", "3"]


async def test_an_offset_that_is_not_heeded_ends_the_walk_with_an_error(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(goods_page(goods(1)))]

    with pytest.raises(UnexpectedResponse, match="would never end"):
        await all_pages(make_client().price_pages())

    assert len(server.requests) == 2


@pytest.mark.parametrize("body", [b"null", b"{}", b'{"data":null,"error":true,"errorText":"Invalid request parameters"}', b'{"data":{}}'])
async def test_an_answer_of_another_shape_is_unexpected(server: ScriptedServer, make_client: MakeClient, body: bytes) -> None:
    server.replies = [Reply(body=body)]

    with pytest.raises(UnexpectedResponse, match="goods/filter"):
        await all_pages(make_client().price_pages())
