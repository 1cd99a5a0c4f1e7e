"""What must not be done twice keeps its answer in its own transaction, and keeps what is really answered."""

from typing import Any

import pytest
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from app.api.idempotency_key import takes_idempotency_key
from app.api.openapi.document import openapi_document
from app.auth.service_keys import ServiceKey, create_service_key
from app.errors import Unavailable
from app.idempotency import middleware
from app.main import create_app
from app.settings import Settings
from tests.application import Shop
from tests.auth.application import PASSWORD
from tests.idempotency.asking import HOOK, ask, is_replay, said

pytestmark = pytest.mark.anyio

# What a second time would do harm to, and what it is asked with.
DEEDS: dict[str, tuple[str, Any]] = {
    "createWebhook": ("/webhooks", HOOK),
    "startSync": ("/sync", {}),
    "createTenant": ("/tenants", {"company_name": "Vasilyok", "marketplace_type": "ozon"}),
    "addMember": ("/tenants/me/users", {"email": "new@example.com", "password": PASSWORD, "role": "viewer"}),
    "linkService": ("/tenants/me/services", {}),
    "createCredentialLink": ("/tenants/me/credentials/links", {"provider": "ozon"}),
    "changePassword": ("/auth/password", {"current_password": PASSWORD, "new_password": "another horse battery staple"}),
}

# What may be done again after a crash, and why.
HARMLESS = {
    "cancelSync": "a run that was called off stays so, and the answer is the run",
    "verifyCredentials": "the marketplace is asked once more",
    "testWebhook": "one more test comes",
    "logoutAll": "the second time nobody is signed in who could ask",
}

NO_KEY = {"switchTenant": "it gives tokens, which are kept nowhere"}


def posts_of_tenants(settings: Settings) -> list[HTTPRouteHandler]:
    return [
        handler
        for route in create_app(settings).routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "POST" in handler.http_methods and "role" in handler.opt
    ]


def test_of_each_post_it_is_known_what_a_second_time_would_do(settings: Settings) -> None:
    taking = {str(handler.operation_id): takes_idempotency_key(handler) for handler in posts_of_tenants(settings)}

    assert {name for name, takes in taking.items() if takes} == DEEDS.keys() | HARMLESS.keys()
    assert {name for name, takes in taking.items() if not takes} == NO_KEY.keys()


def test_the_document_tells_of_the_header_wherever_it_is_taken(settings: Settings) -> None:
    document = openapi_document(create_app(settings))
    operations = {each["operationId"]: each for path in document["paths"].values() for each in path.values()}

    taking = {name for name, each in operations.items() if "Idempotency-Key" in {told["name"] for told in each.get("parameters", ())}}

    assert taking == DEEDS.keys() | HARMLESS.keys()
    for name in taking:
        responses = operations[name]["responses"]
        codes = responses["409"]["content"]["application/problem+json"]["examples"].keys()
        assert codes >= {"idempotency_key_reused", "idempotency_request_in_progress"}, name
        assert all("Idempotency-Replayed" in each["headers"] for status, each in responses.items() if status < "300"), name


@pytest.mark.parametrize("name", DEEDS)
async def test_an_answer_that_never_came_is_given_to_who_asks_again(shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path, body = DEEDS[name]
    if name == "linkService":
        key = ServiceKey.parse((await create_service_key("shop-bot")).reveal())
        assert key is not None
        body = {"service_key_id": str(key.id)}
    if name == "startSync":
        (await shop.give_key(shop.key(products=5), verify="false")).raise_for_status()

    async def die(*_: object) -> None:
        raise Unavailable("Nothing is stored any more.")

    with monkeypatch.context() as killed:
        killed.setattr(middleware, "settle", die)
        first = await ask(shop, path, body)
    again = await ask(shop, path, body)

    assert first.is_success, first.text
    assert is_replay(again)
    assert said(again) == said(first)


async def test_what_went_wrong_behind_the_deed_does_not_undo_its_answer(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    (await shop.give_key(shop.key(products=5), verify="false")).raise_for_status()

    async def fail(_: object) -> None:
        raise Unavailable("Nobody hears the doorbell.")

    with monkeypatch.context() as broken:
        broken.setattr("app.runs.service.enqueue", fail)
        failed = await ask(shop, "/sync", {})
    again = await ask(shop, "/sync", {})

    assert failed.status_code == 503
    assert (again.status_code, is_replay(again)) == (202, True)
    assert again.headers["Location"] == f"/api/v1/sync/{again.json()['id']}"
    assert len((await shop.expect(200, "GET", "/sync"))["items"]) == 1


async def test_a_deed_that_was_done_already_is_told_as_it_was(shop: Shop) -> None:
    (await shop.give_key(shop.key(products=5), verify="false")).raise_for_status()
    first, joined = await ask(shop, "/sync", {}, "a"), await ask(shop, "/sync", {}, "b")

    again = [await ask(shop, "/sync", {}, key) for key in ("a", "b")]

    assert (first.status_code, joined.status_code) == (202, 200)
    assert [said(answer) for answer in again] == [said(first), said(joined)]
