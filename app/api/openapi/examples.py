"""Examples made of schemas, so that every body in the document shows one."""

from typing import Any, cast

JsonObject = dict[str, Any]

REFERENCE = "#/components/schemas/"
_OF_FORMAT = {
    "uuid": "019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d5e",
    "date-time": "2026-11-22T10:00:00Z",
    "date": "2026-11-22",
    "decimal": "1290.00",
    "uri": "https://example.com/",
}
_MAX_NESTING = 8


def example_of(schema: JsonObject, components: dict[str, JsonObject], nesting: int = 0) -> Any:
    """A value that the schema allows: its own first example, else one by its type."""
    if "examples" in schema:
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "$ref" in schema:
        return example_of(components[schema["$ref"].removeprefix(REFERENCE)], components, nesting)
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], components, nesting)
    match schema.get("type"):
        case "object":
            return _example_of_object(schema, components, nesting + 1)
        case "array":
            return [example_of(schema["items"], components, nesting + 1)] if schema.get("items") and nesting < _MAX_NESTING else []
        case "string":
            return _OF_FORMAT.get(schema.get("format", ""), "text")
        case "integer":
            return schema.get("minimum", 7)
        case "number":
            return schema.get("minimum", 1.5)
        case "boolean":
            return True
        case _:
            return None


def _example_of_object(schema: JsonObject, components: dict[str, JsonObject], nesting: int) -> JsonObject:
    if nesting > _MAX_NESTING:
        return {}
    if isinstance(values := schema.get("additionalProperties"), dict) and values:
        return {"name": example_of(cast("JsonObject", values), components, nesting)}
    return {name: example_of(inner, components, nesting) for name, inner in schema.get("properties", {}).items()}
