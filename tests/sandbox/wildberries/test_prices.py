"""Prices come page by page or by article, and are those of the shop."""

from decimal import Decimal
from uuid import UUID, uuid4

import httpx
import pytest

from app.sandbox.tokens import issue_token
from tests.sandbox.calls import Json, walk_cards
from tests.sandbox.conformance import PRICES

pytestmark = pytest.mark.anyio


async def list_prices(wb: httpx.AsyncClient, **query: int) -> list[Json]:
    answer = await wb.get(PRICES, params={"limit": 1000, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["listGoods"]


async def test_every_card_has_a_price_and_the_sums_are_the_shops(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    cards = {card["nmID"]: card for card in await walk_cards(wb)}

    prices = await list_prices(wb)

    totals = (await control.get(f"/shops/{seller_id}")).json()
    assert {goods["nmID"] for goods in prices} == set(cards)
    assert all(goods["vendorCode"] == cards[goods["nmID"]]["vendorCode"] for goods in prices)
    assert sum(goods["sizes"][0]["price"] for goods in prices) == totals["price_sum"]
    assert sum(Decimal(str(goods["sizes"][0]["discountedPrice"])) for goods in prices) == Decimal(totals["discounted_price_sum"])


async def test_discounts_are_taken_off_one_after_the_other(wb: httpx.AsyncClient) -> None:
    for goods in await list_prices(wb):
        for size in goods["sizes"]:
            discounted = Decimal(size["price"]) * (100 - goods["discount"]) / 100
            assert Decimal(str(size["discountedPrice"])) == discounted
            assert Decimal(str(size["clubDiscountedPrice"])) == discounted * (100 - goods["clubDiscount"]) / 100


async def test_pages_by_offset_make_the_whole_and_behind_them_is_an_empty_one(wb: httpx.AsyncClient) -> None:
    whole = await list_prices(wb)

    pages = [await list_prices(wb, limit=10, offset=offset) for offset in (0, 10, 20, 30)]

    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert [goods for page in pages for goods in page] == whole


async def test_articles_are_asked_for_alone_or_by_list(wb: httpx.AsyncClient) -> None:
    whole = await list_prices(wb)
    chosen = [whole[3]["nmID"], whole[1]["nmID"]]

    alone = await list_prices(wb, filterNmID=chosen[0])
    several = await wb.post(PRICES, json={"nmList": [*chosen, 1]})

    assert alone == [whole[3]]
    assert several.json()["data"]["listGoods"] == [whole[1], whole[3]]


async def test_a_price_that_the_seller_changed_is_told_at_once(wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID) -> None:
    before = (await list_prices(wb))[0]

    await control.patch(f"/shops/{seller_id}/products/{before['nmID']}", json={"price": 5000, "discount": 20})
    after = (await list_prices(wb))[0]

    assert (after["discount"], after["sizes"][0]["price"], after["sizes"][0]["discountedPrice"]) == (20, 5000, 4000)
    assert after["clubDiscount"] == before["clubDiscount"]


async def test_what_is_in_the_trash_has_no_price(wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID) -> None:
    whole = await list_prices(wb)

    await control.delete(f"/shops/{seller_id}/products/{whole[0]['nmID']}")

    assert await list_prices(wb) == whole[1:]
    assert await list_prices(wb, filterNmID=whole[0]["nmID"]) == []


@pytest.mark.parametrize("query", [{}, {"limit": 0}, {"limit": 1001}, {"limit": "all"}, {"limit": 10, "offset": -1}])
async def test_a_wrong_page_is_rejected(wb: httpx.AsyncClient, query: dict[str, int]) -> None:
    answer = await wb.get(PRICES, params=query)

    assert answer.status_code == 400
    assert answer.json() == {"data": None, "error": True, "errorText": "Invalid request parameters"}


@pytest.mark.parametrize("nm_ids", [[], list(range(1001)), ["x"]])
async def test_a_wrong_list_is_rejected(wb: httpx.AsyncClient, nm_ids: list[object]) -> None:
    assert (await wb.post(PRICES, json={"nmList": nm_ids})).status_code == 400


async def test_reading_and_asking_by_list_share_a_limit(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.patch("", json={"limits": True})
    wb.headers["Authorization"] = issue_token(uuid4(), token_type="base")

    first = await wb.get(PRICES, params={"limit": 10})
    second = await wb.post(PRICES, json={"nmList": [1]})

    assert (first.status_code, second.status_code) == (200, 429)
    assert second.headers["X-Ratelimit-Retry"] == "900"
