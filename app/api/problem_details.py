"""Errors as callers see them: RFC 9457 problem documents, for our own errors, the framework's, and those that nobody foresaw.

`type` is `/errors/{code}`, a reference that never changes; `code` is the same word, for a program to switch on. Both are our promise,
`title` and `detail` are for people and may be reworded.
"""

import math
import re
from datetime import timedelta
from typing import Any, Final, cast
from urllib.parse import quote

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from app.api.validation import invalid
from app.errors import FieldError, Forbidden, InvalidInput, NotFound, StockTrackerError, Unauthenticated, Unavailable

MEDIA_TYPE = "application/problem+json"

# No id is as long; the token of a one-time link is, and it may be asked for by a method that its page doesn't know.
_LONG_SEGMENT = re.compile(r"[^/]{40,}")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong. `code` is for programs, `detail` for people; `errors` names the wrong fields of invalid input."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: tuple[FieldError, ...] = ()


class BadRequest(StockTrackerError):
    """The request breaks the rules of HTTP."""

    status = 400
    code = "bad_request"
    title = "Bad request"


class MethodNotAllowed(StockTrackerError):
    """The address exists, and not with this method; `Allow` names those that it has."""

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"


class BodyTooLarge(StockTrackerError):
    """The body is larger than this endpoint takes."""

    status = 413
    code = "body_too_large"
    title = "Body too large"


def problem_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer with the problem document of any exception. What we did not foresee is logged, and nothing of it is shown."""
    problem = _problem_of(error)
    if problem.status == 500:
        log.error("request_failed", code=problem.code, exc_info=error)
    elif problem.status > 500:
        log.warning("request_failed", code=problem.code, detail=problem.detail)
    body = ProblemDetails(
        type=f"/errors/{problem.code}",
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        instance=quote(_LONG_SEGMENT.sub("…", request.scope["path"])),
        code=problem.code,
        request_id=request.scope["state"].get("request_id", ""),
        errors=problem.errors if isinstance(problem, InvalidInput) else (),
    )
    return Response(msgspec.json.encode(body), status_code=problem.status, media_type=MEDIA_TYPE, headers=_headers(request, error, problem))


EXCEPTION_HANDLERS: Final = {Exception: problem_response}
"""For the application: one handler for all, since each error knows its own status and code."""


def problems(*errors: type[StockTrackerError]) -> dict[int, ResponseSpec]:
    """What a handler may answer besides what every handler may, for its `responses`."""
    by_status: dict[int, list[type[StockTrackerError]]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error)
    return {
        status: ResponseSpec(
            ProblemDetails,
            generate_examples=False,
            description="; ".join(error.title for error in of_status),
            media_type=MEDIA_TYPE,
            examples=[Example(id=error.code, summary=error.title, value=example_of(error)) for error in of_status],
        )
        for status, of_status in by_status.items()
    }


def example_of(error: type[StockTrackerError]) -> dict[str, Any]:
    """A problem document as this error makes it, for the OpenAPI document."""
    example: dict[str, Any] = {
        "type": f"/errors/{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": _unforeseen().detail if error is StockTrackerError else (error.__doc__ or error.title).partition("\n")[0],
        "instance": "/api/v1/…",
        "code": error.code,
        "request_id": "019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d5e",
    }
    if issubclass(error, InvalidInput):
        example["errors"] = [{"field": "name", "message": "Required"}]
    return example


def _problem_of(error: Exception) -> StockTrackerError:
    match error:
        case StockTrackerError():
            return error
        case ValidationException():
            return _invalid_parameters(error)
        case HTTPException():
            return _problem_of_framework(error.status_code)
        case _:
            return _unforeseen()


def _problem_of_framework(status: int) -> StockTrackerError:
    """The framework's own words may repeat what was sent, so they are replaced."""
    match status:
        case 401:
            return Unauthenticated("A valid access token is needed.")
        case 403:
            return Forbidden("This is not allowed.")
        case 404:
            return NotFound("There is nothing at this address.")
        case 405:
            return MethodNotAllowed("This address has no such method; see the Allow header.")
        case 413:
            return BodyTooLarge("The body is larger than this endpoint takes.")
        case 503:
            return Unavailable("The service is not available at the moment.")
        case _ if status < 500:
            return BadRequest("The request is malformed.")
        case _:
            return _unforeseen()


def _unforeseen() -> StockTrackerError:
    return StockTrackerError("Something went wrong on our side; with the request id we can find out what.")


_MISSING_PARAMETER = re.compile(r"Missing required \w+ parameter '([^']+)'")


def _invalid_parameters(error: ValidationException) -> InvalidInput:
    """Litestar tells of wrong parameters in `extra`, and of a missing one only in words, which also repeat the whole address."""
    told = cast("list[dict[str, str]]", error.extra) if isinstance(error.extra, list) else []
    errors = [FieldError(item.get("key", ""), item.get("message", "Invalid")) for item in told]
    if missing := _MISSING_PARAMETER.match(error.detail):
        errors.append(FieldError(missing[1], "Required"))
    return invalid(tuple(errors)) if errors else InvalidInput("The request is not valid.")


def _headers(request: Request[Any, Any, Any], error: Exception, problem: StockTrackerError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException) and error.headers:
        headers.update(error.headers)
    if problem.status == 401:
        # RFC 6750, section 3.1: no error code for a caller that sent no token.
        refused = ', error="invalid_token"' if "authorization" in request.headers else ""
        headers["www-authenticate"] = f'Bearer realm="stock-tracker"{refused}'
    return headers | wait_of(problem)


def wait_of(error: Exception) -> dict[str, str]:
    """The header that says how long to wait. Any error may, by a `retry_after`; those of the marketplaces do."""
    retry_after = getattr(error, "retry_after", None)
    return {"retry-after": str(max(1, math.ceil(retry_after.total_seconds())))} if isinstance(retry_after, timedelta) else {}
