"""What a document lacks that a complete one has; a test holds the application to it."""

from collections.abc import Iterator
from typing import Any

from app.api.openapi.examples import REFERENCE

JsonObject = dict[str, Any]

_BOUNDED_FORMATS = ("uuid", "date-time", "date", "time", "decimal")


def find_omissions(document: JsonObject) -> list[str]:
    """What a complete document would still need, a sentence each; none if it is complete.

    Each operation has a summary, an id of its own, a tag, its errors, and an example of each JSON body; each string, list and number of a
    request has a bound.
    """
    found: list[str] = []
    ids: dict[str, str] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            found += [f"{name}: {omission}." for omission in _omissions(operation, document["components"]["schemas"])]
            if (first := ids.setdefault(operation.get("operationId"), name)) != name:
                found.append(f"{name}: has the operation id of {first}.")
    return found


def _omissions(operation: JsonObject, components: dict[str, JsonObject]) -> Iterator[str]:
    for field in ("summary", "operationId", "tags"):
        if not operation.get(field):
            yield f"has no {field}"
    if not any(status.startswith("4") for status in operation["responses"]):
        yield "tells of no errors"
    if operation.get("security") != [] and "401" not in operation["responses"]:
        yield "needs a token and tells of no 401"
    for parameter in operation.get("parameters", ()):
        for place in _unbounded(parameter["schema"], components, parameter["name"]):
            if parameter["in"] == "query":
                yield f"parameter {place} has no bound"
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield from _without_example("the request", media_type, content)
        for place in _unbounded(content.get("schema", {}), components, "body"):
            yield f"{place} has no bound"
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            yield from _without_example(f"the answer {status}", media_type, content)


def _without_example(place: str, media_type: str, content: JsonObject) -> Iterator[str]:
    if "json" in media_type and not content.keys() & {"example", "examples"}:
        yield f"{place} has no example"


def _unbounded(schema: JsonObject, components: dict[str, JsonObject], place: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """The places in a request that could be of any size."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REFERENCE)
        if name not in seen:
            yield from _unbounded(components[name], components, place, seen | {name})
        return
    for option in schema.get("anyOf", ()):
        yield from _unbounded(option, components, place, seen)
    if "enum" in schema or "const" in schema:
        return
    match schema.get("type"):
        case "string":
            if "maxLength" not in schema and schema.get("format") not in _BOUNDED_FORMATS:
                yield place
        case "integer" | "number":
            if not (schema.keys() & {"minimum", "exclusiveMinimum"} and schema.keys() & {"maximum", "exclusiveMaximum"}):
                yield place
        case "array":
            if "maxItems" not in schema:
                yield place
            yield from _unbounded(schema.get("items", {}), components, f"{place}[]", seen)
        case "object":
            for name, inner in schema.get("properties", {}).items():
                yield from _unbounded(inner, components, f"{place}.{name}", seen)
        case _:
            pass
