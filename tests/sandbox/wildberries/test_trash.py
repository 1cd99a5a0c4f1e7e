"""Cards that were thrown away are listed in the order in which they were, until they are restored."""

from uuid import UUID

import httpx
import pytest

from tests.sandbox.calls import Json, walk_cards
from tests.sandbox.conformance import CARDS, TRASH

pytestmark = pytest.mark.anyio


async def list_trash(wb: httpx.AsyncClient, *, ascending: bool = True, text: str = "", **cursor: object) -> Json:
    settings = {"sort": {"ascending": ascending}, "filter": {"textSearch": text}, "cursor": {"limit": 100, **cursor}}
    answer = await wb.post(TRASH, json={"settings": settings})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def throw_away(control: httpx.AsyncClient, seller_id: UUID, cards: list[Json]) -> None:
    """One a second."""
    for card in cards:
        await control.post("/clock", json={"advance_s": 1})
        await control.delete(f"/shops/{seller_id}/products/{card['nmID']}")


async def test_an_empty_trash_says_so(wb: httpx.AsyncClient) -> None:
    assert await list_trash(wb) == {"cards": [], "cursor": {"total": 0}}


async def test_cards_come_in_the_order_in_which_they_were_thrown_away(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    cards = await walk_cards(wb)
    chosen = [cards[7], cards[2], cards[11]]
    await throw_away(control, seller_id, chosen)

    page = await list_trash(wb)
    newest_first = await list_trash(wb, ascending=False)

    assert [card["nmID"] for card in page["cards"]] == [card["nmID"] for card in chosen]
    assert [card["sizes"] for card in page["cards"]] == [card["sizes"] for card in chosen]
    assert page["cards"][0]["trashedAt"] == "2026-11-22T11:00:01Z"
    assert page["cursor"] == {"trashedAt": "2026-11-22T11:00:03Z", "nmID": chosen[-1]["nmID"], "total": 3}
    assert newest_first["cards"] == page["cards"][::-1]


@pytest.mark.parametrize("ascending", [True, False])
async def test_the_cursor_goes_on_behind_the_last_card_even_among_those_of_one_instant(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID, ascending: bool
) -> None:
    for card in (await walk_cards(wb))[:5]:
        await control.delete(f"/shops/{seller_id}/products/{card['nmID']}")
    whole = (await list_trash(wb, ascending=ascending))["cards"]

    found: list[Json] = []
    cursor: Json = {}
    for _ in range(3):
        page = await list_trash(wb, ascending=ascending, **{**cursor, "limit": 2})
        found += page["cards"]
        cursor = {name: page["cursor"][name] for name in ("trashedAt", "nmID")}

    assert page["cursor"]["total"] == 1
    assert found == whole
    assert len(whole) == 5


async def test_what_is_restored_is_a_card_again_that_has_just_changed(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    card = (await walk_cards(wb))[4]
    await throw_away(control, seller_id, [card])

    await control.post("/clock", json={"advance_s": 59})
    restored = await control.post(f"/shops/{seller_id}/products/{card['nmID']}/restore")
    again = await control.post(f"/shops/{seller_id}/products/{card['nmID']}/restore")

    assert (restored.status_code, again.status_code) == (204, 404)
    assert (await list_trash(wb))["cards"] == []
    assert (await walk_cards(wb))[-1] == {**card, "updatedAt": "2026-11-22T11:01:00Z"}


async def test_a_text_finds_an_article(wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID) -> None:
    cards = (await walk_cards(wb))[:3]
    await throw_away(control, seller_id, cards)

    assert [card["nmID"] for card in (await list_trash(wb, text=cards[1]["vendorCode"]))["cards"]] == [cards[1]["nmID"]]


@pytest.mark.parametrize("cursor", [{"limit": 0}, {"limit": 101}, {"trashedAt": "yesterday", "nmID": 1}])
async def test_a_wrong_cursor_is_rejected_with_a_reason(wb: httpx.AsyncClient, cursor: Json) -> None:
    answer = await wb.post(TRASH, json={"settings": {"cursor": cursor}})

    assert answer.status_code == 400
    assert answer.json()["errorText"].startswith("Invalid request: cursor.")


async def test_a_body_of_another_shape_can_not_be_decoded(wb: httpx.AsyncClient) -> None:
    answer = await wb.post(TRASH, json={"settings": []})

    assert (answer.status_code, answer.text) == (400, "Request body can not be decoded")


async def test_the_trash_and_the_cards_share_a_limit(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.patch("", json={"limits": True})

    answers = [await wb.post(path, json={}) for path in (CARDS, TRASH, CARDS, TRASH, CARDS, TRASH)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 200, 429]
