"""The clients of both example bots, against the whole product."""

import asyncio
import json
import secrets
import subprocess
import sys
from uuid import uuid4

import httpx
import pytest

from app.cli.demo import Receiver
from app.sandbox.tokens import issue_token
from tests.examples.conftest import EXAMPLES, NODE
from tests.stories.product import Product

pytestmark = pytest.mark.anyio

NODE_STORY = """
import { StockTracker, ApiError, verifyWebhook } from "%s";
const [api, serviceKey, telegramUserId, receiver, key] = process.argv.slice(1);
const send = globalThis.fetch, renewals = [];
globalThis.fetch = (url, options) => {
  if (/auth.(refresh|telegram)$/.test(url)) renewals.push(url.split("/").pop());
  return send(url, options);
};
const seller = new StockTracker(api, serviceKey, Number(telegramUserId));
await seller.register("Ромашка");
await seller.register("Ромашка");
const webhook = await seller.createWebhook(receiver, ["sync.completed"]);
const page = await seller.keyPage();
const given = await send(page, { method: "POST", body: new URLSearchParams({ wildberries_api_key: key }) });
let products;
do { products = await seller.products({ limit: 500 }); } while (!products.length);

renewals.length = 0;
seller.tokens = { access: "not.a.token", refresh: seller.tokens.refresh };
await Promise.all([1, 2, 3, 4, 5].map(() => seller.products()));
seller.tokens = { access: "not.a.token", refresh: "not a token" };
await seller.products();
const ways = [...renewals];
let refused;
try { await seller.keyPage("amazon"); } catch (error) { refused = error; }
let unreachable;
try { await new StockTracker("http://127.0.0.1:9", serviceKey, 1).products(); } catch (error) { unreachable = error; }
console.log(JSON.stringify({ secret: webhook.secret, given: given.status, products: products.length, renewals: ways,
  refused: [refused instanceof ApiError, refused.status, refused.code, refused.requestId.length], unreachable: unreachable.code }));
"""


@pytest.fixture
def client_module(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(EXAMPLES / "aiogram_bot")
    import stock_tracker

    yield stock_tracker
    del sys.modules["stock_tracker"]


@pytest.fixture
async def http(product: Product):
    async with httpx.AsyncClient(base_url=f"{product.parts.api}/api/v1", trust_env=False, timeout=20) as client:
        yield client


def new_user() -> int:
    return 10**9 + secrets.randbelow(10**9)


@pytest.fixture
def renewals(http: httpx.AsyncClient) -> list[str]:
    """How tokens were got."""
    ways: list[str] = []

    async def note(request: httpx.Request) -> None:
        if request.url.path.startswith("/api/v1/auth/"):
            ways.append(request.url.path.rpartition("/")[2])

    http.event_hooks["request"].append(note)
    return ways


async def test_calls_that_find_the_access_token_run_out_share_one_renewal(client_module, http, service_key: str, renewals: list[str]):
    seller = client_module.StockTracker(http, service_key, new_user())
    await seller.register("Ромашка")
    seller.tokens = client_module.Tokens("not.a.token", seller.tokens.refresh)

    pages = await asyncio.gather(*(seller.products() for _ in range(5)))

    assert pages == [[]] * 5
    assert renewals == ["telegram", "refresh"]


async def test_a_lost_session_is_opened_again_with_the_service_key(client_module, http, service_key: str, renewals: list[str]):
    seller = client_module.StockTracker(http, service_key, new_user())
    await seller.register("Ромашка")
    seller.tokens = client_module.Tokens("not.a.token", "not a token")

    assert await seller.products() == []

    assert renewals == ["telegram", "refresh", "telegram"]


async def test_a_client_without_tokens_signs_in_by_itself(client_module, http, service_key: str):
    user = new_user()
    await client_module.StockTracker(http, service_key, user).register("Ромашка")

    assert await client_module.StockTracker(http, service_key, user).products() == []


async def test_who_did_not_register_is_told_apart(client_module, http, service_key: str):
    with pytest.raises(client_module.ApiError) as refused:
        await client_module.StockTracker(http, service_key, new_user()).products()

    assert (refused.value.status, refused.value.code) == (422, "validation_failed")


async def test_registering_twice_is_signing_in_and_another_key_opens_nothing(client_module, http, service_key: str):
    user = new_user()
    await client_module.StockTracker(http, service_key, user).register("Ромашка")

    await client_module.StockTracker(http, service_key, user).register("Ромашка")
    with pytest.raises(client_module.ApiError) as refused:
        await client_module.StockTracker(http, f"{service_key[:-8]}AAAAAAAA", user).register("Ромашка")

    assert (refused.value.status, refused.value.code) == (401, "not_authenticated")


async def test_no_secret_shows_in_a_repr(client_module, http, service_key: str):
    seller = client_module.StockTracker(http, service_key, new_user())
    await seller.register("Ромашка")

    assert seller.tokens.access not in repr(seller.tokens)
    assert "whsec" not in repr(client_module.Webhook("id", "whsec_AAAA"))


async def test_an_api_that_is_away_is_an_error_like_others(client_module):
    async with httpx.AsyncClient(base_url="http://127.0.0.1:9/api/v1", trust_env=False) as nowhere:
        with pytest.raises(client_module.ApiError) as away:
            await client_module.StockTracker(nowhere, "stk_", new_user()).products()

    assert (away.value.status, away.value.code) == (503, "unreachable")


def test_the_client_for_node_plays_the_whole_flow(product: Product, service_key: str):
    with Receiver() as receiver:
        arguments = [f"{product.parts.api}/api/v1", service_key, str(new_user()), receiver.url, issue_token(uuid4(), products=7)]
        story = NODE_STORY % (EXAMPLES / "grammy_bot" / "stock_tracker.mjs").as_uri()

        done = subprocess.run(
            [str(NODE), "--input-type=module", "--eval", story, *arguments], capture_output=True, text=True, timeout=60, check=False
        )

        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        event = receiver.next_event(told["secret"], 30)
    assert event["data"]["counts"]["products"]["total"] == told["products"] == 7
    assert told["given"] == 200
    assert told["renewals"] == ["refresh", "refresh", "telegram"]
    assert told["refused"] == [True, 422, "validation_failed", 36]
    assert told["unreachable"] == "unreachable"
