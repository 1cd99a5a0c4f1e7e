"""Walking through the list of products."""

import pytest

from app.marketplaces.contract import FetchedProduct, Rejected, Size
from app.marketplaces.errors import UnexpectedResponse
from app.marketplaces.ozon.client import OzonClient
from tests.marketplaces.ozon import examples
from tests.marketplaces.ozon.conftest import all_pages, questions
from tests.marketplaces.scripted_server import ScriptedServer, json_reply

pytestmark = pytest.mark.anyio

LIST, INFO = "/v3/product/list", "/v3/product/info/list"
NOTHING = json_reply(examples.product_list())


async def test_a_product_arrives_in_our_words(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.product_list(1000001)), json_reply({"items": [examples.INFO]}), NOTHING]

    [product] = await client.fetch_products()

    size = Size("900000001", "", ("4600000000017",))
    image = "https://cdn.example.test/0.jpg"
    assert product == FetchedProduct("1000001", "TSHIRT-BLK-M", "T-shirt, black, M", "", "", image, (size,), archived=False)


async def test_those_on_sale_come_first_and_then_the_archived_ones(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [
        json_reply(examples.product_list(1, 2, last_id="a")),
        json_reply(examples.infos(1, 2)),
        NOTHING,
        json_reply(examples.product_list(3)),
        json_reply({"items": [{"id": "3"}]}),
    ]

    pages = await all_pages(client.product_pages())

    assert [[(product.external_id, product.archived) for product in page.items] for page in pages] == [
        [("1", False), ("2", False)],
        [("3", True)],
        [],
    ]
    assert pages[-1].cursor == b""
    assert all(page.cursor for page in pages[:-1])
    assert questions(server) == [
        (LIST, {"filter": {"visibility": "ALL"}, "last_id": "", "limit": 1000}),
        (INFO, {"product_id": ["1", "2"]}),
        (LIST, {"filter": {"visibility": "ALL"}, "last_id": "a", "limit": 1000}),
        (LIST, {"filter": {"visibility": "ARCHIVED"}, "last_id": "", "limit": 1000}),
        (INFO, {"product_id": ["3"]}),
    ]


async def test_a_walk_goes_on_behind_any_page_that_was_stored(server: ScriptedServer, client: OzonClient) -> None:
    replies = [
        json_reply(examples.product_list(1, last_id="a")),
        json_reply(examples.infos(1)),
        json_reply(examples.product_list(2)),
        json_reply(examples.infos(2)),
        json_reply(examples.product_list(3, last_id="b")),
        json_reply(examples.infos(3)),
        NOTHING,
    ]
    server.replies = replies
    pages = await all_pages(client.product_pages())

    for stored in range(3):
        server.requests.clear()
        server.replies = replies[2 * (stored + 1) :]
        rest = await all_pages(client.product_pages(pages[stored].cursor))

        assert rest == pages[stored + 1 :]


async def test_a_product_that_its_details_leave_out_is_rejected_and_so_not_taken_for_gone(
    server: ScriptedServer, client: OzonClient
) -> None:
    server.replies = [json_reply(examples.product_list(1, 2)), json_reply(examples.infos(2)), NOTHING]

    page, *_ = await all_pages(client.product_pages())

    assert [product.external_id for product in page.items] == ["2"]
    assert page.rejected == (Rejected("1", "It is listed, and has no details."),)


async def test_details_of_none_of_many_are_not_believed(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.product_list(1, 2)), json_reply({"items": []})]

    with pytest.raises(UnexpectedResponse, match="knows none of 2 products"):
        await client.fetch_products()


async def test_one_malformed_product_costs_itself_only(server: ScriptedServer, client: OzonClient) -> None:
    details = {"items": [{**examples.INFO, "id": 1}, {**examples.INFO, "id": 2, "barcodes": 5}, {"id": "none of ours"}]}
    server.replies = [json_reply(examples.product_list(1, 2, 3)), json_reply(details), NOTHING]

    page, _ = await all_pages(client.product_pages())

    assert [product.external_id for product in page.items] == ["1"]
    assert [rejected.external_id for rejected in page.rejected] == ["2", "3"]
    assert page.rejected[0] == Rejected("2", "Expected `array | null`, got `int` - at `$.barcodes`")


async def test_a_malformed_entry_of_the_list_is_rejected_too(server: ScriptedServer, client: OzonClient) -> None:
    entries = {"result": {"items": [{"product_id": 1}, {"product_id": "x"}, None], "last_id": ""}}
    server.replies = [json_reply(entries), json_reply(examples.infos(1)), NOTHING]

    page, _ = await all_pages(client.product_pages())

    assert [rejected.external_id for rejected in page.rejected] == ["x", None]


async def test_null_is_as_good_as_absent_and_text_as_good_as_a_number(server: ScriptedServer, client: OzonClient) -> None:
    bare = {
        "id": "7",
        "sku": "900",
        "offer_id": None,
        "name": None,
        "barcodes": None,
        "images": None,
        "primary_image": "http://no.test/1.jpg",
    }
    server.replies = [json_reply(examples.product_list(7)), json_reply({"items": [bare]}), NOTHING]

    [product] = await client.fetch_products()

    assert product == FetchedProduct("7", "", "", "", "", None, (Size("900", "", ()),))


async def test_a_product_without_a_sku_has_no_size_yet(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.product_list(7)), json_reply({"items": [{**examples.INFO, "sku": 0}]}), NOTHING]

    [product] = await client.fetch_products()

    assert product.sizes == ()


async def test_a_list_that_would_never_end_is_stopped(server: ScriptedServer, client: OzonClient) -> None:
    many = range(1, 1001)
    page, details = json_reply(examples.product_list(*many, last_id="a")), json_reply(examples.infos(*many))
    server.replies = [page, details, page, details, page]

    with pytest.raises(UnexpectedResponse, match="never end"):
        await client.fetch_products()


async def test_a_short_page_that_repeats_its_cursor_is_the_last_one(server: ScriptedServer, client: OzonClient) -> None:
    page, details = json_reply(examples.product_list(1, last_id="a")), json_reply(examples.infos(1))
    server.replies = [page, details, page, details, NOTHING]

    assert {product.external_id for product in await client.fetch_products()} == {"1"}


@pytest.mark.parametrize("answer", [{}, {"result": {}}, {"result": {"items": None}}, [], "text"])
async def test_an_answer_without_the_list_is_no_empty_list(server: ScriptedServer, client: OzonClient, answer: object) -> None:
    server.replies = [json_reply(answer)]

    with pytest.raises(UnexpectedResponse) as refusal:
        await client.fetch_products()

    assert refusal.value.detail_ru == "Ozon ответил на /v3/product/list не так, как описано."
