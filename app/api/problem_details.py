"""Errors as callers see them: RFC 9457 problem documents, for our own errors, the framework's, and those that nobody foresaw.

`type` is `/errors/{code}`, a reference that never changes; `code` is the same word, for a program to switch on. Both are our promise,
`title` and `detail` are for people and may be reworded.
"""

import math
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import msgspec
import structlog
from litestar import Request, Response
from litestar.datastructures import ResponseHeader
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.types import ExceptionHandlersMap

from app.errors import FieldError, InvalidInput, StockTrackerError
from app.api.validation import invalid

MEDIA_TYPE = "application/problem+json"

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong, as RFC 9457 says it, with `code`, `request_id` and, for invalid input, `errors`."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: tuple[FieldError, ...] = ()
