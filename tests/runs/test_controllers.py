"""A bot asks for syncs and looks at them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app.database import tenant_scope
from app.ids import new_id
from app.marketplaces.contract import Marketplace
from app.runs.lease import claim
from app.runs.tables import RunStatus
from app.sync.runner import Runner
from tests.application import Shop

pytestmark = pytest.mark.anyio

INSERT = """
    INSERT INTO sync_runs (id, tenant_id, marketplace, "trigger", scopes, "full", status, priority, not_before, queued_at,
                           attempt, crashes, stages, done)
    VALUES ($1, $2, $3, 'manual', '{products}', false, $4, 0, now(), now(), 0, 0, '[]', 0)
"""


async def add(shop: Shop, status: RunStatus = RunStatus.SUCCEEDED, marketplace: Marketplace = Marketplace.WILDBERRIES) -> str:
    """A run of the past."""
    run_id = new_id()
    async with tenant_scope(shop.tenant_id) as connection:
        await connection.execute(INSERT, run_id, shop.tenant_id, marketplace, status)
    return str(run_id)


async def ids(shop: Shop, **query: Any) -> list[str]:
    return [run["id"] for run in (await shop.expect(200, "GET", "/sync", params=query))["items"]]


async def give_unchecked_key(shop: Shop) -> None:
    """So that no run starts by itself."""
    assert (await shop.give_key(verify=False)).status_code == 200


async def test_a_sync_is_accepted_and_can_be_looked_at_where_the_answer_says(shop: Shop):
    await give_unchecked_key(shop)

    answer = await shop.call("POST", "/sync", json={})

    run = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/sync/{run['id']}"
    assert (run["status"], run["trigger"], run["marketplace"], run["full"]) == ("queued", "manual", "wildberries", False)
    assert (run["started_at"], run["finished_at"], run["error"]) == (None, None, None)
    assert await shop.expect(200, "GET", f"/sync/{run['id']}") == run


async def test_a_sync_that_is_asked_for_again_is_joined_until_it_ends(shop: Shop):
    await give_unchecked_key(shop)
    first = await shop.expect(202, "POST", "/sync", json={})

    again = await shop.call("POST", "/sync", json={"marketplace": "wildberries"})

    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert again.headers["location"] == f"/api/v1/sync/{first['id']}"
    assert await Runner("test").carry_out_run(UUID(first["id"]))
    assert (await shop.expect(202, "POST", "/sync", json={}))["id"] != first["id"]


@pytest.mark.parametrize("body", [{}, {"marketplace": "wildberries"}, {"marketplace": "ozon"}])
async def test_without_a_key_for_it_no_sync_starts(shop: Shop, body: dict[str, str]):
    if body.get("marketplace") == "ozon":
        await give_unchecked_key(shop)

    answer = await shop.call("POST", "/sync", json=body)

    assert (answer.status_code, answer.json()["code"]) == (409, "credentials_missing")
    assert body.get("marketplace", "wildberries") in answer.json()["detail"]
    assert await ids(shop) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes[0]"),
        ({"scopes": ["products"] * 5}, "scopes"),
        ({"scopes": "products"}, "scopes"),
        ({"marketplace": "ebay"}, "marketplace"),
        ({"marketplace": 1}, "marketplace"),
        ({"full": "yes"}, "full"),
        ({"fast": True}, "fast"),
    ],
)
async def test_a_wrong_request_names_its_fault(shop: Shop, body: dict[str, Any], field: str):
    await give_unchecked_key(shop)

    answer = await shop.call("POST", "/sync", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await ids(shop) == []


async def test_only_the_stages_that_were_asked_for_are_carried_out(shop: Shop):
    await give_unchecked_key(shop)

    run = await shop.sync(scopes=["products"])

    assert (run["status"], [stage["name"] for stage in run["stages"]]) == ("succeeded", ["products"])


async def test_a_run_that_nobody_began_takes_on_what_is_asked_for_now(shop: Shop):
    await give_unchecked_key(shop)
    first = await shop.expect(202, "POST", "/sync", json={"scopes": ["products"]})

    joined = await shop.expect(200, "POST", "/sync", json={"scopes": ["stocks"], "full": True})
    run = await shop.sync(scopes=["products"])

    assert (joined["id"], joined["full"]) == (first["id"], True)
    assert [stage["name"] for stage in run["stages"]] == ["products", "stocks"]


async def test_a_run_tells_what_its_stages_did(shop: Shop):
    await shop.give_key(shop.key(products=7))

    run = await shop.sync()

    assert run["status"] == "succeeded"
    assert run["trigger"] == "credentials"
    assert (
        datetime.fromisoformat(run["queued_at"]) <= datetime.fromisoformat(run["started_at"]) <= datetime.fromisoformat(run["finished_at"])
    )
    products, prices, stocks, orders = run["stages"]
    assert [stage["name"] for stage in run["stages"]] == ["products", "prices", "stocks", "orders"]
    assert (products["fetched"], products["created"], products["error"]) == (7, 7, None)
    assert prices["updated"] == 7
    assert stocks["created"] > 0
    assert orders["created"] > 0
    assert all(stage["requests"] > 0 and stage["duration_s"] > 0 for stage in run["stages"])


async def test_a_key_that_is_revoked_meanwhile_fails_the_run_in_words_for_the_seller(shop: Shop, sandbox: httpx.AsyncClient):
    await give_unchecked_key(shop)
    await sandbox.post("/faults", json={"kind": "unauthorized", "times": 9})

    run = await shop.sync()

    assert (run["status"], run["error"]["code"]) == ("failed", "credentials_rejected")
    assert run["error"]["detail"]
    assert "Traceback" not in run["error"]["detail"]


async def test_a_running_run_says_where_it_is(shop: Shop):
    await give_unchecked_key(shop)
    queued = await shop.expect(202, "POST", "/sync", json={})
    lease = await claim("test", UUID(queued["id"]))
    assert lease is not None
    async with tenant_scope(shop.tenant_id) as connection:
        lease.stages[0].fetched = 100
        await lease.hold(connection, lease.stages[0], total=250)

    run = await shop.expect(200, "GET", f"/sync/{queued['id']}")

    assert run["status"] == "running"
    assert run["progress"] == {"stage": "products", "done": 100, "total": 250}


async def test_runs_are_listed_newest_first_page_by_page(shop: Shop):
    made = [await add(shop) for _ in range(5)]
    first = await shop.expect(200, "GET", "/sync", params={"limit": 2})
    newer = await add(shop)

    second = await shop.expect(200, "GET", "/sync", params={"limit": 2, "cursor": first["next_cursor"]})
    third = await shop.expect(200, "GET", "/sync", params={"limit": 2, "cursor": second["next_cursor"]})

    assert [run["id"] for page in (first, second, third) for run in page["items"]] == made[::-1]
    assert third["next_cursor"] is None
    assert (await ids(shop))[0] == newer


async def test_a_list_can_be_narrowed(shop: Shop):
    done, failed = await add(shop), await add(shop, RunStatus.FAILED)
    ozon = await add(shop, marketplace=Marketplace.OZON)
    queued_at = datetime.fromisoformat((await shop.expect(200, "GET", f"/sync/{ozon}"))["queued_at"])

    assert await ids(shop, status="failed") == [failed]
    assert await ids(shop, marketplace="ozon") == [ozon]
    assert await ids(shop, status="succeeded", marketplace="wildberries") == [done]
    assert await ids(shop, status="queued") == []
    assert await ids(shop, since=queued_at.isoformat()) == [ozon]
    assert await ids(shop, since=(queued_at + timedelta(microseconds=1)).isoformat()) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [({"status": "odd"}, "status"), ({"marketplace": "ebay"}, "marketplace"), ({"since": "2026-11-22T10:00:00"}, "since"),
     ({"limit": "0"}, "limit"), ({"limit": "501"}, "limit"), ({"cursor": "x"}, "cursor"), ({"sort": "id"}, "sort")],
)  # fmt: skip
async def test_a_wrong_query_is_named(shop: Shop, query: dict[str, str], field: str):
    answer = await shop.call("GET", "/sync", params=query)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_cursor_belongs_to_its_filters(shop: Shop):
    for _ in range(3):
        await add(shop)
    cursor = (await shop.expect(200, "GET", "/sync", params={"limit": 1}))["next_cursor"]

    answer = await shop.call("GET", "/sync", params={"status": "succeeded", "cursor": cursor})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


async def test_anothers_run_is_as_absent_as_a_missing_one(shop: Shop, other_shop: Shop):
    theirs = await add(other_shop)

    answers = [await shop.call("GET", f"/sync/{run_id}") for run_id in (theirs, uuid4(), "not-an-id")]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert {answer.json()["code"] for answer in answers} == {"not_found"}
    assert await ids(shop) == []
