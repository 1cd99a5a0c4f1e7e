"""Troubles on demand, in Ozon's words."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.sandbox.ozon.calls import FBO, FBS, LIST, PRICES, ask, refused
from tests.sandbox.ozon.conftest import CLIENT_ID

pytestmark = pytest.mark.anyio

EVERYTHING: dict[str, Any] = {"filter": {"visibility": "ALL"}, "limit": 1000}
WINDOW = {"since": "2026-11-15T00:00:00Z", "to": "2026-11-23T00:00:00Z"}


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        ("server_error", (500, 13, "Internal error")),
        ("rate_limited", (429, 8, "You have reached request rate limit per second")),
        ("unauthorized", (404, 5, "Invalid Api-Key, please check the key and try again")),
        ("key_deactivated", (403, 7, "Api-key is deactivated, use another one or generate a new one")),
        ("role_missing", (403, 7, "Api-Key is missing a required role for a method")),
        ("ip_restricted", (403, 7, "Api-Key is restricted to specific IP addresses")),
        ("company_blocked", (403, 7, "Company is blocked, please contact support")),
        ("offer_not_signed", (403, 7, "Offer not signed")),
        ("payment_required", (403, 7, "not available with existing subscription")),
        ("method_gone", (404, 5, "Not Found")),
        ("method_obsolete", (400, 3, "obsolete method cannot be used")),
        ("circle_open", (503, 14, "Circle is open")),
    ],
)
async def test_a_refusal_comes_in_ozons_words_and_passes(
    ozon: httpx.AsyncClient, control: httpx.AsyncClient, kind: str, refusal: tuple[int, int, str]
) -> None:
    await control.post("/faults", json={"kind": kind, "path": LIST, "skip": 1, "times": 2})

    first = await ozon.post(LIST, json=EVERYTHING)
    troubled = [await refused(ozon, LIST, **EVERYTHING) for _ in range(2)]
    other = await ozon.post(PRICES, json=EVERYTHING)
    last = await ozon.post(LIST, json=EVERYTHING)

    assert troubled == [refusal, refusal]
    assert [answer.status_code for answer in (first, other, last)] == [200, 200, 200]


async def test_a_fault_can_be_one_sellers(ozon: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "company_blocked", "seller_id": str(UUID(int=CLIENT_ID + 1))})
    assert (await ozon.post(LIST, json=EVERYTHING)).status_code == 200
    await control.post("/faults", json={"kind": "company_blocked", "seller_id": str(UUID(int=CLIENT_ID))})

    assert (await ozon.post(LIST, json=EVERYTHING)).status_code == 403


async def test_patience_is_asked_for_in_seconds(ozon: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "rate_limited", "retry_s": 7200})

    assert (await ozon.post(LIST, json=EVERYTHING)).headers["retry-after"] == "7200"


@pytest.mark.parametrize(("kind", "status"), [("unavailable", 503), ("bad_gateway", 502), ("html", 200)])
async def test_some_answers_are_for_people(unchecked: httpx.AsyncClient, control: httpx.AsyncClient, kind: str, status: int) -> None:
    await control.post("/faults", json={"kind": kind})

    answer = await unchecked.post(LIST, json=EVERYTHING)

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("kind", ["disconnect", "cut", "reset"])
async def test_a_connection_breaks(unchecked: httpx.AsyncClient, control: httpx.AsyncClient, kind: str) -> None:
    await control.post("/faults", json={"kind": kind})

    with pytest.raises(httpx.TransportError):
        await unchecked.post(LIST, json=EVERYTHING)


async def test_an_answer_is_slow(unchecked: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "slow", "delay_ms": 10_000})

    with pytest.raises(httpx.ReadTimeout):
        await unchecked.post(LIST, json=EVERYTHING, timeout=0.2)


@pytest.mark.parametrize(("path", "items"), [(PRICES, "items"), (FBO, "postings"), (FBS, "postings")])
async def test_the_usual_answer_is_spoiled(unchecked: httpx.AsyncClient, control: httpx.AsyncClient, path: str, items: str) -> None:
    question = EVERYTHING if path == PRICES else {"filter": WINDOW, "limit": 50}
    usual = await ask(unchecked, path, **question)
    spoiled: dict[str, Any] = {}
    for kind in ("empty_page", "duplicate_items", "malformed_item", "repeated_cursor"):
        await control.post("/faults", json={"kind": kind})
        spoiled[kind] = await ask(unchecked, path, **question, cursor="")

    assert spoiled["empty_page"] == {**usual, items: []}
    assert spoiled["duplicate_items"] == {**usual, items: usual[items] * 2}
    assert [item for item in spoiled["malformed_item"][items] if item not in usual[items]] != []
    assert spoiled["repeated_cursor"] == {**usual, "cursor": ""}


async def test_late_data_is_what_was_true_before(ozon: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    question = {"filter": WINDOW, "limit": 1, "sort_dir": "DESC"}
    now = (await ask(ozon, FBO, **question))["postings"][0]
    await control.post("/faults", json={"kind": "late_data", "late_s": 86_400})

    late = (await ask(ozon, FBO, **question))["postings"][0]

    assert late["created_at"] < now["created_at"]
    assert late["created_at"] <= "2026-11-21T11:00:00Z"
