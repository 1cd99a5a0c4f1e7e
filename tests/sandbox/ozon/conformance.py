"""Hold the sandbox's answers in Ozon's name against the official description, and against models that others generated from a newer one."""

import httpx

from tests.contracts.ozon_specification import DESCRIPTION, newer_ozon_specification
from tests.contracts.published_ozon_models import check_published

TOKEN = "/oauth/token"


async def check_answer(response: httpx.Response) -> None:
    """Raise AssertionError where the answer is not as described."""
    await response.aread()
    path = response.request.url.path.removeprefix("/ozon")
    assert response.headers["ratelimit-remaining"].isdecimal()
    assert len(response.headers["x-o3-trace-id"]) == 32
    if response.status_code == 405:
        assert response.content == b""
        return
    if response.status_code != 200:
        refusal = response.json()
        assert refusal.keys() - {"details"} == {"code", "message"}
        assert (response.status_code == 429) is ("retry-after" in response.headers)
        # A path that Ozon doesn't have is described nowhere.
        if refusal == {"code": 5, "message": "Not Found", "details": []}:
            return
    elif path != TOKEN:
        check_published(path, response.json())
    if DESCRIPTION.is_file() and path != TOKEN:
        newer_ozon_specification().check_response(
            response.request.method, path, response.status_code, headers=response.headers, body=response.content
        )
