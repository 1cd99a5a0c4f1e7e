"""Hold an HTTP exchange against a marketplace's official description (OpenAPI 3.0).

The descriptions lie beside the repository, unchanged, in `../shared/specs`; a test that needs one is skipped where they are absent.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

SPECIFICATIONS = Path(__file__).resolve().parents[3] / "shared" / "specs" / "wildberries"

_DOCUMENT = "urn:specification"

# What Wildberries published between the snapshot of 2026-08-18 and 2026-10-24 and our exchanges meet, in our words; the published models
# of `wildberries-sdk` 0.1.177 know the same (tests/contracts/test_specification.py holds the two together).
_NO_BODY: dict[str, Any] = {"description": "No data."}
_PROBLEM = {
    "description": "Problem.",
    "content": {
        kind: {
            "schema": {
                "type": "object",
                "properties": {
                    **{name: {"type": "string"} for name in ("title", "detail", "code", "requestId", "origin", "statusText", "timestamp")},
                    "status": {"type": "number"},
                },
            }
        }
        for kind in ("application/json", "application/problem+json")
    },
}


def _text(*names: str) -> dict[str, Any]:
    return {name: {"type": "string"} for name in names}


def _whole(*names: str) -> dict[str, Any]:
    return {name: {"type": "integer", "format": "int64"} for name in names}


def _amend_general(document: dict[str, Any]) -> None:
    document["paths"]["/ping"]["get"]["responses"]["403"] = _PROBLEM
    seller = document["paths"]["/api/v1/seller-info"]["get"]["responses"]["200"]
    seller["content"]["application/json"]["schema"]["properties"]["country"] = {"type": "string"}


def _amend_items(document: dict[str, Any]) -> None:
    answer = document["paths"]["/content/v2/get/cards/list"]["post"]["responses"]["200"]
    card = answer["content"]["application/json"]["schema"]["properties"]["cards"]["items"]["properties"]
    card["documents"] = {"type": "object"}
    card["gtin"] = {}
    del document["components"]["schemas"]["ItemsList"]["properties"]["isBadTurnover"]


def _amend_analytics(document: dict[str, Any]) -> None:
    paths = document["paths"]
    wb = paths["/api/analytics/v1/stocks-report/wb-warehouses"]["post"]
    wb["responses"]["204"] = _NO_BODY
    row = {**_whole("nmId", "chrtId", "warehouseId", "quantity"), **_text("warehouseName", "regionName")}
    items = {"type": "array", "items": {"type": "object", "properties": row, "required": list(row)}}
    data = {"type": "object", "properties": {"items": items}, "required": ["items"]}
    schema = {"type": "object", "properties": {"data": data}, "required": ["data"]}
    paths["/api/analytics/v1/stocks-report/seller-warehouses"] = {
        "servers": paths["/api/analytics/v1/stocks-report/wb-warehouses"]["servers"],
        "post": {
            "requestBody": wb["requestBody"],
            "responses": {**wb["responses"], "200": {"description": "Stock.", "content": {"application/json": {"schema": schema}}}},
        },
    }


_AMENDMENTS = {"01-general.yaml": _amend_general, "02-items.yaml": _amend_items, "11-analytics.yaml": _amend_analytics}


class Specification:
    """One description. Every check raises AssertionError with each departure on a line: where, and what is wrong there.

    Paths are without host; headers compare case-insensitively; `body` is the bytes on the wire. Strict (the default) also means that
    fields and query parameters that the description does not know are departures.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        resource: Resource[Any] = Resource(contents=document, specification=DRAFT4)
        self._registry: Registry[Any] = Registry[Any]().with_resource(_DOCUMENT, resource)
        self._templates = {path: re.compile(re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(path))) for path in document["paths"]}

    @classmethod
    def load(cls, name: str) -> "Specification":
        """The description in the file `name`, such as `02-items.yaml`, with what was published after it; parsed once per process."""
        if not (SPECIFICATIONS / name).is_file():
            pytest.skip(f"no official description {name} in ../shared/specs/wildberries", allow_module_level=True)
        return _parse(name)

    def servers(self, path: str) -> list[str]:
        """The base URLs at which the description offers the path."""
        item = self._path_item(path)
        return [server["url"] for server in item.get("servers", self._document.get("servers", []))]

    def check_request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | Sequence[str]] | None = None,
        body: bytes | None = None,
        strict: bool = True,
    ) -> None:
        operation = self._operation(method, path)
        departures = list(self._query_departures(operation, self._path_item(path), query or {}, strict))
        described = self._resolve(operation.get("requestBody", {}))
        if body:
            if not described:
                departures.append("body: the description knows none")
            else:
                departures += self._body_departures(described["content"], "application/json", body, strict)
        elif described.get("required"):
            departures.append("body: required, and there is none")
        _raise(departures, f"{method.upper()} {path}")

    def check_response(
        self,
        method: str,
        path: str,
        status: int,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        strict: bool = True,
    ) -> None:
        where = f"{method.upper()} {path} → {status}"
        responses = self._operation(method, path)["responses"]
        found = responses.get(str(status), responses.get("default"))
        if found is None:
            raise AssertionError(f"{where}: a status that the description does not know; it knows {', '.join(responses)}")
        content = self._resolve(found).get("content", {})
        departures: list[str] = []
        if content:
            kind = {name.lower(): value for name, value in (headers or {}).items()}.get("content-type", "")
            departures += self._body_departures(content, kind.partition(";")[0].strip().lower(), body or b"", strict)
        elif body:
            departures.append("body: the description knows none")
        _raise(departures, where)

    def _path_item(self, path: str) -> dict[str, Any]:
        paths = self._document["paths"]
        if path in paths:
            return paths[path]
        for template, pattern in self._templates.items():
            if pattern.fullmatch(path):
                return paths[template]
        raise AssertionError(f"{path}: a path that the description does not know")

    def _operation(self, method: str, path: str) -> dict[str, Any]:
        item = self._path_item(path)
        if method.lower() not in item:
            raise AssertionError(f"{method.upper()} {path}: a method that the description does not know for this path")
        return item[method.lower()]

    def _resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            node = self._registry.resolver(_DOCUMENT).lookup(node["$ref"]).contents
        return node

    def _query_departures(
        self, operation: dict[str, Any], item: dict[str, Any], query: Mapping[str, str | Sequence[str]], strict: bool
    ) -> Iterator[str]:
        all_parameters = [self._resolve(parameter) for parameter in [*item.get("parameters", []), *operation.get("parameters", [])]]
        known = {parameter["name"]: parameter for parameter in all_parameters if parameter["in"] == "query"}
        for name, parameter in known.items():
            if name not in query:
                if parameter.get("required"):
                    yield f"query {name}: required and missing"
                continue
            schema = self._resolve(parameter.get("schema", {}))
            for departure in self._schema_departures(schema, _from_query(query[name], schema), strict):
                yield f"query {name} {departure}"
        if strict:
            yield from (f"query {name}: a parameter that the description does not know" for name in query if name not in known)

    def _body_departures(self, content: dict[str, Any], kind: str, body: bytes, strict: bool) -> Iterator[str]:
        # The Content section of Wildberries' description says `plain/text` where HTTP says `text/plain`.
        described = content.get(kind, content.get("plain/text") if kind == "text/plain" else None)
        if described is None:
            yield f"content type {kind or 'missing'!r}: the description knows {', '.join(content)}"
        elif kind.endswith("json"):
            try:
                instance = json.loads(body)
            except ValueError as error:
                yield f"body: not JSON ({error})"
                return
            yield from self._schema_departures(described.get("schema", {}), instance, strict)

    def _schema_departures(self, schema: dict[str, Any], instance: Any, strict: bool) -> Iterator[str]:
        anchored = _anchor(schema)
        for error in OAS30Validator(anchored, registry=self._registry, format_checker=oas30_format_checker).iter_errors(instance):
            yield f"{error.json_path}: {error.message[:300]}"
        if strict:
            yield from self._unknown_fields(schema, instance, "$")

    def _unknown_fields(self, schema: dict[str, Any], instance: Any, where: str) -> Iterator[str]:
        schema = self._resolve(schema)
        if isinstance(instance, list):
            for index, element in enumerate(instance):
                yield from self._unknown_fields(schema.get("items", {}), element, f"{where}[{index}]")
        elif isinstance(instance, dict):
            known = self._known_fields(schema)
            if not known:
                return
            for name, value in instance.items():
                if name in known:
                    yield from self._unknown_fields(known[name], value, f"{where}.{name}")
                elif not schema.get("additionalProperties"):
                    yield f"{where}.{name}: a field that the description does not know"

    def _known_fields(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The fields of an object, over all the schemas it may be made of. Empty: the description leaves it open."""
        schema = self._resolve(schema)
        fields = dict(schema.get("properties", {}))
        for combination in ("allOf", "oneOf", "anyOf"):
            for part in schema.get(combination, []):
                fields.update(self._known_fields(part))
        return fields


@cache
def _parse(name: str) -> Specification:
    # The pure Python loader takes tens of seconds for these files.
    with (SPECIFICATIONS / name).open("rb") as file:
        document = yaml.load(file, yaml.CSafeLoader)
    if amend := _AMENDMENTS.get(name):
        amend(document)
    return Specification(document)


def _anchor(node: Any) -> Any:
    """References in a part of the document, made to start at the document."""
    if isinstance(node, dict):
        return {
            key: f"{_DOCUMENT}{value}" if key == "$ref" and isinstance(value, str) and value.startswith("#") else _anchor(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_anchor(element) for element in node]
    return node


def _from_query(value: str | Sequence[str], schema: Mapping[str, Any]) -> Any:
    """A query's text as the type that the schema names; text that isn't of that type stays text, so that the validator complains."""
    if schema.get("type") == "array":
        values = [value] if isinstance(value, str) else value
        return [_from_query(element, schema.get("items", {})) for element in values]
    if not isinstance(value, str):
        return list(value)
    convert = {"integer": int, "number": float, "boolean": {"true": True, "false": False}.__getitem__}.get(
        schema.get("type", "string"), str
    )
    try:
        return convert(value)
    except (ValueError, KeyError):
        return value


def _raise(departures: Sequence[str], where: str) -> None:
    if departures:
        raise AssertionError("\n  ".join([f"{where} departs from the description:", *departures]))
