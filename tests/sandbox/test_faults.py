"""Faults come to those whom they are meant for, as often as was said, and then the sandbox is well again."""

from time import perf_counter
from uuid import UUID, uuid4

import httpx
import pytest

from app.sandbox.tokens import issue_token
from tests.sandbox.calls import list_cards, report, walk_cards
from tests.sandbox.conformance import CARDS, FBS_STOCKS, PRICES, SELLER_INFO, SUPPLIER_ORDERS, TRASH, WAREHOUSES, WB_WAREHOUSES

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


async def test_a_page_for_people_may_come_with_a_good_status(unchecked: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "html"})

    answer = await unchecked.post(CARDS, json={})

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


async def test_a_burst_of_unavailability_passes(unchecked: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "unavailable", "times": 3})

    assert [(await unchecked.get("/content/ping")).status_code for _ in range(4)] == [503, 503, 503, 200]


async def test_a_service_that_owes_money_is_told_so(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "payment_required"})

    answer = await wb.post(WB_WAREHOUSES, json={})

    assert (answer.status_code, answer.json()["title"]) == (402, "payment required")


async def test_a_connection_is_reset_in_the_middle_of_a_page(unchecked: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "reset"})

    with pytest.raises(httpx.ReadError) as caught:
        await unchecked.post(CARDS, json={})

    causes = [caught.value.__cause__, *(getattr(caught.value.__cause__, "__context__", None),)]
    assert "BrokenResourceError" in repr(causes) or "ConnectionResetError" in repr(causes)
    assert (await unchecked.post(CARDS, json={})).status_code == 200


async def test_a_truncated_page_is_whole_to_http_and_broken_to_json(unchecked: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    whole = await unchecked.post(CARDS, json={})
    await control.post("/faults", json={"kind": "truncated"})

    answer = await unchecked.post(CARDS, json={})

    assert answer.status_code == 200
    assert answer.content == whole.content[: len(whole.content) // 2]
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()


async def test_a_body_may_trickle_in(unchecked: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    whole = await unchecked.post(CARDS, json={})
    await control.post("/faults", json={"kind": "trickle", "delay_ms": 200, "times": 2})

    started_s = perf_counter()
    answer = await unchecked.post(CARDS, json={})
    took_s = perf_counter() - started_s

    assert answer.content == whole.content
    assert took_s >= 0.2
    with pytest.raises(httpx.ReadTimeout):
        async with unchecked.stream("POST", CARDS, json={}, timeout=0.005) as slow:
            await slow.aread()


async def test_a_page_may_come_without_its_items(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    whole = await list_cards(wb)
    await control.post("/faults", json={"kind": "empty_page", "times": 3})

    cards = await list_cards(wb)
    stock = await wb.post(WB_WAREHOUSES, json={})
    prices = await wb.get(PRICES, params={"limit": 10})

    assert cards["cards"] == []
    assert cards["cursor"] == {**whole["cursor"], "total": 0}
    assert stock.json() == {"data": {"items": []}}
    assert prices.json()["data"] == {"listGoods": []}


async def test_items_may_come_twice(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    whole = await list_cards(wb)
    await control.post("/faults", json={"kind": "duplicate_items", "times": 2})

    cards = await list_cards(wb)
    remains = await wb.get(SUPPLIER_ORDERS, params={"dateFrom": "2026-11-22"})

    assert cards["cards"] == whole["cards"] * 2
    rows = remains.json()
    assert rows[: len(rows) // 2] == rows[len(rows) // 2 :]


async def test_one_item_of_a_page_may_be_nonsense(unchecked: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    whole = (await list_cards(unchecked))["cards"]
    await control.post("/faults", json={"kind": "malformed_item"})

    cards = (await list_cards(unchecked))["cards"]

    different = [place for place, (was, came) in enumerate(zip(whole, cards, strict=True)) if was != came]
    assert different == [5]
    assert cards[5]["nmID"] == "?"
    assert cards[5]["vendorCode"] == whole[5]["vendorCode"]


@pytest.mark.parametrize(("path", "place"), [(CARDS, "updatedAt"), (TRASH, "trashedAt")])
async def test_a_cursor_may_repeat_itself(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID, path: str, place: str
) -> None:
    for card in (await walk_cards(wb))[:6]:
        await control.delete(f"/shops/{seller_id}/products/{card['nmID']}")

    async def next_cursor(cursor: dict[str, object]) -> dict[str, object]:
        settings = {"sort": {"ascending": True}, "cursor": {**cursor, "limit": 2}}
        return (await wb.post(path, json={"settings": settings})).json()["cursor"]

    first = await next_cursor({})
    asked = {name: first[name] for name in (place, "nmID")}
    await control.post("/faults", json={"kind": "repeated_cursor"})
    repeated = await next_cursor(asked)

    assert repeated == {**asked, "total": 2}
    assert await next_cursor(asked) != repeated


async def test_data_may_be_late(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    now = await report(wb, WB_WAREHOUSES)
    await control.post("/clock", json={"advance_s": 6 * 3600})
    await control.post("/faults", json={"kind": "late_data", "late_s": 6 * 3600})

    late, fresh = await report(wb, WB_WAREHOUSES), await report(wb, WB_WAREHOUSES)

    assert late == now != fresh


async def test_a_spoiled_answer_that_was_no_page_stays_as_it_is(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json={"kind": "malformed_item"})
    await control.post("/faults", json={"kind": "empty_page"})

    rejected = await wb.post(CARDS, json={"settings": {"cursor": {"limit": 0}}})
    info = await wb.get(SELLER_INFO)

    assert (rejected.status_code, info.status_code) == (400, 200)


async def test_a_fault_may_be_meant_for_a_path_with_an_open_place(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    warehouse_id = (await wb.get(WAREHOUSES)).json()[0]["id"]
    await control.post("/faults", json={"kind": "rate_limited", "path": "/api/v3/stocks/{warehouseId}"})

    answers = [await wb.post(f"{FBS_STOCKS}/{warehouse_id}", json={"chrtIds": [1]}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [429, 200]
    assert (await control.get("/requests")).json()["POST /api/v3/stocks/{warehouseId}"] == {"429": 1, "200": 1}
