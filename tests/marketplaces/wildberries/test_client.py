import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from app.marketplaces.contract import FetchedProduct, FetchedStock, Fulfilment, KeyFacts, Page, Rejected, Size
from app.marketplaces.errors import CredentialsRejected, MarketplaceDown, MarketplaceError, RateLimited, ScopeMissing, UnexpectedResponse
from app.marketplaces.exchange import Call
from app.marketplaces.limits import Permit
from app.marketplaces.transport import Backoff, Transport
from app.marketplaces.wildberries import client as client_module
from app.marketplaces.wildberries.client import WildberriesClient, WildberriesHosts
from app.secret import Secret
from tests.marketplaces.keys import ALL_CATEGORIES, DAY_S, SELLER_ID, make_key
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply
from tests.marketplaces.wildberries.examples import (
    BASE_TOKEN_NOT_ALLOWED,
    CARD,
    PING,
    SCOPE_NOT_ALLOWED,
    SELLER_STOCK,
    TOO_MANY_REQUESTS,
    WB_STOCK,
    cards_page,
    stock_report,
)

pytestmark = pytest.mark.anyio

MakeClient = Callable[..., WildberriesClient]
MUG = FetchedProduct(
    external_id="201000118",
    article="MUG-WHITE-01",
    title="Кружка белая 350 мл",
    brand="Sample Home",
    category="Кружки",
    image_url="https://img.example.invalid/201000118/c516x688/1.webp",
    sizes=(Size("330100901", "", ("2040000000017",)),),
)
MUGS_AT_WILDBERRIES = FetchedStock("201000118", "330100901", "-999999", "Склад WB", 43, 5, 2)
MUGS_AT_HOME = FetchedStock("201000118", "330100901", "501001", "Основной склад", 11, 0, 0)


@pytest.fixture
def slept_s() -> list[float]:
    return []


@pytest.fixture
def make_client(server: ScriptedServer, http: httpx.AsyncClient, slept_s: list[float]) -> MakeClient:
    """A client whose hosts are all the scripted server, and whose pauses take no time."""

    async def sleep(seconds: float) -> None:
        slept_s.append(seconds)

    def make(key: Secret | None = None, **options: Any) -> WildberriesClient:
        hosts = WildberriesHosts(**dict.fromkeys(WildberriesHosts.__struct_fields__, server.url))
        return WildberriesClient(make_key() if key is None else key, Transport(http, backoff=Backoff(0, 0), sleep=sleep), hosts, **options)

    return make


async def all_pages(pages: Any) -> list[Page[Any]]:
    return [page async for page in pages]


def sent(server: ScriptedServer) -> list[Any]:
    return [json.loads(request.body) for request in server.requests]


def cards(first: int, number: int) -> list[dict[str, Any]]:
    return [{**CARD, "nmID": nm_id} for nm_id in range(first, first + number)]


# ---- the key


async def test_a_good_key_tells_its_facts_after_one_ping(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(PING)]
    expires_at_s = int(time.time()) + 10 * DAY_S

    facts = await make_client(make_key(exp=expires_at_s)).verify()

    assert [(request.method, request.path) for request in server.requests] == [("GET", "/ping")]
    assert facts.expires_at is not None
    assert facts.expires_at.timestamp() == expires_at_s
    assert msgspec.structs.replace(facts, expires_at=None) == KeyFacts(
        seller_id=SELLER_ID, token_type="service", scopes=("products", "stocks", "prices", "orders"), read_only=True
    )


async def test_a_key_without_analytics_is_valid_and_lacks_two_stages(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(PING)]

    facts = await make_client(make_key(s=ALL_CATEGORIES - 4)).verify()

    assert facts.scopes == ("products", "prices")
    assert facts.missing_scopes == ("stocks", "orders")
    assert facts.read_only is False


async def test_a_key_that_wildberries_accepts_without_content_is_valid_and_lacks_products(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    server.replies = [json_reply(SCOPE_NOT_ALLOWED, 401)]

    facts = await make_client(make_key()).verify()

    assert facts.scopes == ("stocks", "prices", "orders")
    assert facts.missing_scopes == ("products",)


async def test_a_key_that_cannot_be_read_is_for_wildberries_to_judge(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(PING), json_reply({"detail": "token problem; token is malformed"}, 401)]
    client = make_client(Secret("0123456789abcdef"))

    facts = await client.verify()
    with pytest.raises(CredentialsRejected, match="does not accept the key"):
        await client.verify()

    assert facts == KeyFacts()


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (make_key(exp=1000000000), "The key expired on 2001-09-09."),
        (Secret(""), "can't be a Wildberries key"),
        (Secret("eyJ\r\nX-Injected: 1"), "can't be a Wildberries key"),
        (Secret("ключ"), "can't be a Wildberries key"),
        (Secret("\udc80"), "can't be a Wildberries key"),
        (Secret("x" * 5000), "can't be a Wildberries key"),
    ],
    ids=["expired", "empty", "line break", "cyrillic", "surrogate", "endless"],
)
async def test_a_key_that_is_known_to_fail_is_never_sent(
    server: ScriptedServer, make_client: MakeClient, key: Secret, sentence: str
) -> None:
    client = make_client(key)

    for attempt in (client.verify, client.fetch_products, client.fetch_stocks):
        with pytest.raises(CredentialsRejected, match=sentence):
            await attempt()

    assert server.requests == []


async def test_a_test_key_is_refused_by_the_real_hosts_and_taken_by_others(
    server: ScriptedServer, http: httpx.AsyncClient, make_client: MakeClient
) -> None:
    server.replies = [json_reply(PING)]
    test_key = make_key(acc=2, t=True, **{"for": None})

    with pytest.raises(CredentialsRejected, match="sandbox only"):
        await WildberriesClient(test_key, Transport(http), WildberriesHosts()).verify()
    facts = await make_client(test_key).verify()

    assert facts.token_type == "test"


async def test_a_web_page_instead_of_a_ping_proves_no_key(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [Reply(body=b"<html>Sign in to the hotel's network</html>", content_type="text/html")]

    with pytest.raises(UnexpectedResponse, match="/ping"):
        await make_client().verify()


async def test_a_verdict_is_not_waited_for_long(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [Reply(status=502)]

    with pytest.raises(MarketplaceDown):
        await make_client().verify()

    assert len(server.requests) == 2


async def test_the_services_own_secret_goes_with_each_call(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(PING), json_reply(cards_page(CARD))]
    client = make_client(client_secret=Secret("of-the-service"))

    await client.verify()
    await client.fetch_products()

    assert [request.headers["x-client-secret"] for request in server.requests] == ["of-the-service"] * 2


async def test_the_key_goes_raw_and_no_secret_goes_where_there_is_none(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(PING)]
    key = make_key()

    await make_client(key).verify()

    assert server.requests[0].headers["authorization"] == key.reveal()
    assert "x-client-secret" not in server.requests[0].headers


# ---- products


async def test_cards_become_products(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(cards_page(CARD))]
    client = make_client()

    products = await client.fetch_products()

    assert products == [MUG]
    assert client.traffic.requests == 1


async def test_pages_are_walked_by_the_cursor_until_a_short_one(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [
        json_reply(cards_page(*cards(1, 100), updated_at="2026-01-01T00:00:00Z")),
        json_reply(cards_page(*cards(101, 100), updated_at="2026-01-02T00:00:00Z")),
        json_reply(cards_page(*cards(201, 7), updated_at="2026-01-03T00:00:00Z")),
    ]

    pages = await all_pages(make_client().product_pages())

    assert [len(page.items) for page in pages] == [100, 100, 7]
    settings = [body["settings"] for body in sent(server)]
    assert all(each["sort"] == {"ascending": True} and each["filter"] == {"withPhoto": -1} for each in settings)
    assert [each["cursor"] for each in settings] == [
        {"limit": 100},
        {"limit": 100, "updatedAt": "2026-01-01T00:00:00Z", "nmID": 100},
        {"limit": 100, "updatedAt": "2026-01-02T00:00:00Z", "nmID": 200},
    ]


async def test_a_walk_goes_on_behind_the_cursor_that_was_stored(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(cards_page(*cards(1, 100), updated_at="2026-01-01T00:00:00Z")), json_reply(cards_page())]
    first, _ = await all_pages(make_client().product_pages())

    [second] = await all_pages(make_client().product_pages(first.cursor))

    assert sent(server)[-1]["settings"]["cursor"] == {"limit": 100, "updatedAt": "2026-01-01T00:00:00Z", "nmID": 100}
    assert second.items == []
    assert second.cursor == first.cursor


async def test_a_full_last_page_is_followed_by_an_empty_one(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(cards_page(*cards(1, 100))), json_reply({"cards": None, "cursor": {"total": 0}})]

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
    server.replies = [json_reply({**cards_page(CARD), "cards": [CARD, *bad, {**CARD, "nmID": 9}]})]

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
    server.replies = [Reply(body=body)]

    [page] = await all_pages(make_client().product_pages())

    assert page.items == [MUG]
    assert [rejected.external_id for rejected in page.rejected] == ["7"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
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
    ids=["empty", "null", "list", "object", "no cursor", "cards are an object", "no total", "error", "html", "none understood", "deep"],
)
async def test_an_answer_of_another_shape_is_unexpected_and_not_asked_for_again(
    server: ScriptedServer, make_client: MakeClient, body: bytes
) -> None:
    server.replies = [Reply(body=body)]

    with pytest.raises(UnexpectedResponse, match="/content/v2/get/cards/list"):
        await make_client().fetch_products()

    assert len(server.requests) == 1


async def test_json_that_is_cut_short_is_asked_for_again(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [Reply(body=json.dumps(cards_page(CARD)).encode()[:500]), json_reply(cards_page(CARD))]

    products = await make_client().fetch_products()

    assert products == [MUG]


async def test_a_card_of_little_is_a_product_of_little(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [
        json_reply(cards_page({"nmID": 5}, {"nmID": 6, "title": None, "brand": None, "photos": None, "sizes": None, "vendorCode": None}))
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
    server.replies = [json_reply(cards_page(card))]

    [product] = await make_client().fetch_products()

    assert product.external_id == "9223372036854775807"
    assert (product.article, product.title, product.brand, product.category) == ("a" * 200, "t" * 500, "b" * 200, "я" * 200)
    assert product.sizes == (Size("9223372036854775807", "s" * 100, ("2040000000024",)),)


async def test_sizes_that_have_names_keep_them(server: ScriptedServer, make_client: MakeClient) -> None:
    sizes = [{"chrtID": 1, "techSize": "XL", "skus": ["1", "2"]}, {"chrtID": 2, "techSize": "42", "skus": None}, {"chrtID": 3}]
    server.replies = [json_reply(cards_page({**CARD, "sizes": sizes}))]

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
    server.replies = [json_reply(cards_page({**CARD, "photos": photos}))]

    [product] = await make_client().fetch_products()

    assert product.image_url == expected


async def test_fields_that_nobody_announced_are_skipped(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(cards_page({**CARD, "hologram": {"depth": [1, {"x": None}]}}) | {"news": True})]

    products = await make_client().fetch_products()

    assert products == [MUG]


# ---- stock


async def test_the_stock_of_both_kinds_of_warehouse_is_one_list(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(stock_report(WB_STOCK)), json_reply(stock_report(SELLER_STOCK))]

    stocks = await make_client().fetch_stocks()

    assert stocks == [MUGS_AT_WILDBERRIES, MUGS_AT_HOME]
    assert [request.path for request in server.requests] == [
        "/api/analytics/v1/stocks-report/wb-warehouses",
        "/api/analytics/v1/stocks-report/seller-warehouses",
    ]
    assert sent(server) == [{"limit": 250_000, "offset": 0, "nmIds": []}] * 2


@pytest.mark.parametrize(
    "nothing", [Reply(status=204, content_type=None), json_reply(stock_report()), json_reply({"data": {"items": None}})]
)
async def test_no_stock_is_one_empty_page(server: ScriptedServer, make_client: MakeClient, nothing: Reply) -> None:
    server.replies = [nothing]

    pages = await all_pages(make_client().stock_pages(Fulfilment.SELLER_WAREHOUSE))

    assert pages == [Page([], b"")]


async def test_a_long_report_is_walked_by_offset_and_handed_on_in_slices(
    monkeypatch: pytest.MonkeyPatch, server: ScriptedServer, make_client: MakeClient
) -> None:
    monkeypatch.setattr(client_module, "ROWS_PER_REPORT_PAGE", 5)
    monkeypatch.setattr(client_module, "ROWS_PER_SLICE", 2)
    rows = [{**WB_STOCK, "chrtId": chrt_id} for chrt_id in range(1, 11)]
    server.replies = [json_reply(stock_report(*rows[:5])), json_reply(stock_report(*rows[5:])), Reply(status=204, content_type=None)]

    pages = await all_pages(make_client().stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE))

    assert [len(page.items) for page in pages] == [2, 2, 1, 2, 2, 1]
    assert [stock.size_id for page in pages for stock in page.items] == [str(row["chrtId"]) for row in rows]
    assert [(body["limit"], body["offset"]) for body in sent(server)] == [(5, 0), (5, 5), (5, 10)]


async def test_a_report_that_repeats_itself_ends_with_an_error(
    monkeypatch: pytest.MonkeyPatch, server: ScriptedServer, make_client: MakeClient
) -> None:
    monkeypatch.setattr(client_module, "ROWS_PER_REPORT_PAGE", 1)
    server.replies = [json_reply(stock_report(WB_STOCK))]

    with pytest.raises(UnexpectedResponse, match="would never end"):
        await all_pages(make_client().stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE))

    assert len(server.requests) == 2


async def test_the_second_page_of_a_report_is_worth_a_longer_wait_than_the_first(
    monkeypatch: pytest.MonkeyPatch, server: ScriptedServer, make_client: MakeClient, slept_s: list[float]
) -> None:
    monkeypatch.setattr(client_module, "ROWS_PER_REPORT_PAGE", 1)
    wait = json_reply(TOO_MANY_REQUESTS, 429, **{"X-Ratelimit-Retry": "20"})
    server.replies = [json_reply(stock_report(WB_STOCK)), wait, Reply(status=204, content_type=None), wait]
    client = make_client()

    pages = await all_pages(client.stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE))
    with pytest.raises(RateLimited):
        await all_pages(client.stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE))

    assert [page.items for page in pages] == [[MUGS_AT_WILDBERRIES]]
    assert len(slept_s) == 1


async def test_a_malformed_row_costs_itself_only(server: ScriptedServer, make_client: MakeClient) -> None:
    bad = [{**WB_STOCK, "quantity": -1}, {**WB_STOCK, "quantity": 2**31}, {**WB_STOCK, "chrtId": None}, {**WB_STOCK, "nmId": [1]}]
    server.replies = [json_reply(stock_report(*bad, WB_STOCK))]

    [page] = await all_pages(make_client().stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE))

    assert page.items == [MUGS_AT_WILDBERRIES]
    assert [rejected.external_id for rejected in page.rejected] == ["201000118", "201000118", "201000118", None]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"items": []}', b'{"data": null}', b'{"data": {"items": [1, 2]}}', b'{"data": {"items": {}}}']
)
async def test_a_report_of_another_shape_is_unexpected(server: ScriptedServer, make_client: MakeClient, body: bytes) -> None:
    server.replies = [Reply(body=body)]

    with pytest.raises(UnexpectedResponse, match="wb-warehouses"):
        await all_pages(make_client().stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE))

    assert len(server.requests) == 1


async def test_a_warehouse_nobody_heard_of_is_data_like_any_other(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(stock_report({**WB_STOCK, "warehouseId": 507, "warehouseName": "Коледино", "inWayToClient": None}))]

    [page] = await all_pages(make_client().stock_pages(Fulfilment.MARKETPLACE_WAREHOUSE))

    assert page.items == [FetchedStock("201000118", "330100901", "507", "Коледино", 43, 0, 2)]


# ---- refusals on the way


async def test_a_missing_category_names_the_box_to_tick(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(SCOPE_NOT_ALLOWED, 401)]

    with pytest.raises(ScopeMissing) as refusal:
        await make_client().fetch_products()

    assert refusal.value.scope == "Content"


async def test_a_report_that_is_closed_to_base_tokens_says_so_in_plain_words(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(BASE_TOKEN_NOT_ALLOWED, 403)]
    client = make_client(make_key(acc=1, **{"for": None}))

    with pytest.raises(ScopeMissing) as refusal:
        await all_pages(client.stock_pages(Fulfilment.SELLER_WAREHOUSE))

    assert refusal.value.detail == "Wildberries gives the stock of the seller's warehouses to Personal and Service tokens only."


async def test_a_short_429_is_slept_and_a_long_one_is_raised(server: ScriptedServer, make_client: MakeClient, slept_s: list[float]) -> None:
    short = json_reply(TOO_MANY_REQUESTS, 429, **{"X-Ratelimit-Retry": "3"})
    hours = json_reply(TOO_MANY_REQUESTS, 429, **{"x-ratelimit-retry": "10299"})
    server.replies = [short, json_reply(cards_page(CARD)), hours]
    client = make_client()

    products = await client.fetch_products()
    with pytest.raises(RateLimited) as refusal:
        await client.fetch_products()

    assert products == [MUG]
    assert refusal.value.retry_after.total_seconds() == 10299
    assert len(slept_s) == 1
    assert client.traffic.waited_s == pytest.approx(slept_s[0])


async def test_a_key_that_is_revoked_in_the_middle_ends_the_walk_behind_the_pages_that_came(
    server: ScriptedServer, make_client: MakeClient
) -> None:
    server.replies = [json_reply(cards_page(*cards(1, 100))), json_reply({"detail": "token problem; withdrawn"}, 401)]
    pages = make_client().product_pages()

    first = await anext(pages)
    with pytest.raises(CredentialsRejected):
        await anext(pages)

    assert len(first.items) == 100
    assert len(server.requests) == 2


async def test_a_key_that_wildberries_repeats_is_masked(server: ScriptedServer, make_client: MakeClient) -> None:
    key = make_key()
    server.replies = [json_reply({"detail": f"token problem; token is malformed: {key.reveal()}"}, 401)]

    with pytest.raises(MarketplaceError) as refusal:
        await make_client(key).fetch_products()

    assert "token is malformed: ***" in refusal.value.excerpt
    assert key.reveal()[:20] not in refusal.value.excerpt + refusal.value.detail


async def test_limits_are_asked_by_seller_and_type_of_token_never_by_key(server: ScriptedServer, http: httpx.AsyncClient) -> None:
    asked: list[tuple[str, str]] = []

    class Budget:
        async def take(self, call: Call) -> Permit:
            asked.append((call.account, call.group))
            return Permit(0.0)

        async def renew(self, call: Call, permit: Permit) -> Permit:
            return permit

        async def learn(self, *_: object) -> None:
            """Nothing here depends on it."""

    server.replies = [json_reply(cards_page(CARD))]
    hosts = WildberriesHosts(content=server.url)
    unreadable = Secret("0123456789abcdef")

    await WildberriesClient(make_key(), Transport(http, limits=Budget()), hosts).fetch_products()
    await WildberriesClient(unreadable, Transport(http, limits=Budget()), hosts).fetch_products()

    assert asked[0] == (f"wildberries:{SELLER_ID}:service", "content")
    assert asked[1][0].endswith(":unknown")
    assert unreadable.reveal() not in asked[1][0]
