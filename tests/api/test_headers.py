"""What each response carries, whoever made it."""

from uuid import UUID

import pytest
import structlog
from litestar import Response, get

from tests.api.application import ClientFor

pytestmark = pytest.mark.anyio


@get("/ok")
async def ok() -> dict[str, str]:
    return structlog.contextvars.get_contextvars()


@get("/crash")
async def crash() -> None:
    raise RuntimeError


@get("/tokens", opt={"no_store": True})
async def tokens() -> None:
    return None


@get("/page")
async def page() -> Response[str]:
    return Response("<p>", media_type="text/html", headers={"Content-Security-Policy": "default-src 'self'"})


@pytest.mark.parametrize("given", ["a", "req-1.2_3", "x" * 128, "019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d5e"])
async def test_a_sane_id_of_the_caller_is_kept(client_for: ClientFor, given: str) -> None:
    async with client_for(ok) as client:
        answer = await client.get("/ok", headers={"X-Request-ID": given})

    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "<script>", 'a"b', "ключ".encode()])
async def test_another_id_is_replaced_by_a_new_one(client_for: ClientFor, given: str | bytes) -> None:
    async with client_for(ok) as client:
        answer = await client.get("/ok", headers={"X-Request-ID": given})

    assert UUID(answer.headers["x-request-id"]).version == 7


async def test_each_request_has_an_id_of_its_own(client_for: ClientFor) -> None:
    async with client_for(ok) as client:
        ids = {(await client.get("/ok")).headers["x-request-id"] for _ in range(10)}

    assert len(ids) == 10


async def test_the_id_is_in_every_log_line_of_the_request(client_for: ClientFor) -> None:
    async with client_for(ok) as client:
        answer = await client.get("/ok", headers={"X-Request-ID": "mine"})

    assert answer.json() == {"request_id": "mine"}


async def test_nothing_of_one_request_is_in_the_log_lines_of_the_next(client_for: ClientFor) -> None:
    @get("/bind")
    async def bind() -> None:
        structlog.contextvars.bind_contextvars(tenant_id="acme")

    async with client_for(bind, ok) as client:
        await client.get("/bind")
        answer = await client.get("/ok", headers={"X-Request-ID": "mine"})

    assert answer.json() == {"request_id": "mine"}


@pytest.mark.parametrize("path", ["/ok", "/crash", "/nowhere", "/tokens"])
async def test_every_answer_has_an_id_and_the_security_headers(client_for: ClientFor, path: str) -> None:
    async with client_for(ok, crash, tokens) as client:
        answer = await client.get(path)

    assert answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "strict-transport-security" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers


async def test_a_page_sets_a_policy_of_its_own(client_for: ClientFor) -> None:
    async with client_for(page) as client:
        answer = await client.get("/page")

    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]


async def test_a_route_with_secrets_is_stored_by_nobody_and_others_may_be(client_for: ClientFor) -> None:
    async with client_for(ok, tokens) as client:
        secret = await client.get("/tokens")
        refused = await client.get("/tokens?x=1")
        plain = await client.get("/ok")

    assert secret.headers["cache-control"] == refused.headers["cache-control"] == "no-store"
    assert "cache-control" not in plain.headers


async def test_behind_tls_browsers_are_told_to_stay_there(client_for: ClientFor) -> None:
    async with client_for(ok, base_url="https://test") as client:
        answer = await client.get("/ok")

    assert answer.headers["strict-transport-security"] == "max-age=31536000"
