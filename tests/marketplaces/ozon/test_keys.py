"""Telling what a key is, offline and by asking."""

from datetime import UTC, datetime

import pytest

from app.marketplaces.errors import CredentialsRejected, MarketplaceDown
from app.marketplaces.ozon.client import OzonClient
from app.marketplaces.ozon.keys import OzonCredentials, OzonKey, OzonToken
from app.secret import Secret
from tests.marketplaces.ozon import examples
from tests.marketplaces.ozon.conftest import KEY, MakeClient, questions
from tests.marketplaces.scripted_server import ScriptedServer, json_reply

pytestmark = pytest.mark.anyio


async def test_a_pair_says_whose_it_is(client: OzonClient) -> None:
    facts = client.read_key()

    assert (facts.seller_id, facts.token_type) == ("123456", "api_key")


@pytest.mark.parametrize("client_id", ["", "0", "-5", "12a", "٣", "1.5", " 7", "007", str(2**63), "9" * 40])
async def test_what_is_no_client_id_is_never_sent(server: ScriptedServer, make_client: MakeClient, client_id: str) -> None:
    client = make_client(OzonCredentials(client_id, KEY.api_key))

    with pytest.raises(CredentialsRejected, match="Client-Id") as refusal:
        await client.verify()

    assert server.requests == []
    assert "Client-Id" in refusal.value.detail_ru


@pytest.mark.parametrize("key", ["", "a b", "line\nbreak", "ключ", "x" * 5000])
async def test_what_can_not_be_a_key_is_never_sent(server: ScriptedServer, make_client: MakeClient, key: str) -> None:
    for unusable in (OzonCredentials("123456", Secret(key)), OzonToken(Secret(key))):
        with pytest.raises(CredentialsRejected, match="can't be a key"):
            await make_client(unusable).fetch_products()

    assert server.requests == []


async def test_one_call_tells_what_the_key_may_do_and_until_when(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.ROLES)]

    facts = await client.verify()

    assert facts.scopes == ("products", "stocks", "prices", "orders")
    assert facts.missing_scopes == ()
    assert facts.expires_at == datetime(2027, 1, 15, 9, 54, 23, 296000, tzinfo=UTC)
    [request] = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/v1/roles", b"")
    assert (request.headers["client-id"], request.headers["api-key"]) == ("123456", KEY.api_key.reveal())


async def test_an_oauth_token_goes_in_place_of_the_pair(server: ScriptedServer, make_client: MakeClient) -> None:
    server.replies = [json_reply(examples.ROLES)]

    facts = await make_client(OzonToken(Secret("an-oauth-token"))).verify()

    [request] = server.requests
    assert request.headers["authorization"] == "Bearer an-oauth-token"
    assert not {"client-id", "api-key"} & request.headers.keys()
    assert (facts.seller_id, facts.token_type) == (None, "oauth")


@pytest.mark.parametrize(
    ("methods", "scopes"),
    [
        (["/v3/product", "/v5/product/info"], ("products", "prices")),
        (["/v3/prod", "/v5/product/info/pric"], ()),
        (["/v4/posting/fbs/list"], ()),
        (["/v4/posting/", "/v3/posting/fbo/list"], ("orders",)),
        (["", "/v1"], ()),
        (None, ()),
    ],
    ids=["beginnings", "not in the middle of a word", "half of a stage", "either", "neither", "none"],
)
async def test_a_role_names_methods_or_their_beginnings(
    server: ScriptedServer, client: OzonClient, methods: list[str] | None, scopes: tuple[str, ...]
) -> None:
    server.replies = [json_reply({"roles": [{"name": "Some role", "methods": methods}]})]

    facts = await client.verify()

    assert facts.scopes == scopes
    assert facts.missing_scopes == tuple(stage for stage in ("products", "stocks", "prices", "orders") if stage not in scopes)
    assert facts.expires_at is None


async def test_a_date_that_stands_for_none_is_none(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply({**examples.ROLES, "expires_at": "0001-01-01T00:00:00Z"})]

    assert (await client.verify()).expires_at is None


async def test_a_wrong_key_is_told_by_a_404(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.WRONG_KEY, 404)]

    with pytest.raises(CredentialsRejected):
        await client.verify()

    assert len(server.requests) == 1


async def test_a_key_that_may_not_ask_for_its_roles_is_accepted_all_the_same(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply(examples.NO_ROLE, 403)]

    assert await client.verify() == client.read_key()


async def test_somebody_waits_for_the_verdict_so_it_is_tried_twice_only(server: ScriptedServer, client: OzonClient) -> None:
    server.replies = [json_reply({}, 503)]

    with pytest.raises(MarketplaceDown):
        await client.verify()

    assert questions(server) == [("/v1/roles", None)] * 2


@pytest.mark.parametrize(
    "key", [OzonToken(Secret("an-opaque-oauth-token")), OzonToken(Secret("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjMifQ.c2lnbmF0dXJlLg")), KEY]
)
async def test_a_key_that_the_answer_repeats_reaches_no_log(server: ScriptedServer, make_client: MakeClient, key: OzonKey) -> None:
    secret = (key.access_token if isinstance(key, OzonToken) else key.api_key).reveal()
    server.replies = [json_reply({"message": f"no such key: {secret}, and {secret.split('.')[0]}"}, 401)]

    with pytest.raises(CredentialsRejected) as refusal:
        await make_client(key).verify()

    assert "no such key: ***" in refusal.value.excerpt
    assert secret.split(".")[0] not in refusal.value.excerpt
