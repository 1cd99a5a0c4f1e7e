"""What the API's address shows to browsers of other sites, and does not show at all."""

import httpx
import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
async def test_no_other_site_may_read_an_answer(client: httpx.AsyncClient, method: str):
    asked = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }

    answers = [await client.request(method, path, headers=asked) for path in ("/auth/login", "/products", "http://test/health/live")]

    assert [name for answer in answers for name in answer.headers if name.startswith("access-control-")] == []


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/metrics", "/admin", "/debug", "/docs", "/api/v1/platform"])
async def test_what_is_the_operators_is_not_served_to_callers(client: httpx.AsyncClient, path: str):
    assert (await client.get(f"http://test{path}")).status_code == 404
