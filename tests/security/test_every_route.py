"""design: security, "Two walls between tenants": every route of the application, asked by everybody.

The routes are the application's own, so one that is added is asked too; where its address or its body needs something that is not known here, the test says so.
"""

import re
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from app.api.openapi.document import openapi_document
from app.api.roles import Role
from app.auth.service_keys import ServiceKey, create_service_key
from app.database import system_scope
from app.ids import new_id
from app.main import create_app
from app.settings import Settings
from tests.application import Shop
from tests.auth.application import PASSWORD

pytestmark = pytest.mark.anyio

UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

# Answers for as long as one listens.
STREAMS = {"followSync"}

# All that says whose a row is, in every table that knows a tenant.
TABLES = """
    SELECT table_name, array_agg(column_name::text) AS columns FROM information_schema.columns
     WHERE table_schema = 'public' AND data_type = 'uuid' AND column_name <> 'service_key_id'
     GROUP BY table_name HAVING 'tenant_id' = ANY(array_agg(column_name::text)) AND 'id' = ANY(array_agg(column_name::text))
"""


class Route(NamedTuple):
    method: str
    path: str
    handler: HTTPRouteHandler

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def role(self) -> object:
        return self.handler.opt.get("role")

    @property
    def is_public(self) -> bool:
        return self.handler.opt.get("public") is True

    @property
    def is_for_services(self) -> bool:
        return self.handler.opt.get("service") is True


def routes_of(app: Litestar) -> list[Route]:
    found = [
        Route(method, route.path_format, handler)
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if isinstance(handler, HTTPRouteHandler)
        for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"})
    ]
    # Last what ends the sessions of whoever asks.
    return sorted(found, key=lambda route: (route.handler.operation_id == "logoutAll", str(route)))


class Asked(NamedTuple):
    """An application, a seller who has one of everything, and what the routes' addresses are filled with."""

    app: Litestar
    client: httpx.AsyncClient
    owner: Shop
    ids: dict[str, str]
    marks: set[str]
    bodies: dict[str, Any]

    async def ask(self, route: Route, token: str | None, ids: dict[str, str] | None = None) -> httpx.Response:
        path = re.sub(r"\{(\w+)[^}]*\}", lambda match: (ids or self.ids)[match[1]], route.path)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        body = self.bodies.get(str(route))
        return await self.client.request(route.method, f"http://test{path}", headers=headers, json=body)


@pytest.fixture
async def asked(settings: Settings, client: httpx.AsyncClient, shop: Shop) -> Asked:
    app = create_app(settings)
    (await shop.give_key()).raise_for_status()
    run = await shop.sync()
    hook = await shop.expect(201, "POST", "/webhooks", json={"url": "http://127.0.0.1:9/hook"})
    product = (await shop.expect(200, "GET", "/products"))["items"][0]
    key = ServiceKey.parse((await create_service_key("shop-bot")).reveal())
    assert key is not None
    await shop.expect(201, "POST", "/tenants/me/services", json={"service_key_id": str(key.id)})
    ids = {
        "run_id": run["id"],
        "webhook_id": hook["id"],
        "product_id": product["id"],
        "provider": "wildberries",
        "service_key_id": str(key.id),
        "session_id": str((await shop.expect(200, "GET", "/auth/sessions"))["items"][0]["id"]),
        "user_id": str((await shop.expect(200, "GET", "/tenants/me/users"))["items"][0]["id"]),
    }
    document = openapi_document(app)
    bodies = {
        f"{method.upper()} {path}": example_of(operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    }
    return Asked(app, client, shop, ids, await everything_that_names(shop.tenant_id), bodies)


def example_of(operation: dict[str, Any]) -> Any:
    [content] = operation["requestBody"]["content"].values()
    return content["example"] if "example" in content else next(iter(content["examples"].values()))["value"]


async def everything_that_names(tenant_id: UUID) -> set[str]:
    """The ids of all rows of a tenant: what no answer to another one may hold."""
    async with system_scope() as connection:
        marks = {str(tenant_id)}
        for table in await connection.fetch(TABLES):
            for row in await connection.fetch(
                f"SELECT {', '.join(table['columns'])} FROM {table['table_name']} WHERE tenant_id = $1", tenant_id
            ):
                marks |= {str(value) for value in row.values() if value is not None}
    return marks


async def join(shop: Shop, email: str, role: Role) -> str:
    """The access token of somebody who is a member of the shop's tenant, and of no other."""
    member = await Shop.register(shop.client, email)
    async with system_scope() as connection:
        user_id = await connection.fetchval("SELECT user_id FROM memberships WHERE tenant_id = $1", member.tenant_id)
        await connection.execute("DELETE FROM tenants WHERE id = $1", member.tenant_id)
        await connection.execute(
            "INSERT INTO memberships (id, tenant_id, user_id, role, created_at) VALUES ($1, $2, $3, $4, now())",
            new_id(),
            shop.tenant_id,
            user_id,
            role,
        )
    return (await sign_in(shop.client, email))["access_token"]


async def sign_in(client: httpx.AsyncClient, email: str) -> dict[str, Any]:
    answer = await client.post("/auth/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return answer.json()


def closed_to_strangers(app: Litestar) -> list[Route]:
    return [route for route in routes_of(app) if not route.is_public]


async def test_every_route_says_who_may_call_it(asked: Asked) -> None:
    for route in routes_of(asked.app):
        assert [route.is_public, isinstance(route.role, Role), route.is_for_services].count(True) == 1, (
            f"{route} says nothing, or several things"
        )


async def test_the_document_has_every_route_but_itself(asked: Asked) -> None:
    documented = {f"{method.upper()} {path}" for path, operations in openapi_document(asked.app)["paths"].items() for method in operations}

    routes = {str(route) for route in routes_of(asked.app) if route.handler.resolve_include_in_schema()}

    assert routes == documented


async def test_whoever_has_no_token_or_one_that_was_revoked_gets_nothing(asked: Asked) -> None:
    gone = await sign_in(asked.client, "tg12345@example.com")
    assert (await asked.client.post("/auth/logout", json={"refresh_token": gone["refresh_token"]})).status_code == 204

    for route in closed_to_strangers(asked.app):
        for token in (None, "", "nonsense", gone["access_token"]):
            answer = await asked.ask(route, token)

            assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated"), f"{route}: {answer.text}"
            assert not names(answer, asked.marks, route, asked.ids), f"{route}: {answer.text}"


async def test_a_viewer_reads_what_an_owner_reads_and_changes_nothing(asked: Asked) -> None:
    viewer = await join(asked.owner, "viewer@example.com", Role.VIEWER)

    for route in closed_to_strangers(asked.app):
        if route.handler.operation_id in STREAMS:
            continue
        if route.role is Role.VIEWER:
            if route.method == "GET":
                owners, viewers = await asked.ask(route, asked.owner.access_token), await asked.ask(route, viewer)
                assert (owners.status_code, viewers.status_code) == (200, 200), f"{route}: {viewers.text}"
        else:
            answer = await asked.ask(route, viewer)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), f"{route}: {answer.text}"


async def test_for_a_rival_another_tenants_things_are_as_absent_as_missing_ones(asked: Asked, other_shop: Shop) -> None:
    before = await everything_that_names(asked.owner.tenant_id)
    missing = {name: str(new_id()) if UUID_TEXT.fullmatch(value) else value for name, value in asked.ids.items()}

    for route in closed_to_strangers(asked.app):
        theirs = await asked.ask(route, other_shop.access_token)
        nobodys = await asked.ask(route, other_shop.access_token, missing)

        assert not names(theirs, asked.marks, route, asked.ids), f"{route}: {theirs.text}"
        if route.path.count("{"):
            assert theirs.status_code == nobodys.status_code, f"{route}: {theirs.text} {nobodys.text}"
            assert without_ids(theirs) == without_ids(nobodys), str(route)
    assert await everything_that_names(asked.owner.tenant_id) >= before


async def test_a_bot_with_its_key_alone_is_nobodys_member(asked: Asked) -> None:
    key = (await create_service_key("other-bot")).reveal()

    for route in closed_to_strangers(asked.app):
        answer = await asked.ask(route, key)

        assert not names(answer, asked.marks, route, asked.ids), f"{route}: {answer.text}"
        if not route.is_for_services:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), f"{route}: {answer.text}"


def names(answer: httpx.Response, marks: set[str], route: Route, asked_for: dict[str, str]) -> set[str]:
    """Whose ids the answer holds; what stood in the request is no news."""
    sent = {value for name, value in asked_for.items() if f"{{{name}" in route.path}
    return {mark for mark in marks - sent if mark in answer.text or any(mark in value for value in answer.headers.values())}


def without_ids(answer: httpx.Response) -> str:
    return UUID_TEXT.sub("…", answer.text)
