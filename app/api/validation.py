"""Turning plain values into typed ones, and saying in the caller's words all that is wrong with them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar, cast

import msgspec

from app.api.structs import from_wire
from app.errors import FieldError, InvalidInput

Wire = TypeVar("Wire")

_MAX_FAULTS = 50
_MAX_NAME_LENGTH = 100  # of a field that the caller made up: it goes into the answer

# msgspec names Python's types; a caller knows JSON's.
_JSON_NAMES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_TYPE_NAME = re.compile(r"`(\w+)`")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(.*)`")


def validate(value: object, type_: type[Wire], *, strict: bool = True) -> Wire:
    """Make a `type_` of dicts, lists, strings and numbers; without `strict` numbers and flags may come as text, as a query has them.

    Raises:
        InvalidInput: names each wrong, missing and unknown field.
    """
    try:
        made = msgspec.convert(value, type_, strict=strict, dec_hook=from_wire)
    except msgspec.ValidationError as error:
        faults = tuple(islice(_faults(value, type_, "", strict), _MAX_FAULTS)) or (_to_field_error(error, ""),)
    else:
        faults = tuple(_without_utc(made)) if isinstance(made, msgspec.Struct) else ()
        if not faults:
            return made
    raise invalid(faults)


def invalid(errors: tuple[FieldError, ...]) -> InvalidInput:
    """The error for these fields, with a sentence that names the first."""
    first = errors[0]
    more = f" ({len(errors) - 1} more in `errors`)" if len(errors) > 1 else ""
    return InvalidInput(f"{first.field}: {first.message}{more}." if first.field else f"{first.message}{more}.", errors)


def _without_utc(made: msgspec.Struct) -> Iterator[FieldError]:
    """The moments that fall off the calendar's ends where their offset is taken off."""
    for name, shown in zip(made.__struct_fields__, made.__struct_encode_fields__, strict=True):
        moment = getattr(made, name)
        if isinstance(moment, datetime):
            try:
                moment.astimezone(UTC)
            except OverflowError:
                yield FieldError(shown, "Expected a moment that has a date in UTC")


def _faults(value: object, type_: Any, path: str, strict: bool) -> Iterator[FieldError]:
    """What is wrong. msgspec stops at the first fault; a caller would rather mend all at once."""
    try:
        msgspec.convert(value, type_, strict=strict, dec_hook=from_wire)
    except msgspec.ValidationError as error:
        found = False
        if isinstance(value, dict) and isinstance(type_, type) and issubclass(type_, msgspec.Struct):
            for fault in _field_faults(cast("dict[str, object]", value), type_, path, strict):
                found = True
                yield fault
        if not found:
            yield _to_field_error(error, path)


def _field_faults(fields: dict[str, object], type_: type[msgspec.Struct], path: str, strict: bool) -> Iterator[FieldError]:
    known = {field.encode_name: field for field in msgspec.structs.fields(type_)}
    for name, field in known.items():
        if name in fields:
            yield from _faults(fields[name], field.type, _join(path, name), strict)
        elif field.required:
            yield FieldError(_join(path, name), "Required")
    if type_.__struct_config__.forbid_unknown_fields:
        for name in fields:
            if name not in known:
                yield FieldError(_join(path, name), "Unknown field")


def _to_field_error(error: msgspec.ValidationError, path: str) -> FieldError:
    """msgspec says `Expected …, got … - at `$.sizes[0].name``."""
    message, _, where = str(error).rpartition(" - at `$")
    if not message:
        message, where = str(error), ""
    field = path + where.removesuffix("`") if path else where.removesuffix("`").removeprefix(".")
    if unknown := _UNKNOWN_FIELD.fullmatch(message):
        return FieldError(_join(field, unknown[1]), "Unknown field")
    if missing := _MISSING_FIELD.fullmatch(message):
        return FieldError(_join(field, missing[1]), "Required")
    return FieldError(field, _TYPE_NAME.sub(lambda name: _JSON_NAMES.get(name[1], name[1]), message))


def _join(path: str, name: str) -> str:
    name = name if len(name) <= _MAX_NAME_LENGTH else f"{name[:_MAX_NAME_LENGTH]}…"
    return f"{path}.{name}" if path else name
