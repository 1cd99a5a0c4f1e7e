"""What is missing in the document is found, place by place."""

from typing import Annotated, Any

import pytest
from litestar import get, post
from litestar.params import FromQuery, JSONBody
from msgspec import Meta

from app.api.openapi.document import openapi_document
from app.api.openapi.omissions import find_omissions
from app.api.structs import In, Out
from tests.api.application import make_app


class Inner(In, frozen=True):
    text: str


class LooseIn(In, frozen=True):
    text: str
    number: int
    half: Annotated[int, Meta(ge=0)]
    items: list[Annotated[str, Meta(max_length=5)]]
    inner: Inner
    optional: Annotated[str, Meta(min_length=1)] | None = None
    fine: Annotated[str, Meta(max_length=5)] = ""


class ThingOut(Out, frozen=True):
    name: str


def test_what_a_handler_does_not_say_is_named() -> None:
    @get("/things")
    async def list_things() -> ThingOut:
        raise NotImplementedError

    found = find_omissions(openapi_document(make_app([list_things])))

    assert found == ["GET /things: has no summary.", "GET /things: has no operationId.", "GET /things: has no tags."]


def test_an_operation_id_given_twice_is_named() -> None:
    @get("/a", operation_id="same", summary="A", tags=["T"])
    async def first() -> None: ...

    @get("/b", operation_id="same", summary="B", tags=["T"])
    async def second() -> None: ...

    found = find_omissions(openapi_document(make_app([first, second])))

    assert found == ["GET /b: has the operation id of GET /a."]


def test_whatever_could_be_of_any_size_is_named() -> None:
    @post("/things", operation_id="make", summary="Make", tags=["T"])
    async def make(data: JSONBody[LooseIn], q: FromQuery[str], n: FromQuery[int] = 0) -> ThingOut:
        raise NotImplementedError

    found = find_omissions(openapi_document(make_app([make])))

    assert found == [
        f"POST /things: {place} has no bound."
        for place in (
            "parameter q",
            "parameter n",
            "body.text",
            "body.number",
            "body.half",
            "body.items",
            "body.inner.text",
            "body.optional",
        )
    ]


@pytest.mark.parametrize(
    ("spoil", "omission"),
    [
        (lambda operation: operation["responses"].pop("401"), "needs a token and tells of no 401"),
        (lambda operation: operation["responses"]["200"]["content"]["application/json"].pop("example"), "the answer 200 has no example"),
        (lambda operation: [operation["responses"].pop(status) for status in ("401", "422", "429")], "tells of no errors"),
    ],
)
def test_a_spoilt_document_is_found_out(spoil: Any, omission: str) -> None:
    @get("/things", operation_id="list", summary="List", tags=["T"])
    async def list_things() -> ThingOut:
        raise NotImplementedError

    document = openapi_document(make_app([list_things]))
    assert find_omissions(document) == []

    spoil(document["paths"]["/things"]["get"])

    assert f"GET /things: {omission}." in find_omissions(document)
