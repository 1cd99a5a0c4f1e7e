"""Query parameters: strict like bodies, with the bounds that their types state.

Litestar ignores parameters that it doesn't know, keeps the last of several, and drops the `msgspec.Meta` of a `FromQuery[...]`. So
`StrictQuery` checks the whole query beforehand, by the handler's own annotations, which the OpenAPI document shows too.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, cast
from urllib.parse import parse_qsl

import msgspec
from litestar.enums import ParamType, ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.params import ParameterKwarg
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.typing import FieldDefinition

from app.api.validation import invalid, validate
from app.errors import FieldError, InvalidInput

_MAX_PARAMETERS = 100
