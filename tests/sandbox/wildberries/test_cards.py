"""The list of cards walks as Wildberries' does."""

import re
from collections import Counter
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app.sandbox.tokens import issue_token
from tests.contracts.specification import Specification
from tests.sandbox.calls import list_cards, walk_cards
from tests.sandbox.conformance import (
    CARDS,
    DESCRIBED,
    FBS_STOCKS,
    ORDER_FEED,
    PRICES,
    REMAINS,
    SELLER_INFO,
    SUPPLIER_ORDERS,
    SUPPLIER_SALES,
    TRASH,
    WAREHOUSES,
    WB_WAREHOUSES,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "host"),
    [
        (SELLER_INFO, "common-api"),
        (CARDS, "content-api"),
        (TRASH, "content-api"),
        (PRICES, "discounts-prices-api"),
        (WAREHOUSES, "marketplace-api"),
        (f"{FBS_STOCKS}/1", "marketplace-api"),
        (WB_WAREHOUSES, "seller-analytics-api"),
        (ORDER_FEED, "seller-analytics-api"),
        (REMAINS, "seller-analytics-api"),
        (f"{REMAINS}/tasks/1/status", "seller-analytics-api"),
        (f"{REMAINS}/tasks/1/download", "seller-analytics-api"),
        (SUPPLIER_ORDERS, "statistics-api"),
        (SUPPLIER_SALES, "statistics-api"),
    ],
)
def test_the_methods_that_we_play_are_described_at_the_hosts_where_we_play_them(path: str, host: str) -> None:
    _, ours, its_path = path.split("/", 2)
    [described] = [described for pattern, described in DESCRIBED.items() if re.fullmatch(pattern, f"/{its_path}")]

    servers = Specification.load(described.file).servers(f"/{its_path}")

    assert servers[0] == f"https://{host}.wildberries.ru"
    assert ours in host


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("limit", [7, 100])
async def test_a_walk_meets_every_card_once_even_where_hundreds_changed_together(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID, limit: int, ascending: bool
) -> None:
    await control.put(f"/shops/{seller_id}", json={"products": 1230})

    cards = await walk_cards(wb, limit, ascending=ascending)

    assert len({card["nmID"] for card in cards}) == len(cards) == 1230
    assert Counter(card["updatedAt"] for card in cards).most_common(1)[0][1] == 300
    places = [(datetime.fromisoformat(card["updatedAt"]), card["nmID"]) for card in cards]
    assert places == sorted(places, reverse=not ascending)


async def test_a_page_counts_itself_and_its_cursor_is_its_last_card(wb: httpx.AsyncClient) -> None:
    page = await list_cards(wb, {"limit": 20})
    rest = await list_cards(wb, {**page["cursor"], "limit": 20})

    last = page["cards"][-1]
    assert page["cursor"] == {"updatedAt": last["updatedAt"], "nmID": last["nmID"], "total": 20}
    assert rest["cursor"]["total"] == len(rest["cards"]) == 5


async def test_behind_the_last_card_there_is_a_page_without_a_place(wb: httpx.AsyncClient) -> None:
    page = await list_cards(wb, {"limit": 25})

    behind = await list_cards(wb, {**page["cursor"], "limit": 25})

    assert behind == {"cards": [], "cursor": {"total": 0}}


async def test_ten_cards_come_when_nobody_says_how_many_and_the_newest_come_first(wb: httpx.AsyncClient) -> None:
    everything = await walk_cards(wb)

    answer = await wb.post(CARDS, json={})

    assert [card["nmID"] for card in answer.json()["cards"]] == [card["nmID"] for card in everything[:-11:-1]]


async def test_a_cursor_without_an_id_gives_all_cards_of_its_instant(wb: httpx.AsyncClient) -> None:
    together = (await walk_cards(wb))[:8]
    assert len({card["updatedAt"] for card in together}) == 1

    upwards = await list_cards(wb, {"updatedAt": together[0]["updatedAt"], "limit": 8})
    downwards = await list_cards(wb, {"updatedAt": together[0]["updatedAt"], "limit": 8}, ascending=False)

    assert upwards["cards"] == together
    assert downwards["cards"] == together[::-1]


async def test_a_changed_card_moves_behind_the_saved_cursor_and_its_stock_moves_nothing(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    cards = await walk_cards(wb)
    saved = {"updatedAt": cards[-1]["updatedAt"], "nmID": cards[-1]["nmID"]}
    chosen, touched, counted = cards[3], cards[11], cards[20]

    await control.put(f"/shops/{seller_id}/stocks", json={"chrt_id": counted["sizes"][0]["chrtID"], "quantity": 9})
    await control.patch(f"/shops/{seller_id}/products/{touched['nmID']}", json={})
    await control.post("/clock", json={"advance_s": 60})
    await control.patch(f"/shops/{seller_id}/products/{chosen['nmID']}", json={"title": "Кружка «Новая»"})
    changed = await walk_cards(wb, after=saved)

    assert [card["nmID"] for card in changed] == [touched["nmID"], chosen["nmID"]]
    assert changed[0] == {**touched, "updatedAt": "2026-11-22T11:00:00Z"}
    assert changed[1]["title"] == "Кружка «Новая»"
    assert changed[1]["updatedAt"] == "2026-11-22T11:01:00Z"
    assert len(await walk_cards(wb)) == 25


async def test_a_new_card_appears_behind_the_saved_cursor_and_a_trashed_one_just_goes(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    cards = await walk_cards(wb)
    saved = {"updatedAt": cards[-1]["updatedAt"], "nmID": cards[-1]["nmID"]}

    added = (await control.post(f"/shops/{seller_id}/products", json={"count": 2})).json()["nm_ids"]
    await control.delete(f"/shops/{seller_id}/products/{cards[0]['nmID']}")
    changed = await walk_cards(wb, after=saved)

    assert [card["nmID"] for card in changed] == added
    assert {card["createdAt"] for card in changed} == {card["updatedAt"] for card in changed} == {"2026-11-22T11:00:00Z"}
    assert {card["nmID"] for card in await walk_cards(wb)} == {card["nmID"] for card in cards[1:]} | set(added)


async def test_filters_narrow_the_list_as_their_names_say(wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID) -> None:
    await control.put(f"/shops/{seller_id}", json={"products": 99, "seed": 3})
    cards = await walk_cards(wb)
    chosen = cards[40]

    async def found(**filter_: Any) -> list[int]:
        return [card["nmID"] for card in (await list_cards(wb, {"limit": 100}, **filter_))["cards"]]

    assert await found(withPhoto=0) == await found(withPhoto=-1) == [card["nmID"] for card in cards]
    assert await found(withPhoto=1) == [card["nmID"] for card in cards if card["photos"]]
    assert await found(withPhoto=2) == [card["nmID"] for card in cards if not card["photos"]] != []
    assert await found(brands=[chosen["brand"]]) == [card["nmID"] for card in cards if card["brand"] == chosen["brand"]]
    assert await found(objectIDs=[chosen["subjectID"]]) == [card["nmID"] for card in cards if card["subjectID"] == chosen["subjectID"]]
    assert await found(imtID=chosen["imtID"]) == [card["nmID"] for card in cards if card["imtID"] == chosen["imtID"]]
    for text in (chosen["vendorCode"], str(chosen["nmID"]), chosen["sizes"][0]["skus"][0]):
        assert await found(textSearch=text) == [chosen["nmID"]]


@pytest.mark.parametrize(
    "settings",
    [{"cursor": {"limit": 101}}, {"cursor": {"limit": 0}}, {"filter": {"withPhoto": 3}}, {"cursor": {"updatedAt": "yesterday", "nmID": 1}}],
)
async def test_a_question_that_is_understood_and_wrong_is_rejected_with_a_text(wb: httpx.AsyncClient, settings: object) -> None:
    answer = await wb.post(CARDS, json={"settings": settings})

    assert answer.status_code == 400
    assert answer.json()["error"] is True
    assert answer.json()["errorText"].startswith("Invalid request: ")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"settings":{"cursor":{"limit":"10"}}}'])
async def test_a_body_that_is_not_understood_is_rejected_without_json(wb: httpx.AsyncClient, body: bytes) -> None:
    answer = await wb.post(CARDS, content=body)

    assert answer.status_code == 400
    assert answer.text == "Request body can not be decoded"


async def test_unknown_fields_in_a_question_are_overlooked(wb: httpx.AsyncClient) -> None:
    answer = await wb.post(CARDS, json={"settings": {"cursor": {"limit": 3}, "filter": {"novelty": 1}}})

    assert answer.json()["cursor"]["total"] == 3


async def test_an_empty_shop_has_an_empty_list(wb: httpx.AsyncClient) -> None:
    wb.headers["Authorization"] = issue_token(uuid4(), products=0)

    assert await walk_cards(wb) == []
