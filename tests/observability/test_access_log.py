"""One line for each request, however it ends."""

from typing import Any

import httpx
import pytest
import structlog
from litestar import Litestar, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from structlog.testing import capture_logs

from app.observability.access_log import AccessLog

pytestmark = pytest.mark.anyio


@get("/shops/{name:str}")
async def get_shop(name: FromPath[str]) -> dict[str, str]:
    if name == "none":
        raise NotFoundException
    structlog.contextvars.bind_contextvars(tenant_id="acme")
    return {"name": name}


@get("/probe", opt={"quiet": True})
async def probe() -> None:
    return None


async def logged(method: str, path: str) -> list[Any]:
    app = Litestar([get_shop, probe], openapi_config=None, logging_config=None)
    app.asgi_handler = AccessLog(app.asgi_handler)
    structlog.contextvars.clear_contextvars()  # all tests share one loop, and what others bound
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
            await client.request(method, path)
    structlog.contextvars.clear_contextvars()
    return logs


async def test_a_request_is_one_line_with_the_template_of_its_route() -> None:
    (line,) = await logged("GET", "/shops/romashka?secret=1")

    assert line.pop("duration_ms") >= 0
    assert line == {"event": "request", "log_level": "info", "method": "GET", "path": "/shops/{name}", "status": 200, "tenant_id": "acme"}


@pytest.mark.parametrize(
    ("method", "path", "shown", "status"),
    [
        ("GET", "/shops/none", "/shops/{name}", 404),
        ("GET", "/nowhere", "/nowhere", 404),
        ("DELETE", "/probe", "/probe", 405),
        ("GET", "/connect/0123456789abcdef0123456789abcdef", "/connect/…", 404),
        ("GET", "/" + "a/" * 500, "/" + "a/" * 99 + "a", 404),
    ],
)
async def test_a_refused_request_is_one_line_too(method: str, path: str, shown: str, status: int) -> None:
    (line,) = await logged(method, path)

    assert (line["path"], line["status"]) == (shown, status)


async def test_probes_are_logged_for_those_who_look_closely() -> None:
    (line,) = await logged("GET", "/probe")

    assert line["log_level"] == "debug"


async def test_a_request_that_fails_after_its_answer_began_is_logged_with_what_was_sent() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    with capture_logs() as logs, pytest.raises(RuntimeError):
        await AccessLog(app)({"type": "http", "method": "GET", "path": "/x"}, None, _ignore)  # type: ignore[arg-type]  # a hand-made scope

    assert [line["status"] for line in logs] == [200]


async def _ignore(message: Any) -> None:
    return None
