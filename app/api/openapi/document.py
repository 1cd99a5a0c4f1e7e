"""The OpenAPI 3.1 document, made of the handlers and of the very types that decode their requests.

Litestar's own document is not used, since it is untrue where callers rely on it: it drops `security: []`, `additionalProperties: false`,
`minimum: 0`, the bounds of list items and of parameters, and shows its own error shape. Here all schemas are msgspec's, which checks
the requests too.

What a handler says is Litestar's usual: `summary` or else the first line of its docstring, `operation_id`, `tags`, `status_code`,
`response_headers`, and `responses` for other answers, the errors among them: `responses=problems(Conflict, EmailTaken)`. Who may call is read
from `opt`, as the guard does. Errors that follow from what a handler is (a role, a body, a path) are added here. A wire type may show itself by
`EXAMPLE: ClassVar[dict[str, object]]`; else its example is made of its fields' types and of their `Meta(examples=[...])`.
"""

import inspect
from collections.abc import Iterator
from enum import Enum
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, NamedTuple, cast

import msgspec
from litestar import Controller, Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import BodyKwarg
from litestar.routes import HTTPRoute
from litestar.types.internal_types import PathParameterDefinition

from app.api import idempotency_key
from app.api.bodies import MalformedBody, UnsupportedMediaType
from app.api.idempotency_key import IdempotencyKeyReused, IdempotencyRequestInProgress, takes_idempotency_key
from app.api.openapi.examples import REFERENCE, example_of
from app.api.parameters import Parameter, parameters_of
from app.api.problem_details import MEDIA_TYPE, BodyTooLarge, problems
from app.api.roles import Role
from app.api.structs import schema_of
from app.errors import Forbidden, InvalidInput, NotFound, StockTrackerError, TooManyRequests, Unauthenticated

JsonObject = dict[str, Any]

DESCRIPTION = """\
The contract between Stock Tracker and the bots that call it.

JSON in UTF-8, `snake_case`. Times are RFC 3339 in UTC, ids are UUIDs, money is a decimal string with a `currency` beside it. Request bodies
and queries are strict: an unknown field or parameter is an error that names it. Errors are `application/problem+json` (RFC 9457); switch on
`code`. Every answer carries `X-Request-ID`; send your own to find a request again. `RateLimit` says how many requests you have left; after 429 wait for
`Retry-After` seconds. Lists are read page by page: send `next_cursor` back as
`cursor` until it is null. Where no answer came to a POST that you sent with an `Idempotency-Key`, send it again as it was: it is carried out once.
"""

SECURITY_SCHEME = "accessToken"

_HEADERS: JsonObject = {
    "X-Request-ID": {"description": "The id of the request: the caller's, if it sent a sane one.", "schema": {"type": "string"}},
    "RateLimit-Policy": {
        "description": "How many requests are let through within how many seconds, by draft-ietf-httpapi-ratelimit-headers. Left out where there is no limit.",
        "schema": {"type": "string", "examples": ['"tenant";q=600;w=60, "global";q=60000;w=60']},
    },
    "RateLimit": {
        "description": "How many are left to this caller; after `t` seconds without a request there are all of them again.",
        "schema": {"type": "string", "examples": ['"tenant";r=599;t=60']},
    },
}

_ON_EACH_ANSWER = tuple(_HEADERS)
_HEADERS["ETag"] = {
    "description": "Of the answer's bytes; send it back as `If-None-Match`.",
    "schema": {"type": "string", "examples": ['"9f8e7d6c5b4a39281706f5e4d3c2b1a0"']},
}
_HEADERS[idempotency_key.REPLAYED] = idempotency_key.REPLAYED_HEADER
_IF_NONE_MATCH: JsonObject = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 1000, "examples": ['"9f8e7d6c5b4a39281706f5e4d3c2b1a0"']},
    "description": "The `ETag` of the answer that you have. If it is up to date, the answer is 304 and has no body.",
}


def openapi_document(app: Litestar, public_url: str = "") -> JsonObject:
    """The document of all handlers that are part of the schema.

    Raises:
        TypeError: two wire types have the same name, or a handler states bounds where they would not be enforced.
    """
    schemas = _Schemas()
    paths: dict[str, JsonObject] = {}
    tags: dict[str, JsonObject] = {}
    for operation in _operations(app):
        paths.setdefault(operation.path, {})[operation.method] = _describe(operation, schemas)
        for tag in operation.handler.resolve_tags():
            tags.setdefault(tag, {"name": tag}).update(_tag_description(operation.handler))
    document: JsonObject = {
        "openapi": "3.1.0",
        "info": {"title": "Stock Tracker", "version": version("stock-tracker"), "description": DESCRIPTION},
        "servers": [{"url": public_url or "/"}],
        "tags": list(tags.values()),
        "security": [{SECURITY_SCHEME: []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "headers": _HEADERS,
            "securitySchemes": {
                SECURITY_SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token of `POST /api/v1/auth/login` or `/auth/register`. It lives 15 minutes.",
                }
            },
        },
    }
    # As JSON has it: a default may be a tuple or an enum.
    return msgspec.json.decode(msgspec.json.encode(document))


class _Operation(NamedTuple):
    path: str
    method: str
    handler: HTTPRouteHandler
    path_parameters: dict[str, PathParameterDefinition]


class _Schemas:
    """The schemas of all types met so far; structs and enums become components."""

    def __init__(self) -> None:
        self.components: dict[str, JsonObject] = {}

    def of(self, annotation: Any) -> JsonObject:
        (schema,), components = msgspec.json.schema_components([annotation], schema_hook=schema_of, ref_template=REFERENCE + "{name}")
        for struct in _structs_in(msgspec.inspect.type_info(annotation), set()):
            if (component := components.get(struct.cls.__name__)) is not None:
                _complete(component, struct)
        for name, component in components.items():
            if self.components.setdefault(name, component) != component:
                raise TypeError(f"Two wire types are called {name}; clients need a name for each.")
        return schema

    def content(self, annotation: Any, media_type: str) -> JsonObject:
        """The content of a body, with an example where it is JSON."""
        media_type = media_type.value if isinstance(media_type, Enum) else media_type
        if media_type not in ("application/json", MEDIA_TYPE) or annotation is bytes:
            return {media_type: {"schema": {"type": "string"}} if annotation is str else {}}
        schema = self.of(annotation)
        return {media_type: {"schema": schema, "example": example_of(schema, self.components)}}


def _operations(app: Litestar) -> Iterator[_Operation]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if handler.resolve_include_in_schema():
                    yield _Operation(route.path_format, method.lower(), handler, route.path_parameters)


def _describe(operation: _Operation, schemas: _Schemas) -> JsonObject:
    handler = operation.handler
    summary, description = _words(handler)
    described: JsonObject = {"operationId": handler.operation_id, "summary": summary, "tags": handler.resolve_tags()}
    if description:
        described["description"] = description
    if parameters := list(_parameters(operation, schemas)):
        described["parameters"] = parameters
    if body := _request_body(handler, schemas):
        described["requestBody"] = body
    described["responses"] = _responses(operation, schemas)
    if handler.deprecated:
        described["deprecated"] = True
    if _is_public(handler):
        described["security"] = []
    return described


def _words(handler: HTTPRouteHandler) -> tuple[str | None, str]:
    """Summary and description."""
    text = handler.description or inspect.cleandoc(handler.fn.__doc__ or "")
    if handler.summary or not text:
        return handler.summary, text
    first, _, rest = text.partition("\n")
    return first.removesuffix("."), rest.strip()


def _tag_description(handler: HTTPRouteHandler) -> JsonObject:
    """What the controller's docstring says."""
    controller = getattr(handler.fn, "__self__", None)
    text = type(controller).__doc__ if isinstance(controller, Controller) else None
    return {"description": inspect.cleandoc(text)} if text and text != Controller.__doc__ else {}


def _is_public(handler: HTTPRouteHandler) -> bool:
    return handler.opt.get("public") is True


def _is_limited(handler: HTTPRouteHandler) -> bool:
    return not _is_public(handler) or handler.opt.get("limit_by_address") is True


def _parameters(operation: _Operation, schemas: _Schemas) -> Iterator[JsonObject]:
    declared = [p for p in parameters_of(operation.handler) if p.location != "path" or p.name in operation.path_parameters]
    consumed = {p.name for p in declared if p.location == "path"}
    for name, path_parameter in operation.path_parameters.items():
        if name not in consumed:
            declared.append(Parameter(name, "path", path_parameter.type, None, required=True, repeatable=False))
    for parameter in declared:
        schema = _without_null(schemas.of(parameter.annotation))
        if parameter.default is not None:
            schema["default"] = msgspec.to_builtins(parameter.default)
        description = schema.pop("description", None)
        described: JsonObject = {"name": parameter.name, "in": parameter.location, "required": parameter.required, "schema": schema}
        yield described | ({"description": description} if description else {})
    if operation.handler.opt.get("conditional") is True:
        yield _IF_NONE_MATCH
    if takes_idempotency_key(operation.handler):
        yield idempotency_key.PARAMETER


def _without_null(schema: JsonObject) -> JsonObject:
    """A parameter that may be left out; there is no null in an address."""
    some = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if not some:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return some[0] | rest if len(some) == 1 else {"anyOf": some} | rest


def _request_body(handler: HTTPRouteHandler, schemas: _Schemas) -> JsonObject | None:
    field = handler.parsed_data_field
    if field is None:
        return None
    media_type = field.kwarg_definition.media_type if isinstance(field.kwarg_definition, BodyKwarg) else "application/json"
    return {"required": not field.is_optional, "content": schemas.content(field.annotation, media_type)}


def _responses(operation: _Operation, schemas: _Schemas) -> JsonObject:
    handler = operation.handler
    responses: dict[int, JsonObject] = {handler.status_code: _success(handler, schemas)}
    for specs in (problems(*_implied_errors(operation)), handler.responses or {}):
        for status, spec in specs.items():
            described = _other_response(spec, schemas)
            if spec.media_type == MEDIA_TYPE and status in responses:
                _add_examples(responses[status], described)
            else:
                responses[status] = described
    if handler.opt.get("conditional") is True:
        responses[handler.status_code].setdefault("headers", {})["ETag"] = {"$ref": "#/components/headers/ETag"}
        responses[304] = {
            "description": "As before: what has the tag of `If-None-Match` is up to date.",
            "headers": {"ETag": {"$ref": "#/components/headers/ETag"}},
        }
    if takes_idempotency_key(handler):
        for status, response in responses.items():
            if status < 300:
                response.setdefault("headers", {})[idempotency_key.REPLAYED] = {"$ref": f"#/components/headers/{idempotency_key.REPLAYED}"}
    for response in responses.values():
        for name in _ON_EACH_ANSWER if _is_limited(handler) else ("X-Request-ID",):
            response.setdefault("headers", {})[name] = {"$ref": f"#/components/headers/{name}"}
    return {str(status): response for status, response in sorted(responses.items())}


def _success(handler: HTTPRouteHandler, schemas: _Schemas) -> JsonObject:
    described: JsonObject = {"description": handler.response_description or HTTPStatus(handler.status_code).phrase}
    returned = handler.parsed_fn_signature.return_type
    if returned.is_subclass_of(Response) and returned.inner_types:
        returned = returned.inner_types[0]
    if not returned.is_none_type:
        described["content"] = schemas.content(returned.raw, handler.media_type or "application/json")
    if headers := handler.resolve_response_headers():
        described["headers"] = {
            header.name: {"description": header.description or header.name, "schema": {"type": "string"}}
            for header in sorted(headers, key=lambda header: header.name)
        }
    return described


def _other_response(spec: ResponseSpec, schemas: _Schemas) -> JsonObject:
    described: JsonObject = {"description": spec.description}
    if spec.data_container is not None:
        described["content"] = schemas.content(spec.data_container, spec.media_type)
        if spec.examples:
            (content,) = described["content"].values()
            content.pop("example", None)
            content["examples"] = {example.id: {"summary": example.summary, "value": example.value} for example in spec.examples}
    return described


def _add_examples(response: JsonObject, more: JsonObject) -> None:
    """Several errors of one status: one response that shows each."""
    content, added = response["content"][MEDIA_TYPE], more["content"][MEDIA_TYPE]
    content["examples"] |= added["examples"]
    response["description"] = "; ".join(example["summary"] for example in content["examples"].values())


def _implied_errors(operation: _Operation) -> Iterator[type[StockTrackerError]]:
    handler = operation.handler
    if not _is_public(handler):
        yield Unauthenticated
    if handler.opt.get("role") is Role.OWNER:
        yield Forbidden
    if _is_limited(handler):
        yield TooManyRequests
    if operation.path_parameters:
        yield NotFound
    if takes_idempotency_key(handler):
        yield from (IdempotencyKeyReused, IdempotencyRequestInProgress)
    if handler.parsed_data_field is not None:
        yield from (MalformedBody, BodyTooLarge, UnsupportedMediaType)
    # Every query may hold an unknown parameter.
    yield InvalidInput
    yield StockTrackerError


def _complete(component: JsonObject, struct: msgspec.inspect.StructType) -> None:
    """Add what msgspec can't know: the type's own example, and that the times of our answers are in UTC.

    A request has to say `Instant`, since that is the type which refuses a time without an offset.
    """
    if "description" in component:
        component["description"] = inspect.cleandoc(component["description"])
    # Its own, not one of a base, which has fewer fields.
    if (example := vars(struct.cls).get("EXAMPLE")) is not None:
        component["examples"] = [example]
    for field in struct.fields if not struct.forbid_unknown_fields else ():
        options = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        if any(isinstance(option, msgspec.inspect.DateTimeType) for option in options):
            described = component["properties"][field.encode_name]
            for schema in described.get("anyOf", [described]):
                if schema == {"type": "string"}:
                    schema["format"] = "date-time"


def _structs_in(part: object, seen: set[int]) -> Iterator[msgspec.inspect.StructType]:
    """The structs that a type is made of, at any depth. msgspec describes types by structs of its own."""
    if isinstance(part, tuple):
        for item in cast("tuple[object, ...]", part):
            yield from _structs_in(item, seen)
    elif isinstance(part, msgspec.inspect.Type | msgspec.inspect.Field) and id(part) not in seen:
        seen.add(id(part))
        if isinstance(part, msgspec.inspect.StructType):
            yield part
        for name in part.__struct_fields__:
            yield from _structs_in(getattr(part, name), seen)
