import json

import pytest

from app.marketplaces.contract import FetchedProduct, Rejected, Size
from app.marketplaces.errors import UnexpectedResponse
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply
from tests.marketplaces.wildberries.asking import MakeClient, all_pages, sent
from tests.marketplaces.wildberries.examples import CARD, cards_page, trash_page
from tests.marketplaces.wildberries.examples import many_cards as cards

pytestmark = pytest.mark.anyio

NO_TRASH = json_reply(trash_page())
MUG = FetchedProduct(
    external_id="201000118",
    article="MUG-WHITE-01",
    title="Кружка белая 350 мл",
    brand="Sample Home",
    category="Кружки",
    image_url="https://img.example.invalid/201000118/c516x688/1.webp",
    sizes=(Size("330100901", "", ("2040000000017",)),),
)


async def test_cards_become_products(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(cards_page(CARD)), NO_TRASH]
    client = make_client()

    products = await client.fetch_products()

    assert products == [MUG]
    assert client.traffic.requests == 2


async def test_pages_are_walked_by_the_cursor_until_a_short_one(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [
        json_reply(cards_page(*cards(1, 100), updated_at="2026-01-01T00:00:00Z")),
        json_reply(cards_page(*cards(101, 100), updated_at="2026-01-02T00:00:00Z")),
        json_reply(cards_page(*cards(201, 7), updated_at="2026-01-03T00:00:00Z")),
        NO_TRASH,
    ]

    pages = await all_pages(make_client().product_pages())

    assert [len(page.items) for page in pages] == [100, 100, 7]
    settings = [body["settings"] for body in sent(server)[:3]]
    assert all(each["sort"] == {"ascending": True} and each["filter"] == {"withPhoto": -1} for each in settings)
    assert [each["cursor"] for each in settings] == [
        {"limit": 100},
        {"limit": 100, "updatedAt": "2026-01-01T00:00:00Z", "nmID": 100},
        {"limit": 100, "updatedAt": "2026-01-02T00:00:00Z", "nmID": 200},
    ]


async def test_a_walk_goes_on_behind_the_cursor_that_was_stored(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(cards_page(*cards(1, 100), updated_at="2026-01-01T00:00:00Z")), json_reply(cards_page()), NO_TRASH]
    nothing_new = [json_reply(cards_page()), NO_TRASH]
    first, _ = await all_pages(make_client().product_pages())

    server.requests.clear()
    server.replies = nothing_new
    [second] = await all_pages(make_client().product_pages(first.cursor))

    assert sent(server)[0]["settings"]["cursor"] == {"limit": 100, "updatedAt": "2026-01-01T00:00:00Z", "nmID": 100}
    assert second.items == []
    assert second.cursor == first.cursor


async def test_a_full_last_page_is_followed_by_an_empty_one(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(cards_page(*cards(1, 100))), json_reply({"cards": None, "cursor": {"total": 0}}), NO_TRASH]

    pages = await all_pages(make_client().product_pages())

    assert [len(page.items) for page in pages] == [100, 0]
    assert pages[1].cursor == pages[0].cursor


async def test_a_cursor_that_comes_back_ends_the_walk_with_an_error(server: ScriptedServer, make_client: MakeClient) -> None:
    there = json_reply(cards_page(*cards(1, 100), updated_at="2026-01-01T00:00:00Z"))
    back = json_reply(cards_page(*cards(101, 100), updated_at="2026-01-02T00:00:00Z"))
    server.replies = [there, back, there, back]

    with pytest.raises(UnexpectedResponse, match="would never end"):
        await all_pages(make_client().product_pages())

    assert len(server.requests) == 3


async def test_a_full_page_without_a_cursor_ends_the_walk_with_an_error(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply({"cards": cards(1, 100), "cursor": {"total": 100}})]

    with pytest.raises(UnexpectedResponse, match="would never end"):
        await all_pages(make_client().product_pages())

    assert len(server.requests) == 1


async def test_a_malformed_card_costs_itself_only(server: ScriptedServer, make_client: MakeClient) -> None:
    bad = [{**CARD, "nmID": 7, "sizes": [{"techSize": "42"}]}, {**CARD, "nmID": "x" * 100}, {**CARD, "nmID": -1}, "no card at all"]
    server.replies = [json_reply({**cards_page(CARD), "cards": [CARD, *bad, {**CARD, "nmID": 9}]}), NO_TRASH]

    [page] = await all_pages(make_client().product_pages())

    assert [product.external_id for product in page.items] == ["201000118", "9"]
    assert page.rejected == (
        Rejected("7", "Object missing required field `chrtID` - at `$.sizes[0]`"),
        Rejected("x" * 40, "Expected `int`, got `str` - at `$.nmID`"),
        Rejected("-1", "Expected `int` >= 1 - at `$.nmID`"),
        Rejected(None, "Expected `object`, got `str`"),
    )


async def test_a_card_whose_text_is_not_utf8_costs_itself_only(server: ScriptedServer, make_client: MakeClient) -> None:
    body = json.dumps(cards_page(CARD, {**CARD, "nmID": 7, "title": "?!?"}), ensure_ascii=False).encode().replace(b"?!?", b"\xff\xfe")
    server.replies = [Reply(body=body), NO_TRASH]

    [page] = await all_pages(make_client().product_pages())

    assert page.items == [MUG]
    assert [rejected.external_id for rejected in page.rejected] == ["7"]


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b"{}",
        b'{"cards": []}',
        b'{"cards": {}, "cursor": {"total": 0}}',
        b'{"cards": [], "cursor": {}}',
        b'{"data": null, "error": true, "errorText": "Something", "additionalErrors": {}}',
        b"<html><body>Good morning</body></html>",
        b'{"cards": [1, 2], "cursor": {"total": 2}}',
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["null", "list", "object", "no cursor", "cards are an object", "no total", "error", "html", "none understood", "deep"],
)
async def test_an_answer_of_another_shape_is_unexpected_and_not_asked_for_again(
    server: ScriptedServer, make_client: MakeClient, body: bytes
) -> None:
    server.replies = [Reply(body=body)]

    with pytest.raises(UnexpectedResponse, match="/content/v2/get/cards/list"):
        await make_client().fetch_products()

    assert len(server.requests) == 1


@pytest.mark.parametrize("length", [0, 1, 500, 1000])
async def test_json_that_is_cut_short_is_asked_for_again(server: ScriptedServer, make_client: MakeClient, length: int) -> None:
    server.replies = [Reply(body=json.dumps(cards_page(CARD)).encode()[:length]), json_reply(cards_page(CARD)), NO_TRASH]

    products = await make_client().fetch_products()

    assert products == [MUG]


async def test_a_card_of_little_is_a_product_of_little(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [
        json_reply(cards_page({"nmID": 5}, {"nmID": 6, "title": None, "brand": None, "photos": None, "sizes": None, "vendorCode": None})),
        NO_TRASH,
    ]

    products = await make_client().fetch_products()

    assert products == [FetchedProduct(external_id, "", "", "", "", None, ()) for external_id in ("5", "6")]


async def test_what_is_too_long_is_cut_and_nul_is_left_out(server: ScriptedServer, make_client: MakeClient) -> None:
    card = {
        **CARD,
        "nmID": 2**63 - 1,
        "vendorCode": "a" * 300,
        "title": "t" * 600,
        "brand": "b\0" * 200,
        "subjectName": "я" * 300,
        "sizes": [{"chrtID": 2**63 - 1, "techSize": "s" * 200, "skus": ["20\0", "", "2040000000024"]}],
    }
    server.replies = [json_reply(cards_page(card)), NO_TRASH]

    [product] = await make_client().fetch_products()

    assert product.external_id == "9223372036854775807"
    assert (product.article, product.title, product.brand, product.category) == ("a" * 200, "t" * 500, "b" * 200, "я" * 200)
    assert product.sizes == (Size("9223372036854775807", "s" * 100, ("2040000000024",)),)


async def test_sizes_that_have_names_keep_them(server: ScriptedServer, make_client: MakeClient) -> None:
    sizes = [{"chrtID": 1, "techSize": "XL", "skus": ["1", "2"]}, {"chrtID": 2, "techSize": "42", "skus": None}, {"chrtID": 3}]
    server.replies = [json_reply(cards_page({**CARD, "sizes": sizes})), NO_TRASH]

    [product] = await make_client().fetch_products()

    assert product.sizes == (Size("1", "XL", ("1", "2")), Size("2", "42", ()), Size("3", "", ()))


@pytest.mark.parametrize(
    ("photos", "expected"),
    [
        ([], None),
        ([{"big": "https://img.example.invalid/big.webp"}], "https://img.example.invalid/big.webp"),
        ([{"c516x688": "javascript:alert(1)"}], None),
        ([{"c516x688": "https://img.example.invalid/" + "x" * 1000}], None),
    ],
)
async def test_the_picture_is_an_address_or_none(
    server: ScriptedServer, make_client: MakeClient, photos: list[dict[str, str]], expected: str | None
) -> None:
    server.replies = [json_reply(cards_page({**CARD, "photos": photos})), NO_TRASH]

    [product] = await make_client().fetch_products()

    assert product.image_url == expected


async def test_fields_that_nobody_announced_are_skipped(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(cards_page({**CARD, "hologram": {"depth": [1, {"x": None}]}}) | {"news": True}), NO_TRASH]

    products = await make_client().fetch_products()

    assert products == [MUG]


# ---- the trash


async def test_cards_in_the_trash_are_gone(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(cards_page(CARD)), json_reply(trash_page(7, 8))]

    first, second = await all_pages(make_client().product_pages())

    assert (first.items, first.gone) == ([MUG], ())
    assert (second.items, second.gone) == ([], ("7", "8"))
    assert sent(server)[1] == {"settings": {"sort": {"ascending": True}, "cursor": {"limit": 100}}}


async def test_both_lists_are_gone_on_with_behind_their_own_place(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(cards_page(CARD)), json_reply(trash_page(7)), json_reply(cards_page()), NO_TRASH]
    pages = await all_pages(make_client().product_pages())

    await all_pages(make_client().product_pages(pages[-1].cursor))

    cards_cursor, trash_cursor = (body["settings"]["cursor"] for body in sent(server)[2:])
    assert cards_cursor == {"limit": 100, "updatedAt": CARD["updatedAt"], "nmID": CARD["nmID"]}
    assert trash_cursor == {"limit": 100, "trashedAt": "2026-11-22T09:00:00Z", "nmID": 7}


async def test_a_cursor_that_an_earlier_version_stored_is_gone_on_with(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(cards_page()), NO_TRASH]

    [page] = await all_pages(make_client().product_pages(b'{"updatedAt":"2026-01-01T00:00:00Z","nmID":100}'))

    assert sent(server)[0]["settings"]["cursor"] == {"limit": 100, "updatedAt": "2026-01-01T00:00:00Z", "nmID": 100}
    assert sent(server)[1]["settings"]["cursor"] == {"limit": 100}
    assert page.cursor == b'{"updatedAt":"2026-01-01T00:00:00Z","nmID":100}'


async def test_a_long_trash_is_walked_by_its_cursor(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [
        json_reply(cards_page()),
        json_reply(trash_page(*range(1, 101), trashed_at="2026-01-01T00:00:00Z")),
        json_reply(trash_page(101, trashed_at="2026-01-02T00:00:00Z")),
    ]

    pages = await all_pages(make_client().product_pages())

    assert [len(page.gone) for page in pages] == [0, 100, 1]
    assert sent(server)[-1]["settings"]["cursor"] == {"limit": 100, "trashedAt": "2026-01-01T00:00:00Z", "nmID": 100}


async def test_a_trash_whose_cursor_comes_back_ends_the_walk_with_an_error(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(cards_page()), json_reply(trash_page(*range(1, 101)))]

    with pytest.raises(UnexpectedResponse, match="would never end"):
        await all_pages(make_client().product_pages())

    assert len(server.requests) == 3


async def test_a_malformed_card_in_the_trash_costs_itself_only(server: ScriptedServer, make_client: MakeClient) -> None:
    page = trash_page(7, 8)
    page["cards"][0]["nmID"] = "seven"
    server.replies = [json_reply(cards_page()), json_reply(page)]

    pages = await all_pages(make_client().product_pages())

    assert pages[-1].gone == ("8",)
    assert [rejected.external_id for rejected in pages[-1].rejected] == ["seven"]
