"""All of the API, composed as it is served."""

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.api.bodies import MAX_BODY_BYTES
from app.api.openapi.document import openapi_document
from app.api.openapi.omissions import find_omissions
from app.api.roles import Role
from app.main import create_app
from app.settings import Settings
from tests.application import Shop, client, other_shop, redis, sandbox, sandbox_url, settings, shop

__all__ = ["client", "other_shop", "redis", "sandbox", "sandbox_url", "settings", "shop"]

pytestmark = pytest.mark.anyio

INSIDE = re.compile(r"Traceback|File \"|asyncpg|litestar|SELECT |INSERT |\.py\b")

# (method, path, a body that is accepted or at least understood)
WITH_BODY = [
    (
        "POST",
        "/auth/register",
        {"email": "a@example.com", "password": "long enough", "company_name": "A", "marketplace_type": "wildberries"},
    ),
    ("POST", "/auth/login", {"email": "a@example.com", "password": "long enough"}),
    ("POST", "/auth/refresh", {"refresh_token": "x"}),
    ("PATCH", "/tenants/me", {"name": "A"}),
    ("PATCH", "/tenants/me/credentials", {"wildberries_api_key": "x"}),
    ("POST", "/sync", {"marketplace": "wildberries"}),
    ("POST", "/webhooks", {"url": "https://bot.example.com/hook"}),
]
TEXT_FIELDS = [
    ("POST", "/auth/register", "company_name"),
    ("POST", "/auth/register", "password"),
    ("POST", "/auth/login", "password"),
    ("POST", "/auth/refresh", "refresh_token"),
    ("PATCH", "/tenants/me", "name"),
    ("PATCH", "/tenants/me/credentials", "wildberries_api_key"),
    ("POST", "/sync", "marketplace"),
    ("POST", "/webhooks", "url"),
]
with_body = pytest.mark.parametrize(("method", "path", "body"), WITH_BODY, ids=[f"{method} {path}" for method, path, _ in WITH_BODY])


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The document, whose form is everywhere the same and which shows nothing of what is inside."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document.keys() - {"errors"} == {"type", "title", "status", "detail", "instance", "code", "request_id"}
    assert (document["code"], document["status"], document["type"]) == (code, status, f"/errors/{code}")
    assert document["request_id"] == answer.headers["x-request-id"]
    assert not INSIDE.search(answer.text), answer.text
    return document


def handlers(app: Litestar) -> list[tuple[str, HTTPRouteHandler]]:
    return [(route.path, handler) for route in app.routes for handler in route.route_handlers if isinstance(handler, HTTPRouteHandler)]


@pytest.fixture
def app(settings: Settings) -> Litestar:
    return create_app(settings)


def test_the_description_is_valid_and_complete(app: Litestar):
    document = openapi_document(app)

    OpenAPIV31SpecValidator(document).validate()
    assert find_omissions(document) == []
    assert len(document["paths"]) > 15


async def test_the_description_is_served_and_names_every_route_of_the_api(client: httpx.AsyncClient, app: Litestar):
    served = (await client.get("http://test/schema/openapi.json")).json()

    described = {(path, method.upper()) for path, methods in served["paths"].items() for method in methods}
    routes = {
        (re.sub(r":\w+}", "}", path), method)
        for path, handler in handlers(app)
        if path.startswith(("/api/", "/health"))
        for method in handler.http_methods
        if method not in ("OPTIONS", "HEAD")
    }
    assert routes <= described


@pytest.mark.parametrize("file", ["/schema", "/schema/style.css", "/schema/script.js"])
async def test_the_page_of_the_description_needs_nothing_from_elsewhere(client: httpx.AsyncClient, file: str):
    answer = await client.get(f"http://test{file}", follow_redirects=True)

    assert answer.status_code == 200
    assert re.findall(r"""(?:src|href|url|import|fetch)\s*[=(]?\s*["'(]?\s*(?:https?:)?//[^\s"')]+""", answer.text) == []
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_every_route_says_who_may_call_it(app: Litestar):
    undecided = [
        f"{handler.http_methods} {path}"
        for path, handler in handlers(app)
        if "OPTIONS" not in handler.http_methods
        and [isinstance(handler.opt.get("role"), Role), handler.opt.get("public") is True, handler.opt.get("service") is True].count(True)
        != 1
    ]

    assert undecided == []


def test_what_needs_no_token_is_a_short_list(app: Litestar):
    public = {path for path, handler in handlers(app) if handler.opt.get("public") is True and path.startswith("/api/")}

    signing_in = ("register", "login", "refresh", "logout", "telegram/web-app")
    assert public == {f"/api/v1/auth/{name}" for name in signing_in}


async def test_every_other_route_refuses_who_has_no_good_token(client: httpx.AsyncClient, app: Litestar):
    for path, handler in handlers(app):
        if "role" not in handler.opt:
            continue
        url = "http://test" + re.sub(r"{provider:str}", "wildberries", re.sub(r"{\w+:uuid}", str(uuid4()), path))
        for method in handler.http_methods - {"OPTIONS"}:
            for token in (None, "", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Basic eDp5", "Bearer " + "x" * 5000):
                answer = await client.request(method, url, headers={} if token is None else {"Authorization": token})

                problem(answer, 401, "not_authenticated")
                assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_route_that_is_not_there_is_a_problem(shop: Shop):
    for path in ("/nowhere", "/products/../nowhere", "/sync/not-an-id", "//", "/products%00"):
        problem(await shop.call("GET", path), 404, "not_found")
    problem(await shop.client.get("http://test/favicon.ico"), 404, "not_found")


async def test_a_wrong_method_is_told_the_right_ones(shop: Shop):
    for method, path, allowed in (("DELETE", "/sync", "POST"), ("PUT", "/tenants/me", "PATCH"), ("POST", "/products", "GET")):
        answer = await shop.call(method, path)

        problem(answer, 405, "method_not_allowed")
        assert allowed in answer.headers["allow"].split(", ")


NO_JSON = [b"{", b"{]}", b'{"a": NaN}', b"\xff\xfe{}", b"\xef\xbb\xbf[", b"[" * 200 + b"]" * 200, b'{"a": 1}}']


@with_body
async def test_what_is_no_json_is_refused(shop: Shop, method: str, path: str, body: object):
    for content in NO_JSON:
        answer = await shop.send(method, path, content)

        problem(answer, 400, "malformed_body")


@with_body
async def test_a_body_that_is_no_object_is_refused(shop: Shop, method: str, path: str, body: object):
    for content in (b"[]", b'"text"', b"1", b"null", b"true"):
        problem(await shop.send(method, path, content), 422, "validation_failed")


@with_body
async def test_an_unknown_field_is_named(shop: Shop, method: str, path: str, body: dict[str, Any]):
    document = problem(await shop.call(method, path, json=body | {"surprise": 1}), 422, "validation_failed")

    assert document["errors"] == [{"field": "surprise", "message": "Unknown field"}]


@with_body
async def test_a_field_that_comes_twice_is_named(shop: Shop, method: str, path: str, body: object):
    document = problem(await shop.send(method, path, b'{"name": 1, "name": 2}'), 422, "validation_failed")

    assert document["errors"] == [{"field": "name", "message": "Given more than once"}]


@with_body
async def test_another_media_type_is_refused(shop: Shop, method: str, path: str, body: object):
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense"):
        problem(await shop.send(method, path, b"{}", media_type), 415, "unsupported_media_type")


@with_body
async def test_a_body_that_is_too_large_is_refused(shop: Shop, method: str, path: str, body: object):
    problem(await shop.send(method, path, b" " * (MAX_BODY_BYTES + 1)), 413, "body_too_large")


NO_TEXT = ['"x\\u0000y"', '"\\ud800"', '""', '"' + "x" * 10_000 + '"', "5", "[]", "{}", "true", "1" * 400]


@pytest.mark.parametrize(("method", "path", "field"), TEXT_FIELDS)
async def test_a_wrong_text_is_named(shop: Shop, method: str, path: str, field: str):
    body = next(body for m, p, body in WITH_BODY if (m, p) == (method, path))
    others = "".join(f'"{name}": "{text}", ' for name, text in body.items() if name != field)
    for value in NO_TEXT:
        answer = await shop.send(method, path, f'{{{others}"{field}": {value}}}'.encode())

        document = problem(answer, 422, "validation_failed")
        assert [error["field"] for error in document["errors"]] == [field], value


async def test_what_is_anothers_is_as_absent_as_what_is_not_there(shop: Shop, other_shop: Shop):
    await shop.give_key()
    run = await shop.sync()
    webhook = await shop.expect(201, "POST", "/webhooks", json={"url": "http://127.0.0.1:9/"})
    product = (await shop.expect(200, "GET", "/products"))["items"][0]
    calls = [
        ("GET", "/sync/{}", run["id"]),
        ("GET", "/products/{}", product["id"]),
        ("GET", "/webhooks/{}", webhook["id"]),
        ("GET", "/webhooks/{}/deliveries", webhook["id"]),
        ("POST", "/webhooks/{}/test", webhook["id"]),
        ("DELETE", "/webhooks/{}", webhook["id"]),
    ]

    for method, path, theirs in calls:
        told = []
        for identifier in (theirs, str(uuid4())):
            document = problem(await other_shop.call(method, path.format(identifier)), 404, "not_found")
            told.append({name: str(text).replace(identifier, "ID") for name, text in document.items() if name != "request_id"})
        assert told[0] == told[1]

    for path in ("/sync", "/products", "/webhooks"):
        listed = await other_shop.expect(200, "GET", path)
        assert (listed if isinstance(listed, list) else listed["items"]) == []
    assert (await shop.expect(200, "GET", f"/webhooks/{webhook['id']}"))["id"] == webhook["id"]


async def test_a_request_id_is_taken_over_if_it_is_a_sane_one_and_made_otherwise(shop: Shop):
    async def sent(request_id: str) -> str:
        answer = await shop.client.get("/auth/me", headers={"X-Request-ID": request_id, "Authorization": f"Bearer {shop.access_token}"})
        return answer.headers["x-request-id"]

    assert await sent("bot-17.a_b") == "bot-17.a_b"
    made = [await sent(wrong) for wrong in ("", "x" * 500, "a b", '<"script>')]
    made.append((await shop.client.get("/auth/me")).headers["x-request-id"])
    assert len(set(made)) == 5
    assert all(re.fullmatch(r"[0-9a-f-]{36}", request_id) for request_id in made)


async def test_health_says_what_was_looked_at(client: httpx.AsyncClient):
    ready, live = await client.get("http://test/health/ready"), await client.get("http://test/health/live")

    assert (ready.status_code, live.status_code) == (200, 200)
    assert ready.json()["checks"] == {"database": "ok", "redis": "ok", "migrations": "ok"}
