"""Faults come to those whom they are meant for, as often as was said, and then the sandbox is well again."""

from uuid import UUID, uuid4

import httpx
import pytest

from app.sandbox.tokens import issue_token
from tests.sandbox.calls import walk_cards
from tests.sandbox.conformance import CARDS, SELLER_INFO, WB_WAREHOUSES

pytestmark = pytest.mark.anyio


async def test_a_server_error_has_no_body_and_passes(unchecked: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "server_error", "times": 2})

    answers = [await unchecked.get("/content/ping") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [500, 500, 200]
    assert answers[0].content == b""


async def test_a_bad_gateway_answers_with_a_page_for_people(unchecked: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "bad_gateway"})

    answer = await unchecked.post(CARDS, json={})

    assert answer.status_code == 502
    assert answer.headers["content-type"] == "text/html"
    assert "<html>" in answer.text


async def test_a_connection_ends_before_the_answer(unchecked: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "disconnect"})

    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        await unchecked.get("/content/ping")

    assert (await unchecked.get("/content/ping")).status_code == 200


async def test_a_connection_ends_in_the_middle_of_a_page(unchecked: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    whole = await unchecked.post(CARDS, json={})
    await control.post("/faults", json={"kind": "cut"})

    with pytest.raises(httpx.RemoteProtocolError, match=f"received {len(whole.content) // 2} bytes, expected {len(whole.content)}"):
        await unchecked.post(CARDS, json={})

    assert (await unchecked.post(CARDS, json={})).content == whole.content


async def test_a_refusal_may_ask_for_hours(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "rate_limited", "retry_s": 10299})

    answer = await wb.post(WB_WAREHOUSES, json={})

    assert answer.status_code == 429
    assert answer.headers["X-Ratelimit-Retry"] == answer.headers["X-Ratelimit-Reset"] == "10299"


async def test_the_refusal_of_a_whole_profile_names_it(wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID) -> None:
    await control.post("/faults", json={"kind": "rate_limited_globally", "retry_s": 60})

    body = (await wb.get(SELLER_INFO)).json()

    assert f"global limiter, per seller {seller_id}" in body["detail"]
    assert body["code"].startswith("461")
    assert body["origin"] == "s2s-api"


async def test_a_token_is_withdrawn_in_the_middle_of_a_walk(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "unauthorized", "skip": 2, "times": 100})

    statuses = [(await wb.post(CARDS, json={})).status_code for _ in range(4)]

    assert statuses == [200, 200, 401, 401]


async def test_a_method_disappears_with_a_marker(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "method_gone", "path": "/content/v2/get/cards/list"})

    answer = await wb.post(CARDS, json={})

    assert answer.status_code == 404
    assert "PLUG-404-20261122" in answer.text


async def test_an_undocumented_answer_is_json_of_another_shape(unchecked: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "undocumented"})

    answer = await unchecked.post(CARDS, json={})

    assert answer.status_code == 200
    assert "cards" not in answer.json()


async def test_a_slow_answer_comes_after_its_delay_and_not_within_a_shorter_patience(
    unchecked: httpx.AsyncClient, control: httpx.AsyncClient
) -> None:
    await control.post("/faults", json={"kind": "slow", "delay_ms": 30_000})

    with pytest.raises(httpx.ReadTimeout):
        await unchecked.get("/content/ping", timeout=0.2)

    assert (await unchecked.get("/content/ping")).status_code == 200


async def test_a_fault_may_be_meant_for_one_seller_and_one_path(
    unchecked: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    await control.post("/faults", json={"kind": "server_error", "seller_id": str(seller_id), "path": "/content/v2/get/cards/list"})

    other_seller = await unchecked.post(CARDS, json={}, headers={"Authorization": issue_token(uuid4())})
    other_path = await unchecked.get("/content/ping")
    meant = await unchecked.post(CARDS, json={})

    assert [answer.status_code for answer in (other_seller, other_path, meant)] == [200, 200, 500]


async def test_faults_that_are_dropped_do_not_come(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "server_error", "times": 9})
    waiting = (await control.get("/faults")).json()

    await control.delete("/faults")

    assert [(fault["kind"], fault["times"]) for fault in waiting] == [("server_error", 9)]
    assert len(await walk_cards(wb)) == 25
