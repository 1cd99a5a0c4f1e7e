import re
import time

import aiohttp
import msgspec
import pytest

from app.marketplaces.contract import KeyFacts
from app.marketplaces.errors import CredentialsRejected, MarketplaceDown, MarketplaceError, RateLimited, ScopeMissing, UnexpectedResponse
from app.marketplaces.exchange import Answer, Budget, Call
from app.marketplaces.limits import LimitNews, Permit
from app.marketplaces.transport import Transport
from app.marketplaces.wildberries.client import WildberriesClient
from app.marketplaces.wildberries.hosts import WildberriesHosts
from app.secret import Secret
from tests.marketplaces.keys import ALL_CATEGORIES, DAY_S, SELLER_ID, make_key
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply
from tests.marketplaces.wildberries.asking import MakeClient, all_pages
from tests.marketplaces.wildberries.examples import (
    BASE_TOKEN_NOT_ALLOWED,
    CARD,
    PING,
    SCOPE_NOT_ALLOWED,
    TOO_MANY_REQUESTS,
    cards_page,
    goods_page,
    trash_page,
)
from tests.marketplaces.wildberries.examples import many_cards as cards

pytestmark = pytest.mark.anyio

NO_TRASH = json_reply(trash_page())


async def test_a_good_key_tells_its_facts_after_one_ping(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(PING)]
    expires_at_s = int(time.time()) + 10 * DAY_S

    facts = await make_client(make_key(exp=expires_at_s)).verify()

    assert [(request.method, request.path) for request in server.requests] == [("GET", "/ping")]
    assert facts.expires_at is not None
    assert facts.expires_at.timestamp() == expires_at_s
    assert msgspec.structs.replace(facts, expires_at=None) == KeyFacts(
        seller_id=SELLER_ID,
        token_type="service",
        scopes=("products", "stocks", "prices", "orders"),
        read_only=True,
        least_interval_minutes=30,
    )


async def test_a_key_without_analytics_is_valid_and_lacks_stocks(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(PING)]

    facts = await make_client(make_key(s=ALL_CATEGORIES - 4)).verify()

    assert facts.scopes == ("products", "prices", "orders")
    assert facts.missing_scopes == ("stocks",)
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

    assert facts == KeyFacts(least_interval_minutes=30)


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
    server: ScriptedServer, http: aiohttp.ClientSession, make_client: MakeClient
) -> None:
    server.replies = [json_reply(PING)]
    test_key = make_key(acc=2, t=True, **{"for": None})

    with pytest.raises(CredentialsRejected, match="sandbox only"):
        await WildberriesClient(test_key, Transport(http), WildberriesHosts()).verify()
    facts = await make_client(test_key).verify()

    assert facts.token_type == "test"


async def test_a_key_without_analytics_reads_orders_from_the_statistics(make_client: MakeClient) -> None:
    neither = make_client(make_key(s=ALL_CATEGORIES - 4 - 32)).read_key()
    statistics = make_client(make_key(s=ALL_CATEGORIES - 4)).read_key()

    assert neither.missing_scopes == ("stocks", "orders")
    assert statistics.missing_scopes == ("stocks",)


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
    server.replies = [json_reply(PING), json_reply(cards_page(CARD)), NO_TRASH]
    client = make_client(client_secret=Secret("of-the-service"))

    await client.verify()
    await client.fetch_products()

    assert [request.headers["x-client-secret"] for request in server.requests] == ["of-the-service"] * 3


async def test_the_key_goes_raw_and_no_secret_goes_where_there_is_none(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(PING)]
    key = make_key()

    await make_client(key).verify()

    assert server.requests[0].headers["authorization"] == key.reveal()
    assert "x-client-secret" not in server.requests[0].headers


async def test_a_missing_category_names_the_box_to_tick(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(SCOPE_NOT_ALLOWED, 401)]

    with pytest.raises(ScopeMissing) as refusal:
        await make_client().fetch_products()

    assert refusal.value.scope == "Content"


async def test_a_short_429_is_slept_and_a_long_one_is_raised(server: ScriptedServer, make_client: MakeClient, slept_s: list[float]) -> None:
    short = json_reply(TOO_MANY_REQUESTS, 429, **{"X-Ratelimit-Retry": "3"})
    hours = json_reply(TOO_MANY_REQUESTS, 429, **{"x-ratelimit-retry": "10299"})
    server.replies = [short, json_reply(cards_page(CARD)), NO_TRASH, hours]
    client = make_client()

    products = await client.fetch_products()
    with pytest.raises(RateLimited) as refusal:
        await client.fetch_products()

    assert len(products) == 1
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


async def test_a_call_says_from_which_budget_it_draws_and_how_large_that_is(server: ScriptedServer, http: aiohttp.ClientSession) -> None:
    asked: list[Call] = []

    class Witness:
        async def take(self, call: Call) -> Permit:
            asked.append(call)
            return Permit(0.0)

        async def renew(self, call: Call, permit: Permit) -> Permit:
            return permit

        async def learn(
            self, call: Call, permit: Permit, answer: Answer | None, news: LimitNews | None, error: MarketplaceError | None, age_s: float
        ) -> None:
            pass

    hosts = WildberriesHosts(content=server.url, prices=server.url)
    base = make_key(acc=1, **{"for": None})
    unreadable = Secret("0123456789abcdef")
    transport = Transport(http, limits=Witness())

    for key, secret in ((make_key(), None), (base, None), (base, Secret("of-the-service")), (unreadable, None)):
        server.replies = [json_reply(goods_page())]
        await all_pages(WildberriesClient(key, transport, hosts, secret).price_pages())

    assert [call.account for call in asked[:3]] == [
        f"wildberries:{SELLER_ID}:service:00000000-0000-4000-8000-000000000001",
        f"wildberries:{SELLER_ID}:base",
        f"wildberries:{SELLER_ID}:base_with_secret",
    ]
    assert asked[3].account.endswith(":unknown")
    assert unreadable.reveal() not in asked[3].account
    assert {call.group for call in asked} == {"prices"}
    assert [call.budget for call in asked] == [Budget(0.6, 5), Budget(900.0, 1), Budget(0.6, 5), Budget(0.6, 5)]


async def test_every_error_can_be_told_in_russian(server: ScriptedServer, make_client: MakeClient) -> None:
    replies = [
        json_reply({"detail": "token expired"}, 401),
        json_reply(SCOPE_NOT_ALLOWED, 401),
        json_reply(BASE_TOKEN_NOT_ALLOWED, 403),
        json_reply({"code": "PLUG-404-20260720"}, 404),
        json_reply(TOO_MANY_REQUESTS, 429, **{"X-Ratelimit-Retry": "3600"}),
        Reply(status=502),
        Reply(status=418),
        Reply(body=b"<html>"),
        Reply(body=b'{"cards": ['),
    ]
    told: list[str] = []

    for reply in replies:
        server.replies = [reply]
        with pytest.raises(MarketplaceError) as error:
            await make_client().fetch_products()
        told.append(error.value.told("ru"))

    assert all(re.search("[а-я]{4}", sentence) for sentence in told)
    assert "Контент" in told[1]
