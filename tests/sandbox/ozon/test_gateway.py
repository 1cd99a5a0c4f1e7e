"""What Ozon's gateway has against a request, and in which order."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.sandbox.ozon.gateway import METHODS, RETIRED
from app.sandbox.ozon.keys import issue_ozon_key, issue_ozon_token
from tests.sandbox.conftest import FROZEN_AT
from tests.sandbox.ozon.calls import FBO, FBS, LIST, PRICES, ROLES, WAREHOUSES, refused
from tests.sandbox.ozon.conftest import CLIENT_ID

pytestmark = pytest.mark.anyio

DEACTIVATED = (403, 7, "Api-key is deactivated, use another one or generate a new one")
WRONG = (404, 5, "Invalid Api-Key, please check the key and try again")
ROLELESS = (403, 7, "Api-Key is missing a required role for a method")
EVERYTHING = {"filter": {"visibility": "ALL"}, "limit": 1}


def key(**options: Any) -> dict[str, str]:
    return {"Client-Id": str(CLIENT_ID), "Api-Key": issue_ozon_key(CLIENT_ID, **options)}


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({"Client-Id": "", "Api-Key": ""}, (401, 16, "Client-Id and Api-Key headers are required")),
        ({"Client-Id": "123456", "Api-Key": ""}, (401, 16, "Client-Id and Api-Key headers are required")),
        ({"Client-Id": "", "Api-Key": "wrong"}, (401, 16, "Client-Id and Api-Key headers are required")),
        ({"Client-Id": "shop", "Api-Key": "wrong"}, (400, 3, "Client-Id header value should be positive integer")),
        ({"Client-Id": "0", "Api-Key": "wrong"}, (400, 3, "Client-Id header value should be positive integer")),
        ({"Client-Id": "-5", "Api-Key": "wrong"}, (400, 3, "Client-Id header value should be positive integer")),
        ({"Client-Id": "123456", "Api-Key": "wrong"}, WRONG),
        ({"Client-Id": "123456", "Api-Key": issue_ozon_key(654321)}, WRONG),
        ({"Client-Id": "123456", "Api-Key": issue_ozon_token(123456)}, WRONG),
        ({"Client-Id": "123456", "Api-Key": issue_ozon_key(123456, expires_at=FROZEN_AT, roles=())}, DEACTIVATED),
        ({"Client-Id": "123456", "Api-Key": issue_ozon_key(123456, roles=())}, ROLELESS),
        ({"Authorization": "Bearer wrong"}, (401, 16, "Invalid access token")),
        ({"Authorization": f"Bearer {issue_ozon_key(123456)}"}, (401, 16, "Invalid access token")),
        ({"Authorization": f"Bearer {issue_ozon_token(123456, expires_at=FROZEN_AT)}"}, DEACTIVATED),
    ],
)
async def test_the_first_thing_that_is_wrong_is_named_before_the_body_is_read(
    ozon: httpx.AsyncClient, headers: dict[str, str], refusal: tuple[int, int, str]
) -> None:
    ozon.headers.update(headers)

    assert await refused(ozon, LIST, filter="nonsense") == refusal


async def test_a_body_is_read_only_within_the_limit(ozon: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.patch("", json={"limits": True})
    for _ in range(50):
        assert (await refused(ozon, LIST))[0] == 400

    refusal = await refused(ozon, LIST)

    assert refusal == (429, 8, "You have reached request rate limit per second")


async def test_fifty_requests_a_second_are_let_through_whatever_the_method_and_key(
    ozon: httpx.AsyncClient, control: httpx.AsyncClient
) -> None:
    await control.patch("", json={"limits": True})
    statuses = [(await ozon.post(path, json=EVERYTHING, headers=key())).status_code for path in (LIST, PRICES) * 30]
    refusal = await ozon.post(ROLES)
    await control.post("/clock", json={"advance_s": 1})
    again = await ozon.post(ROLES)

    assert statuses == [200] * 50 + [429] * 10
    assert (refusal.headers["ratelimit-remaining"], refusal.headers["retry-after"]) == ("0", "1")
    assert (again.status_code, again.headers["ratelimit-remaining"]) == (200, "49")


async def test_the_list_of_warehouses_comes_once_a_minute(ozon: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.patch("", json={"limits": True})
    first = await ozon.post(WAREHOUSES, json={"limit": 200})
    refusal = await ozon.post(WAREHOUSES, json={"limit": 200})
    other = await ozon.post(ROLES)
    await control.post("/clock", json={"advance_s": 60})
    again = await ozon.post(WAREHOUSES, json={"limit": 200})

    assert [answer.status_code for answer in (first, refusal, other, again)] == [200, 429, 200, 200]
    assert refusal.headers["retry-after"] == "60"


@pytest.mark.parametrize("path", METHODS)
async def test_every_method_wants_a_post(ozon: httpx.AsyncClient, path: str) -> None:
    assert (await ozon.get(path)).status_code == 405


@pytest.mark.parametrize("path", [*RETIRED, "/v1/nothing", "/v1/warehouse/list", "/"])
async def test_what_ozon_has_not_or_no_longer_is_not_found(ozon: httpx.AsyncClient, path: str) -> None:
    assert await refused(ozon, path, filter={}) == (404, 5, "Not Found")


@pytest.mark.parametrize("path", ["/v1/roles", "/v1/seller/info"])
async def test_what_a_key_is_can_be_asked_without_body_and_role(ozon: httpx.AsyncClient, path: str) -> None:
    assert (await ozon.post(path, headers=key(roles=()))).status_code == 200


async def test_roles_tell_what_the_key_opens_and_until_when(ozon: httpx.AsyncClient) -> None:
    expires_at = FROZEN_AT + timedelta(days=9)
    answer = (
        await ozon.post(ROLES, headers=key(roles=("Posting FBS", "Product read only"), closed=[PRICES], expires_at=expires_at))
    ).json()

    assert answer["expires_at"] == "2026-12-01T11:00:00Z"
    assert [role["name"] for role in answer["roles"]] == ["Posting FBS", "Product read only"]
    assert answer["roles"][0]["methods"] == ["/v4/posting/fbs", "/v2/warehouse"]
    assert PRICES not in answer["roles"][1]["methods"]
    assert LIST in answer["roles"][1]["methods"]


async def test_a_role_opens_its_methods_and_all_below_what_it_names(ozon: httpx.AsyncClient) -> None:
    period = {"since": "2026-11-20T00:00:00Z", "to": "2026-11-22T00:00:00Z"}
    ozon.headers.update(key(roles=("Posting FBS",)))

    assert (await ozon.post(FBS, json={"filter": period, "limit": 1})).status_code == 200
    assert await refused(ozon, FBO, filter=period, limit=1) == ROLELESS
    assert await refused(ozon, LIST, **EVERYTHING) == ROLELESS


async def test_a_single_method_can_be_taken_from_a_key(ozon: httpx.AsyncClient) -> None:
    ozon.headers.update(key(roles=("Admin",), closed=[PRICES]))

    assert (await ozon.post(LIST, json=EVERYTHING)).status_code == 200
    assert await refused(ozon, PRICES, **EVERYTHING) == ROLELESS


async def test_a_key_dies_in_the_middle_of_a_sync(ozon: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    ozon.headers.update(key(expires_at=FROZEN_AT + timedelta(seconds=30)))
    before = await ozon.post(LIST, json=EVERYTHING)
    await control.post("/clock", json={"advance_s": 30})

    assert before.status_code == 200
    assert await refused(ozon, LIST, **EVERYTHING) == DEACTIVATED


@pytest.mark.parametrize("form", [False, True])
async def test_an_application_trades_its_secret_for_a_token(ozon: httpx.AsyncClient, sandbox_url: str, form: bool) -> None:
    question = {"grant_type": "client_credentials", "client_id": str(CLIENT_ID), "client_secret": key()["Api-Key"]}
    answer = await ozon.post("/oauth/token", **({"data": question} if form else {"json": question}))
    token = answer.json()

    assert (token["token_type"], token["expires_in"]) == ("Bearer", 1800)
    async with httpx.AsyncClient(base_url=f"{sandbox_url}/ozon", verify=False) as client:
        listed = await client.post(LIST, json=EVERYTHING, headers={"Authorization": f"Bearer {token['access_token']}"})
    assert listed.json() == (await ozon.post(LIST, json=EVERYTHING)).json()


@pytest.mark.parametrize(
    ("question", "status"),
    [
        ({}, 400),
        ({"grant_type": "authorization_code", "client_id": CLIENT_ID, "client_secret": key()["Api-Key"]}, 400),
        ({"grant_type": "client_credentials", "client_id": 1, "client_secret": key()["Api-Key"]}, 404),
        ({"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": "wrong"}, 404),
    ],
)
async def test_nobody_else_gets_a_token(ozon: httpx.AsyncClient, question: dict[str, Any], status: int) -> None:
    assert (await ozon.post("/oauth/token", json=question)).status_code == status


async def test_requests_are_counted_by_seller_method_and_status(ozon: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await ozon.post(LIST, json=EVERYTHING)
    await ozon.post(LIST, json={})
    await ozon.post("/v1/nothing")

    counts = (await control.get("/requests", params={"seller_id": "00000000-0000-0000-0000-00000001e240"})).json()

    assert counts == {f"POST {LIST}": {"200": 1, "400": 1}, "POST unknown": {"404": 1}}
