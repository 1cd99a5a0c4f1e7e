"""Query parameters: strict like bodies, with the bounds that their types state.

Litestar ignores parameters that it doesn't know, keeps the last of several, and drops the `msgspec.Meta` of a `FromQuery[...]`. So
`StrictQuery` checks the whole query beforehand, by the handler's own annotations, which the OpenAPI document shows too.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast
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


class Parameter(msgspec.Struct, frozen=True):
    """One parameter of a handler, or of a dependency that it has."""

    name: str
    location: Literal["query", "path", "header"]
    annotation: Any
    default: Any
    required: bool
    repeatable: bool


def parameters_of(handler: BaseRouteHandler) -> list[Parameter]:
    """The parameters that the handler and its dependencies declare by `FromQuery`, `FromPath` and `FromHeader`, each once.

    Raises:
        TypeError: a bound is stated where it would not be enforced.
    """
    found = {(parameter.location, parameter.name): parameter for parameter in _walk(handler, handler.parsed_fn_signature.parameters)}
    return list(found.values())


class StrictQuery(ASGIMiddleware):
    """Refuses unknown, repeated, missing and wrong query parameters, and names them. It belongs behind the authentication.

    A handler with `opt={"any_query": True}` takes any: a page, whose address people pass on by ways that add to it.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self) -> None:
        self._queries: dict[BaseRouteHandler, _Query] = {}

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        handler = cast("BaseRouteHandler", scope["route_handler"])
        if handler.opt.get("any_query") is True:
            await next_app(scope, receive, send)
            return
        query = self._queries.get(handler)
        if query is None:
            query = self._queries[handler] = _Query(handler)
        if scope["query_string"] or query.required:
            query.check(scope["query_string"])
        await next_app(scope, receive, send)


class _Query:
    """What one handler takes."""

    def __init__(self, handler: BaseRouteHandler) -> None:
        parameters = [parameter for parameter in parameters_of(handler) if parameter.location == "query"]
        self.required = any(parameter.required for parameter in parameters)
        self._repeatable = {parameter.name for parameter in parameters if parameter.repeatable}
        # A parameter may be called `from`, which no field may.
        fields = {f"field_{position}": parameter for position, parameter in enumerate(parameters)}
        self._type = msgspec.defstruct(
            "Query",
            [(name, p.annotation) if p.required else (name, p.annotation, None) for name, p in fields.items()],
            rename={name: parameter.name for name, parameter in fields.items()},
            forbid_unknown_fields=True,
            kw_only=True,
        )

    def check(self, query_string: bytes) -> None:
        try:
            pairs = parse_qsl(
                query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS, separator="&"
            )
        except UnicodeDecodeError:
            raise InvalidInput("The query is not percent-encoded UTF-8.") from None
        except ValueError:
            raise InvalidInput(f"The query has more than {_MAX_PARAMETERS} parameters.") from None
        values: dict[str, str | list[str]] = {}
        for name, value in pairs:
            if "\0" in value:
                raise invalid((FieldError(name, "Contains a NUL character"),))
            if name in self._repeatable:
                cast("list[str]", values.setdefault(name, [])).append(value)
            elif name in values:
                raise invalid((FieldError(name, "Given more than once"),))
            else:
                values[name] = value
        validate(values, self._type, strict=False)


def _walk(handler: BaseRouteHandler, fields: Mapping[str, FieldDefinition]) -> Iterator[Parameter]:
    dependencies = handler.resolve_dependencies()
    for name, field in fields.items():
        if name in dependencies:
            yield from _walk(handler, dependencies[name].parsed_fn_signature.parameters)
        elif isinstance(kwarg := field.kwarg_definition, ParameterKwarg):
            if kwarg.is_constrained:
                raise TypeError(f"{handler}: state the bounds of `{name}` by msgspec.Meta: FromQuery[Annotated[int, Meta(ge=1)]].")
            if kwarg.param_type in (ParamType.QUERY, ParamType.PATH, ParamType.HEADER):
                yield Parameter(
                    name=kwarg.name or name,
                    location=kwarg.param_type.value,
                    annotation=field.raw,
                    default=field.default if field.has_default else None,
                    required=kwarg.param_type == ParamType.PATH or not (field.has_default or field.is_optional),
                    repeatable=field.is_non_string_sequence,
                )
