"""The OpenAPI document says of the handlers what they really do."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID

import jsonschema
import openapi_spec_validator
import pytest
from litestar import Controller, Litestar, Response, delete, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from app.api.openapi.document import openapi_document
from app.api.openapi.omissions import find_omissions
from app.api.pagination import DEFAULT_LIMIT, Cursor, Limit, PageOut
from app.api.problem_details import problems
from app.api.roles import Role
from app.api.structs import Email, In, Instant, Out, Password, ShortText
from app.errors import Conflict, InvalidInput
from tests.api.application import make_app


class NameTaken(Conflict):
    """Another shop has this name."""

    code = "name_taken"
    title = "Name taken"


class NameForbidden(InvalidInput):
    """This name is not for everybody."""

    code = "name_forbidden"
    title = "Name forbidden"


class Size(In, frozen=True):
    name: Annotated[str, Meta(max_length=5)]
    count: Annotated[int, Meta(ge=0, le=1000)] | None = None


class ShopIn(In, frozen=True):
    """What a shop is made of."""

    email: Email
    password: Password
    name: ShortText
    sizes: Annotated[tuple[Size, ...], Meta(max_length=3)] = ()
    opened_at: Instant | UnsetType = UNSET


class ShopOut(Out, frozen=True, kw_only=True):
    """A shop.

    `opened_at` is null before the first sale.
    """

    id: UUID
    revenue: Decimal
    opened_at: datetime | None
    changed_at: datetime
    note: str = ""

    EXAMPLE: ClassVar[dict[str, object]] = {
        "id": "019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d5e",
        "revenue": "1290.00",
        "opened_at": None,
        "changed_at": "2026-11-22T10:00:00Z",
        "note": "Ромашка",
    }


async def provide_page(limit: FromQuery[Limit] = DEFAULT_LIMIT, cursor: FromQuery[Cursor | None] = None) -> tuple[int, str | None]:
    return limit, cursor


class ShopController(Controller):
    """Where things are sold."""

    path = "/shops"
    tags = ("Shops",)

    @get(opt={"role": Role.VIEWER}, operation_id="listShops", dependencies={"page": Provide(provide_page)})
    async def list_shops(
        self, page: NamedDependency[tuple[int, str | None]], since: Annotated[Instant | None, QueryParameter(name="from")] = None
    ) -> PageOut[ShopOut]:
        """List shops.

        The newest first.
        """
        raise NotImplementedError

    @post(
        opt={"public": True},
        operation_id="createShop",
        summary="Make a shop",
        responses=problems(NameTaken, NameForbidden) | {200: ResponseSpec(ShopOut, generate_examples=False, description="There was one.")},
        response_headers=[ResponseHeader(name="Location", description="Where it is.", documentation_only=True)],
    )
    async def create_shop(self, data: JSONBody[ShopIn]) -> ShopOut:
        """Each name is given once."""
        raise NotImplementedError

    @delete("/{shop_id:uuid}", opt={"role": Role.OWNER}, operation_id="deleteShop")
    async def delete_shop(self, shop_id: FromPath[UUID]) -> None:
        """Close a shop."""

    @get("/{shop_id:uuid}/picture", opt={"role": Role.VIEWER}, operation_id="getPicture", media_type="image/png")
    async def get_picture(self) -> Response[bytes]:
        """A picture of a shop."""
        raise NotImplementedError

    @get("/hidden", include_in_schema=False)
    async def get_hidden(self) -> None:
        """Nobody need know."""


@pytest.fixture(scope="module")
def app() -> Litestar:
    return make_app([ShopController])


@pytest.fixture(scope="module")
def document(app: Litestar) -> dict[str, Any]:
    return openapi_document(app, "https://stock.example.com")


def codes(operation: dict[str, Any]) -> dict[str, list[str]]:
    """Status → the codes of its errors."""
    found: dict[str, list[str]] = {}
    for status, response in operation["responses"].items():
        if content := response.get("content", {}).get("application/problem+json"):
            found[status] = list(content["examples"])
    return found


def test_the_document_is_valid_and_complete(document: dict[str, Any]) -> None:
    openapi_spec_validator.validate(document)

    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "https://stock.example.com"}]
    assert find_omissions(document) == []


def test_all_handlers_are_in_it_but_the_hidden_one(document: dict[str, Any]) -> None:
    listed = {(method, path) for path, methods in document["paths"].items() for method in methods}

    assert listed == {("get", "/shops"), ("post", "/shops"), ("delete", "/shops/{shop_id}"), ("get", "/shops/{shop_id}/picture")}


def test_words_come_from_the_decorator_or_else_from_the_docstring(document: dict[str, Any]) -> None:
    listing, making = document["paths"]["/shops"]["get"], document["paths"]["/shops"]["post"]

    assert (listing["summary"], listing["description"]) == ("List shops", "The newest first.")
    assert (making["summary"], making["description"]) == ("Make a shop", "Each name is given once.")
    assert document["tags"] == [{"name": "Shops", "description": "Where things are sold."}]
    assert document["components"]["schemas"]["ShopOut"]["description"] == "A shop.\n\n`opened_at` is null before the first sale."


def test_a_handler_for_everybody_needs_no_token_and_all_others_do(document: dict[str, Any]) -> None:
    assert document["security"] == [{"accessToken": []}]
    assert document["paths"]["/shops"]["post"]["security"] == []
    assert "security" not in document["paths"]["/shops"]["get"]


def test_errors_follow_from_what_a_handler_is_and_from_what_it_declares(document: dict[str, Any]) -> None:
    assert codes(document["paths"]["/shops"]["get"]) == {
        "401": ["not_authenticated"],
        "422": ["validation_failed"],
        "429": ["rate_limited"],
        "500": ["internal_error"],
    }
    assert codes(document["paths"]["/shops"]["post"]) == {
        "400": ["malformed_body"],
        "409": ["name_taken"],
        "413": ["body_too_large"],
        "415": ["unsupported_media_type"],
        "422": ["validation_failed", "name_forbidden"],
        "500": ["internal_error"],
    }
    assert codes(document["paths"]["/shops/{shop_id}"]["delete"]) == {
        "401": ["not_authenticated"],
        "403": ["forbidden"],
        "404": ["not_found"],
        "422": ["validation_failed"],
        "429": ["rate_limited"],
        "500": ["internal_error"],
    }


def test_other_answers_and_headers_are_told(document: dict[str, Any]) -> None:
    responses = document["paths"]["/shops"]["post"]["responses"]

    assert responses["200"]["description"] == "There was one."
    assert responses["201"]["headers"].keys() == {"Location", "X-Request-ID"}
    assert all("X-Request-ID" in response["headers"] for response in responses.values())
    limited = document["paths"]["/shops"]["get"]["responses"]
    assert all(response["headers"].keys() >= {"X-Request-ID", "RateLimit", "RateLimit-Policy"} for response in limited.values())
    assert "content" not in document["paths"]["/shops/{shop_id}"]["delete"]["responses"]["204"]
    assert list(document["paths"]["/shops/{shop_id}/picture"]["get"]["responses"]["200"]["content"]) == ["image/png"]


def test_strict_bodies_are_told_to_be_strict(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["ShopIn"]["additionalProperties"] is schemas["Size"]["additionalProperties"] is False
    assert schemas["ShopIn"]["required"] == ["email", "password", "name"]
    assert "additionalProperties" not in schemas["ShopOut"]


def test_bounds_of_optional_fields_and_of_list_items_are_told(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["Size"]["properties"]["count"]["anyOf"][0] == {"type": "integer", "minimum": 0, "maximum": 1000}
    assert schemas["Size"]["properties"]["name"]["maxLength"] == 5
    assert schemas["ShopIn"]["properties"]["sizes"]["maxItems"] == 3


def test_secrets_are_told_to_be_secrets(document: dict[str, Any]) -> None:
    password = document["components"]["schemas"]["ShopIn"]["properties"]["password"]

    assert (password["format"], password["writeOnly"]) == ("password", True)


def test_times_of_answers_are_told_to_be_times(document: dict[str, Any]) -> None:
    properties = document["components"]["schemas"]["ShopOut"]["properties"]

    assert properties["changed_at"]["format"] == "date-time"
    assert properties["opened_at"]["anyOf"] == [{"type": "string", "format": "date-time"}, {"type": "null"}]
    assert "format" not in properties["note"]


def test_parameters_are_told_with_their_bounds_defaults_and_real_names(document: dict[str, Any]) -> None:
    told = {parameter["name"]: parameter for parameter in document["paths"]["/shops"]["get"]["parameters"]}

    assert told.keys() == {"limit", "cursor", "from"}
    assert told["limit"]["schema"] | {"examples": []} == {"type": "integer", "minimum": 1, "maximum": 500, "default": 100, "examples": []}
    assert told["limit"]["description"] == "How many items at most."
    assert (told["from"]["schema"]["type"], told["from"]["schema"]["format"]) == ("string", "date-time")
    assert not any(parameter["required"] for parameter in told.values())


def test_a_parameter_of_the_path_is_told_though_the_handler_does_not_take_it(document: dict[str, Any]) -> None:
    (parameter,) = document["paths"]["/shops/{shop_id}/picture"]["get"]["parameters"]

    assert parameter == {"name": "shop_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}


def test_each_example_is_one_that_its_schema_allows(document: dict[str, Any]) -> None:
    checked = 0
    for methods in document["paths"].values():
        for operation in methods.values():
            for body in (operation.get("requestBody", {}), *operation["responses"].values()):
                for content in body.get("content", {}).values():
                    examples = [content["example"]] if "example" in content else [e["value"] for e in content.get("examples", {}).values()]
                    for example in examples:
                        jsonschema.validate(example, content["schema"] | {"components": document["components"]})
                        checked += 1

    assert checked > 10


def test_a_types_own_example_is_shown_wherever_the_type_is(document: dict[str, Any]) -> None:
    content = document["paths"]["/shops"]["get"]["responses"]["200"]["content"]["application/json"]

    assert content["example"]["items"] == [ShopOut.EXAMPLE]


def test_two_types_of_one_name_are_refused() -> None:
    def make() -> Any:
        class Size(Out, frozen=True):
            other: int

        return Size

    @get("/a", operation_id="a")
    async def first() -> Size:  # type: ignore[empty-body]  # never called
        ...

    @get("/b", operation_id="b")
    async def second() -> Any: ...

    second.fn.__annotations__["return"] = make()

    with pytest.raises(TypeError, match="Size"):
        openapi_document(make_app([first, second]))
