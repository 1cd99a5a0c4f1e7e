"""Webhooks over HTTP, as the bot's developer meets them."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
from litestar import Litestar
from standardwebhooks.webhooks import Webhook

from app.api.bodies import StrictRequest
from app.api.headers import StandardHeaders
from app.api.parameters import StrictQuery
from app.api.problem_details import EXCEPTION_HANDLERS
from app.auth.authentication import CALLER_DEPENDENCIES, Authentication
from app.auth.controllers import AuthController
from app.auth.guards import RoleCheck
from app.database import system_scope
from app.events.types import CATALOGUE
from app.webhooks.controllers import WebhookController
from app.webhooks.sender import close_sender, get_sender, open_sender
from app.webhooks.service import MOST_ENDPOINTS
from tests.auth.application import PASSWORD, Seller, redis, settings
from tests.events.events import record_event, sync_failed
from tests.webhooks.bots import Bot, deliver_due, let_time_pass
from tests.webhooks.receiver import receiver_on

pytestmark = pytest.mark.anyio

__all__ = ["redis", "settings"]

BOT = "http://127.0.0.1:9/events"


class Owner:
    """A seller who carries a token in each request."""

    def __init__(self, seller: Seller) -> None:
        self.tenant_id = seller.tenant_id
        self.email = seller.email
        self._client = seller.client
        self._token = seller.access_token

    async def __call__(self, method: str, path: str = "", **options: Any) -> httpx.Response:
        return await self._client.request(method, f"/webhooks{path}", headers={"Authorization": f"Bearer {self._token}"}, **options)

    async def made(self, **fields: Any) -> dict[str, Any]:
        answer = await self("POST", json={"url": BOT, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()


@pytest.fixture
async def client(redis: None, settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = Litestar(
        [AuthController, WebhookController],
        path="/api/v1",
        request_class=StrictRequest,
        dependencies=CALLER_DEPENDENCIES,
        middleware=[Authentication(), RoleCheck(), StrictQuery()],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
    )
    app.asgi_handler = StandardHeaders(app.asgi_handler)
    open_sender(settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test/api/v1") as client:
        yield client
    await close_sender()


@pytest.fixture
async def owner(client: httpx.AsyncClient) -> Owner:
    return Owner(await Seller.register(client))


@pytest.fixture
async def rival(client: httpx.AsyncClient) -> Owner:
    return Owner(await Seller.register(client, "rival@example.com"))


@pytest.fixture
async def bot(owner: Owner) -> AsyncIterator[Bot]:
    async with receiver_on() as receiver:
        made = await owner.made(url=f"http://127.0.0.1:{receiver.port}/")
        yield Bot(receiver, owner.tenant_id, UUID(made["id"]), made["secret"])


async def test_a_new_webhook_shows_its_secret_once(owner):
    answer = await owner("POST", json={"url": BOT, "event_types": ["sync.failed", "sync.completed"], "description": "Мой бот"})

    made = answer.json()
    secret = made.pop("secret")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert made.keys() == {"id", "url", "event_types", "description", "enabled", "disabled_reason", "created_at"}
    assert (made["url"], made["description"], made["enabled"]) == (BOT, "Мой бот", True)
    assert made["event_types"] == ["sync.completed", "sync.failed"]
    assert (await owner("GET", f"/{made['id']}")).json() == made
    assert (await owner("GET")).json() == {"items": [made], "next_cursor": None}
    async with system_scope() as connection:
        stored = await connection.fetchval("SELECT secret_encrypted FROM webhook_endpoints")
        audit = await connection.fetchval("SELECT facts::text FROM audit_log WHERE action = 'webhook.created'")
    assert secret not in stored + audit
    assert made["id"] in audit


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({}, 422, "validation_failed", "url"),
        ({"url": ""}, 422, "validation_failed", "url"),
        ({"url": "https://bot.example/" + "x" * 2000}, 422, "validation_failed", "url"),
        ({"url": BOT, "event_types": ["sync.complete"]}, 422, "validation_failed", "event_types[0]"),
        ({"url": BOT, "event_types": ["sync.failed"] * 51}, 422, "validation_failed", "event_types"),
        ({"url": BOT, "description": "x" * 201}, 422, "validation_failed", "description"),
        ({"url": BOT, "description": "nul \0"}, 422, "validation_failed", "description"),
        ({"url": BOT, "secret": "whsec_mine"}, 422, "validation_failed", "secret"),
    ],
)
async def test_a_wrong_field_is_named(owner, body, status, code, field):
    answer = await owner("POST", json=body)

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert [error["field"] for error in problem["errors"]] == [field]


@pytest.mark.parametrize(
    "url",
    [
        "http://93.184.216.34/",
        "http://10.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:10.0.0.1]/",
        "https://user:password@93.184.216.34/",
        "ftp://93.184.216.34/",
        "bot",
    ],
)
async def test_a_url_that_nothing_may_be_sent_to_is_refused(owner, url):
    answer = await owner("POST", json={"url": url})

    assert (answer.status_code, answer.json()["code"]) == (422, "destination_barred")
    assert (await owner("GET")).json()["items"] == []


async def test_a_tenant_has_twenty_webhooks_at_most_also_when_they_are_made_at_once(owner):
    answers = await asyncio.gather(*(owner("POST", json={"url": BOT}) for _ in range(MOST_ENDPOINTS + 3)))

    refused = [answer for answer in answers if answer.status_code != 201]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(409, "too_many_webhooks")] * 3


async def test_the_list_is_walked_by_cursor_newest_first(owner):
    made = [(await owner.made())["id"] for _ in range(5)]

    walked: list[str] = []
    cursor: str | None = None
    while True:
        page = (await owner("GET", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        walked += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert walked == made[::-1]


async def test_a_removed_webhook_is_gone_and_gets_nothing_more(owner, bot):
    await record_event(owner.tenant_id)
    bot.answers(500)
    await deliver_due(get_sender())

    removed = await owner("DELETE", f"/{bot.endpoint_id}")
    await let_time_pass()
    await record_event(owner.tenant_id)

    assert removed.status_code == 204
    assert await deliver_due(get_sender()) == []
    assert (await owner("GET", f"/{bot.endpoint_id}")).status_code == 404
    assert (await owner("DELETE", f"/{bot.endpoint_id}")).status_code == 404
    assert len(bot.messages) == 1


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")])
async def test_another_tenants_webhook_is_as_absent_as_a_missing_one(owner, rival, bot, method, path):
    theirs = await rival(method, f"/{bot.endpoint_id}{path}")
    missing = await rival(method, f"/{uuid4()}{path}")

    assert theirs.status_code == missing.status_code == 404
    assert theirs.json()["code"] == missing.json()["code"] == "not_found"
    assert (await owner("GET", f"/{bot.endpoint_id}")).status_code == 200
    assert bot.receiver.requests == []


async def test_another_tenants_webhooks_are_not_in_the_list(owner, rival, bot):
    assert (await rival("GET")).json()["items"] == []


async def test_a_viewer_looks_and_changes_nothing(client, owner, bot):
    async with system_scope() as connection:
        await connection.execute("UPDATE memberships SET role = 'viewer' WHERE tenant_id = $1", owner.tenant_id)
    signed_in = (await client.post("/auth/login", json={"email": owner.email, "password": PASSWORD})).json()
    viewer = Owner(Seller.of(client, owner.email, signed_in))

    reads = [await viewer("GET", path) for path in ("", f"/{bot.endpoint_id}", f"/{bot.endpoint_id}/deliveries", "/event-types")]
    writes = [
        await viewer("POST", json={"url": BOT}),
        await viewer("DELETE", f"/{bot.endpoint_id}"),
        await viewer("POST", f"/{bot.endpoint_id}/test"),
    ]

    assert {answer.status_code for answer in reads} == {200}
    assert {answer.status_code for answer in writes} == {403}


async def test_nobody_is_served_without_a_token(client):
    for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{uuid4()}"), ("GET", "/event-types"), ("POST", f"/{uuid4()}/test")):
        answer = await client.request(method, f"/webhooks{path}")

        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


async def test_a_test_tells_what_the_receiver_said(owner, bot):
    bot.answers(418, body=b"I am a teapot")

    answer = await owner("POST", f"/{bot.endpoint_id}/test")

    said = answer.json()
    assert answer.status_code == 200
    assert said.pop("duration_ms") >= 0
    assert said == {"delivered": False, "status_code": 418, "error": "unsuccessful_status", "excerpt": "I am a teapot"}


async def test_a_test_is_signed_numbered_and_logged_like_any_event(owner, bot):
    await record_event(owner.tenant_id)

    answer = await owner("POST", f"/{bot.endpoint_id}/test")
    await deliver_due(get_sender())

    test, sync = bot.messages
    [logged, _] = (await owner("GET", f"/{bot.endpoint_id}/deliveries")).json()["items"]
    assert answer.json()["delivered"] is True
    assert (sync["sequence"], test["sequence"]) == (1, 2)
    assert (test["type"], test["data"]["tenant_id"]) == ("webhook.test", str(owner.tenant_id))
    assert test["data"]["message"].startswith("Проверка")
    assert (logged["event_type"], logged["status"]) == ("webhook.test", "delivered")
    assert len(logged["attempts"]) == 1


async def test_a_test_goes_to_one_webhook_only_also_one_that_did_not_ask_for_it(owner, bot):
    async with receiver_on() as receiver:
        made = await owner.made(url=f"http://127.0.0.1:{receiver.port}/", event_types=["sync.failed"])

        await owner("POST", f"/{made['id']}/test")
        await deliver_due(get_sender())

        [request] = receiver.requests
    assert Webhook(made["secret"]).verify(request.body, request.headers)["type"] == "webhook.test"
    assert bot.receiver.requests == []


async def test_a_failed_test_is_not_tried_again(owner, bot):
    bot.answers(500)

    await owner("POST", f"/{bot.endpoint_id}/test")
    await let_time_pass()

    assert await deliver_due(get_sender()) == []
    assert len(bot.messages) == 1


async def test_a_disabled_webhook_says_why_and_cannot_be_tested(owner, bot):
    bot.answers(410)
    await owner("POST", f"/{bot.endpoint_id}/test")

    disabled = (await owner("GET", f"/{bot.endpoint_id}")).json()
    again = await owner("POST", f"/{bot.endpoint_id}/test")

    assert (disabled["enabled"], disabled["disabled_reason"]) == (False, "The receiver answered 410 Gone.")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert len(bot.messages) == 1


async def test_the_log_shows_each_delivery_with_all_its_attempts(owner, bot):
    event_id = await record_event(owner.tenant_id)
    bot.answers(503, body=b"busy")
    await deliver_due(get_sender())
    waiting = (await owner("GET", f"/{bot.endpoint_id}/deliveries")).json()["items"]
    await let_time_pass()
    bot.answers(200, body=b"ok")
    await deliver_due(get_sender())

    [delivery] = (await owner("GET", f"/{bot.endpoint_id}/deliveries")).json()["items"]

    assert waiting[0]["status"] == "pending"
    assert waiting[0]["next_attempt_at"] is not None
    assert (delivery["event_id"], delivery["event_type"], delivery["status"]) == (str(event_id), "sync.completed", "delivered")
    assert delivery["next_attempt_at"] is None
    assert delivery["finished_at"] is not None
    assert [(a["number"], a["status_code"], a["error"], a["excerpt"]) for a in delivery["attempts"]] == [
        (1, 503, "unsuccessful_status", "busy"),
        (2, 200, None, "ok"),
    ]


async def test_the_log_is_filtered_and_walked_by_cursor(owner, bot):
    bot.answers(500)
    await record_event(owner.tenant_id, sync_failed(owner.tenant_id))
    await deliver_due(get_sender())
    bot.answers(200)
    for _ in range(4):
        await record_event(owner.tenant_id)
    await deliver_due(get_sender())

    async def found(**filters: Any) -> list[tuple[str, str]]:
        answer = await owner("GET", f"/{bot.endpoint_id}/deliveries", params=filters)
        assert answer.status_code == 200, answer.text
        return [(item["event_type"], item["status"]) for item in answer.json()["items"]]

    async def walked(**filters: Any) -> list[str]:
        ids: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await owner("GET", f"/{bot.endpoint_id}/deliveries", params={**filters, **cursor})).json()
            ids += [item["event_id"] for item in page["items"]]
            if page["next_cursor"] is None:
                return ids
            cursor = {"cursor": page["next_cursor"]}

    assert await found(status="pending") == [("sync.failed", "pending")]
    assert await found(status="delivered") == [("sync.completed", "delivered")] * 4
    assert await found(event_type="sync.failed") == [("sync.failed", "pending")]
    assert await found(since="2000-01-01T00:00:00Z", status="failed") == []
    assert await found(since="2100-01-01T00:00:00Z") == []
    everything = await walked()
    assert len(set(everything)) == 5
    assert everything == sorted(everything, reverse=True)
    assert await walked(limit=2) == everything
    assert await walked(limit=1, status="delivered") == everything[:4]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("status", "lost"), ("since", "yesterday"), ("since", "2026-11-22T10:00:00"), ("cursor", "x"), ("state", "pending")],
)
async def test_a_wrong_filter_is_named(owner, bot, parameter, value):
    answer = await owner("GET", f"/{bot.endpoint_id}/deliveries", params={parameter: value})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [parameter]


async def test_the_catalogue_tells_each_types_schema_lifetime_and_an_example(owner):
    catalogue = cast("list[dict[str, Any]]", (await owner("GET", "/event-types")).json())

    by_type = {each["type"]: each for each in catalogue}
    assert by_type.keys() == set(CATALOGUE)
    assert by_type["sync.completed"]["lifetime_s"] == 7 * 86_400
    assert by_type["webhook.test"]["lifetime_s"] == 300
    assert by_type["sync.completed"]["description"].startswith("A sync is done")
    assert "low_stock_total" in by_type["sync.completed"]["schema"]["$defs"]["SyncCompleted"]["properties"]
    assert {name: each["example"]["type"] for name, each in by_type.items()} == {name: name for name in by_type}
