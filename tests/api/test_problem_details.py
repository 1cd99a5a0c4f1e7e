"""Every error has the same shape, and shows nothing of our insides."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, ClassVar

import msgspec
import pytest
from litestar import get, post
from litestar.exceptions import ClientException, HTTPException, InternalServerException, PermissionDeniedException
from litestar.params import FromPath, JSONBody
from msgspec import Meta
from structlog.testing import capture_logs

from app.api.problem_details import MEDIA_TYPE, ProblemDetails, problems
from app.api.structs import In
from app.errors import Conflict, FieldError, Forbidden, InvalidInput, NotFound, StockTrackerError, Unauthenticated, Unavailable
from app.marketplaces.errors import MarketplaceDown, RateLimited
from tests.api.application import ClientFor

pytestmark = pytest.mark.anyio


class NameTaken(Conflict):
    """Another shop has this name."""

    code = "name_taken"
    title = "Name taken"


class Broken(StockTrackerError):
    """One of ours that is a fault of ours."""

    code: ClassVar[str] = "vault_broken"


class Name(In, frozen=True):
    name: Annotated[str, Meta(max_length=5)]


def raising(make_error: Callable[[], Exception]) -> Any:
    @get("/raise")
    async def handler() -> None:
        raise make_error()

    return handler


async def raised(client_for: ClientFor, error: Exception, **headers: str) -> Any:
    async with client_for(raising(lambda: error)) as client:
        return await client.get("/raise", headers=headers)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFound("No product 7."), 404, "not_found"),
        (NameTaken("Another shop has this name."), 409, "name_taken"),
        (Forbidden("Only an owner may do this."), 403, "forbidden"),
        (Unavailable("The database does not answer."), 503, "unavailable"),
        (MarketplaceDown("Wildberries does not answer."), 502, "marketplace_unavailable"),
        (InvalidInput("Bad."), 422, "validation_failed"),
    ],
)
async def test_our_errors_say_their_status_code_title_and_detail(
    client_for: ClientFor, error: StockTrackerError, status: int, code: str
) -> None:
    answer = await raised(client_for, error)

    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json() == {
        "type": f"/errors/{code}",
        "title": error.title,
        "status": status,
        "detail": error.detail,
        "instance": "/raise",
        "code": code,
        "request_id": answer.headers["x-request-id"],
    }


async def test_invalid_input_names_the_fields(client_for: ClientFor) -> None:
    answer = await raised(client_for, InvalidInput("Two faults.", (FieldError("a", "Too long"), FieldError("b[0].c", "Required"))))

    assert answer.json()["errors"] == [{"field": "a", "message": "Too long"}, {"field": "b[0].c", "message": "Required"}]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/names", 405, "method_not_allowed"),
        ("POST", "/names/no-uuid", 404, "not_found"),
        ("GET", "/names/../../etc/passwd", 404, "not_found"),
    ],
)
async def test_unknown_addresses_and_methods_have_the_same_shape(
    client_for: ClientFor, method: str, path: str, status: int, code: str
) -> None:
    @post("/names")
    async def create(data: JSONBody[Name]) -> None:
        return None

    async with client_for(create) as client:
        answer = await client.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert msgspec.convert(answer.json(), ProblemDetails).code == code


async def test_a_wrong_method_is_told_the_right_ones(client_for: ClientFor) -> None:
    async with client_for(raising(Exception)) as client:
        answer = await client.post("/raise")

    assert set(answer.headers["allow"].split(", ")) == {"GET", "OPTIONS"}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (PermissionDeniedException("needs role 7 of table users"), 403, "forbidden"),
        (ClientException("Invalid header: 's3cret'"), 400, "bad_request"),
        (HTTPException("s3cret", status_code=418), 400, "bad_request"),
        (InternalServerException("s3cret"), 500, "internal_error"),
    ],
)
async def test_the_frameworks_own_words_are_not_repeated(client_for: ClientFor, error: Exception, status: int, code: str) -> None:
    answer = await raised(client_for, error)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "s3cret" not in answer.text
    assert "table users" not in answer.text


async def test_an_unforeseen_error_is_logged_with_its_trace_and_shows_nothing(client_for: ClientFor) -> None:
    error = RuntimeError('relation "users" does not exist; password=s3cret')

    with capture_logs() as logs:
        answer = await raised(client_for, error)

    assert (answer.status_code, answer.json()["code"], answer.json()["title"]) == (500, "internal_error", "Internal error")
    assert "users" not in answer.text
    assert "s3cret" not in answer.text
    assert [(line["log_level"], line["exc_info"]) for line in logs] == [("error", error)]


async def test_a_fault_of_ours_with_a_code_is_logged_with_its_trace_too(client_for: ClientFor) -> None:
    with capture_logs() as logs:
        answer = await raised(client_for, Broken("The key is gone."))

    assert (answer.status_code, answer.json()["code"]) == (500, "vault_broken")
    assert [line["code"] for line in logs] == ["vault_broken"]


async def test_an_error_of_a_caller_is_not_worth_a_line(client_for: ClientFor) -> None:
    with capture_logs() as logs:
        await raised(client_for, NotFound("No product 7."))

    assert logs == []


async def test_who_sent_no_token_is_asked_for_one(client_for: ClientFor) -> None:
    answer = await raised(client_for, Unauthenticated("Send an access token."))

    assert answer.headers["www-authenticate"] == 'Bearer realm="stock-tracker"'


async def test_who_sent_a_bad_token_is_told_so(client_for: ClientFor) -> None:
    answer = await raised(client_for, Unauthenticated("The token has expired."), Authorization="Bearer x")

    assert answer.headers["www-authenticate"] == 'Bearer realm="stock-tracker", error="invalid_token"'


@pytest.mark.parametrize(
    ("wait", "seconds"), [(timedelta(seconds=61), "61"), (timedelta(milliseconds=1), "1"), (timedelta(seconds=1.2), "2")]
)
async def test_an_error_that_asks_for_patience_says_how_long(client_for: ClientFor, wait: timedelta, seconds: str) -> None:
    answer = await raised(client_for, RateLimited(wait))

    assert answer.headers["retry-after"] == seconds


async def test_the_instance_is_the_path_without_its_query(client_for: ClientFor) -> None:
    @get("/shops/{name:str}")
    async def shop(name: FromPath[str]) -> None:
        raise NotFound("No such shop.")

    async with client_for(shop) as client:
        answer = await client.get("/shops/Ромашка и Ко?token=s3cret")

    assert answer.json()["instance"] == "/shops/%D0%A0%D0%BE%D0%BC%D0%B0%D1%88%D0%BA%D0%B0%20%D0%B8%20%D0%9A%D0%BE"
    assert "s3cret" not in answer.text


def test_declared_errors_are_grouped_by_status_with_an_example_each() -> None:
    declared = problems(NotFound, NameTaken, Conflict)

    assert {status: [example.id for example in spec.examples or []] for status, spec in declared.items()} == {
        404: ["not_found"],
        409: ["name_taken", "conflict"],
    }
    assert declared[409].description == "Name taken; Conflict"
