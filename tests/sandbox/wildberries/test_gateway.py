"""The gateway lets in whom Wildberries' would, and says no in its words."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app.sandbox.tokens import Category, TokenType, issue_token
from tests.sandbox.conformance import CARDS, SELLER_INFO, SELLER_WAREHOUSES, WB_WAREHOUSES
from tests.sandbox.conftest import FROZEN_AT

pytestmark = pytest.mark.anyio

HOSTS = ("common", "content", "analytics", "prices", "marketplace", "statistics")


async def knock(client: httpx.AsyncClient, authorization: str, path: str = "/content/ping") -> httpx.Response:
    return await client.get(path, headers={"Authorization": authorization})


@pytest.mark.parametrize("host", HOSTS)
async def test_every_host_answers_a_ping_in_moscow_time(wb: httpx.AsyncClient, host: str) -> None:
    answer = await wb.get(f"/{host}/ping")

    assert answer.json() == {"TS": "2026-11-22T14:00:00+03:00", "Status": "OK"}


async def test_a_token_is_taken_bare_and_behind_bearer(wb: httpx.AsyncClient) -> None:
    token = issue_token(uuid4())

    assert (await knock(wb, token)).status_code == (await knock(wb, f"Bearer {token}")).status_code == 200


async def test_the_seller_is_told_who_they_are_with_a_token_of_any_category(wb: httpx.AsyncClient, seller_id: UUID) -> None:
    answer = await knock(wb, issue_token(seller_id, categories=[Category.PRICES]), SELLER_INFO)

    assert answer.json()["sid"] == str(seller_id)
    assert answer.json()["name"].startswith("ИП ")


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        ("", "empty Authorization header"),
        ("Bearer", "empty Authorization header"),
        ("nonsense", "token problem; token is malformed: token contains an invalid number of segments"),
        ("a.b!.c", "token problem; token is malformed: could not base64 decode header: illegal base64 data"),
        ("e30.e30.AAAA", "token problem; token is malformed: could not JSON decode claim"),
    ],
)
async def test_what_is_no_token_is_unauthorized_and_told_why(wb: httpx.AsyncClient, authorization: str, detail: str) -> None:
    answer = await knock(wb, authorization)

    assert answer.status_code == 401
    assert answer.json()["title"] == "unauthorized"
    assert answer.json()["detail"] == detail


async def test_an_expired_token_is_unauthorized_by_the_sandboxs_clock(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    token = issue_token(uuid4(), expires_at=FROZEN_AT + timedelta(minutes=5))
    in_time = await knock(wb, token)

    await control.post("/clock", json={"advance_s": 300})
    too_late = await knock(wb, token)

    assert in_time.status_code == 200
    assert too_late.status_code == 401
    assert too_late.json()["detail"] == "token expired"


@pytest.mark.parametrize("host", HOSTS[1:])
async def test_a_token_without_the_hosts_category_is_unauthorized_there_and_only_there(wb: httpx.AsyncClient, host: str) -> None:
    token = issue_token(uuid4(), categories=[category for category in Category if category.name.lower() != host])

    answers = {asked: await knock(wb, token, f"/{asked}/ping") for asked in HOSTS}

    assert {asked for asked, answer in answers.items() if answer.status_code != 200} == {host}
    assert answers[host].status_code == 401
    assert answers[host].json()["detail"] == "token scope not allowed"


async def test_a_test_token_is_not_for_these_hosts(wb: httpx.AsyncClient) -> None:
    answer = await knock(wb, issue_token(uuid4(), token_type="test"))

    assert answer.status_code == 401
    assert answer.json()["detail"] == "token scope not allowed"


@pytest.mark.parametrize(
    ("token_type", "secret", "path", "status"),
    [
        ("personal", "", WB_WAREHOUSES, 200),
        ("service", "", WB_WAREHOUSES, 200),
        ("base", "", WB_WAREHOUSES, 403),
        ("base", "of the service", WB_WAREHOUSES, 200),
        ("personal", "", SELLER_WAREHOUSES, 200),
        ("service", "", SELLER_WAREHOUSES, 200),
        ("base", "", SELLER_WAREHOUSES, 403),
        ("base", "of the service", SELLER_WAREHOUSES, 403),
        ("base", "", CARDS, 200),
    ],
)
async def test_the_type_of_the_token_opens_and_closes_methods(
    wb: httpx.AsyncClient, token_type: TokenType, secret: str, path: str, status: int
) -> None:
    headers = {"Authorization": issue_token(uuid4(), token_type=token_type), "X-Client-Secret": secret}

    answer = await wb.post(path, json={}, headers=headers)

    assert answer.status_code == status
    if status == 403:
        assert answer.json()["detail"] == "base token is not allowed"
        assert answer.json()["code"] == "base token is not allowed for this path"


async def test_a_service_token_of_another_service_is_unauthorized(wb: httpx.AsyncClient) -> None:
    token = issue_token(uuid4(), token_type="service", service="asid:00000000-0000-4000-8000-000000000002")

    answer = await knock(wb, token)

    assert (answer.status_code, answer.json()["detail"]) == (401, "token problem; token is issued for another service")


async def test_an_error_names_its_request_its_origin_and_its_time(wb: httpx.AsyncClient) -> None:
    first, second = [(await knock(wb, "nonsense")).json() for _ in range(2)]

    assert first["requestId"] != second["requestId"]
    assert len(first["requestId"]) == 32
    assert first["origin"] == "s2s-api-auth-catalog"
    assert (first["status"], first["statusText"]) == (401, "Unauthorized")
    assert datetime.fromisoformat(first["timestamp"]) == FROZEN_AT


async def test_the_newer_gateways_leave_the_code_out_and_write_titles_large(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.patch("", json={"errors": "newer"})

    body: dict[str, Any] = (await knock(wb, "nonsense", "/analytics/ping")).json()

    assert "code" not in body
    assert (body["title"], body["origin"]) == ("Unauthorized", "ag-analytics")


@pytest.mark.parametrize("path", ["/content/nothing", "/analytics/content/v2/get/cards/list", "/nowhere/ping", "/content"])
async def test_an_unknown_path_and_a_known_one_at_the_wrong_host_are_not_found(wb: httpx.AsyncClient, path: str) -> None:
    answer = await wb.post(path, json={})

    assert answer.status_code == 404
    assert answer.json()["title"] == "path not found"


async def test_the_wrong_verb_is_not_allowed(wb: httpx.AsyncClient) -> None:
    assert (await wb.get(CARDS)).status_code == 405


async def test_the_removed_stock_method_is_gone_with_a_marker(wb: httpx.AsyncClient) -> None:
    answer = await wb.get("/statistics/api/v1/supplier/stocks", params={"dateFrom": "2026-11-01"})

    assert answer.status_code == 404
    assert "PLUG-404-20260720" in answer.text


async def test_a_burst_is_counted_down_then_refused_with_the_time_to_wait(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.patch("", json={"limits": True})

    answers = [await wb.post(CARDS, json={}) for _ in range(6)]

    assert [answer.headers.get("X-Ratelimit-Remaining") for answer in answers] == ["4", "3", "2", "1", "0", None]
    refused = answers[-1]
    assert refused.status_code == 429
    assert refused.json()["title"] == "too many requests"
    assert refused.json()["detail"].startswith("limited by ")
    assert [refused.headers[f"X-Ratelimit-{name}"] for name in ("Retry", "Limit", "Reset")] == ["1", "5", "3"]


async def test_who_waits_as_long_as_told_is_let_in_and_who_waits_less_is_not(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.patch("", json={"limits": True})
    await wb.post(WB_WAREHOUSES, json={})
    refused = await wb.post(WB_WAREHOUSES, json={})
    wait_s = int(refused.headers["X-Ratelimit-Retry"])

    await control.post("/clock", json={"advance_s": wait_s - 1})
    too_early = await wb.post(WB_WAREHOUSES, json={})
    await control.post("/clock", json={"advance_s": 1})
    in_time = await wb.post(WB_WAREHOUSES, json={})

    assert wait_s == 20
    assert [answer.status_code for answer in (refused, too_early, in_time)] == [429, 429, 200]


async def test_tokens_of_one_type_share_a_bucket_and_other_types_methods_and_sellers_have_their_own(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    await control.patch("", json={"limits": True})
    await wb.post(WB_WAREHOUSES, json={})

    async def status(seller_id: UUID, token_type: TokenType, path: str) -> int:
        return (await wb.post(path, json={}, headers={"Authorization": issue_token(seller_id, token_type=token_type)})).status_code

    assert await status(seller_id, "personal", WB_WAREHOUSES) == 429
    assert await status(seller_id, "service", WB_WAREHOUSES) == 200
    assert await status(seller_id, "personal", SELLER_WAREHOUSES) == 200
    assert await status(uuid4(), "personal", WB_WAREHOUSES) == 200


async def test_a_base_token_without_a_secret_may_ask_who_it_is_once_a_day(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    await control.patch("", json={"limits": True})
    token = issue_token(seller_id, token_type="base", expires_at=datetime(2027, 1, 1, tzinfo=UTC))
    await knock(wb, token, SELLER_INFO)

    again = await knock(wb, token, SELLER_INFO)
    await control.post("/clock", json={"advance_s": 24 * 3600})
    tomorrow = await knock(wb, token, SELLER_INFO)

    assert (again.status_code, again.headers["X-Ratelimit-Retry"]) == (429, str(24 * 3600))
    assert tomorrow.status_code == 200


async def test_without_limits_nothing_is_counted(wb: httpx.AsyncClient) -> None:
    answers = [await wb.post(WB_WAREHOUSES, json={"limit": 1}) for _ in range(5)]

    assert {(answer.status_code, answer.headers["X-Ratelimit-Remaining"]) for answer in answers} == {(200, "1")}


async def test_the_same_question_is_worked_out_once_until_something_changes(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    async def made_pages() -> int:
        return (await control.get("")).json()["pages"]["made"]

    for _ in range(50):
        await wb.post(CARDS, json={})
    made_for_many_questions = await made_pages()
    await control.post(f"/shops/{seller_id}/products", json={})
    await wb.post(CARDS, json={})

    assert made_for_many_questions == 1
    assert await made_pages() == 2
