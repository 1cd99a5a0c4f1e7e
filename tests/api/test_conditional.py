"""Who has it already, gets it no second time."""

import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest
from litestar import get, post
from litestar.exceptions import NotFoundException

from tests.api.application import make_app

pytestmark = pytest.mark.anyio

BODY = b'{"stock":5}'
TAG = f'"{hashlib.sha256(BODY).hexdigest()[:32]}"'


@get("/thing", opt={"public": True, "conditional": True})
async def get_thing() -> dict[str, int]:
    return {"stock": 5}


@get("/missing", opt={"public": True, "conditional": True})
async def get_missing() -> None:
    raise NotFoundException


@get("/other", opt={"public": True})
async def get_other() -> dict[str, int]:
    return {"stock": 5}


@post("/thing", opt={"public": True})
async def change_thing() -> dict[str, int]:
    return {"stock": 5}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = make_app([get_thing, get_missing, get_other, change_thing])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        yield client


async def test_an_answer_has_the_tag_of_its_bytes(client: httpx.AsyncClient) -> None:
    answer = await client.get("/thing")

    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (200, BODY, TAG)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Vary"] == "Authorization"


@pytest.mark.parametrize("known", [TAG, f"W/{TAG}", f'"other", {TAG}', f'W/"other",{TAG}', "*", f" {TAG} "])
async def test_what_is_known_is_answered_without_a_body(client: httpx.AsyncClient, known: str) -> None:
    answer = await client.get("/thing", headers={"If-None-Match": known})

    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", TAG)
    assert answer.headers["X-Request-ID"]
    assert not {"content-type", "content-length"} & {name.lower() for name in answer.headers}


@pytest.mark.parametrize("known", ["", '"other"', TAG.strip('"'), '"', "W/", '"*"', f"{TAG[:-1]}", "ключ".encode().decode("latin-1")])
async def test_what_is_not_the_tag_brings_the_whole_answer(client: httpx.AsyncClient, known: str) -> None:
    answer = await client.get("/thing", headers={"If-None-Match": known.encode("latin-1")})

    assert (answer.status_code, answer.content) == (200, BODY)


async def test_errors_changes_and_what_does_not_ask_for_it_have_no_tag(client: httpx.AsyncClient) -> None:
    answers = [await client.get("/missing", headers={"If-None-Match": "*"}), await client.get("/other"), await client.post("/thing")]

    assert [answer.status_code for answer in answers] == [404, 200, 201]
    assert not any("ETag" in answer.headers for answer in answers)
