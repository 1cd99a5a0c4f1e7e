"""The two kinds of wire types, and the types of fields that several subjects share.

A field type of our own is a class with `parse(text)`, which raises ValueError with a sentence for the caller, and `json_schema`,
which goes into the OpenAPI document. `from_wire` makes values of them wherever a request is decoded.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Protocol, Self, cast, runtime_checkable

import msgspec
from msgspec import Meta

from app.secret import Secret


class In(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller sends. An unknown field is an error that names it; every string, list and number has a bound."""


class Out(msgspec.Struct, frozen=True):
    """What a caller receives."""


@runtime_checkable
class FieldType(Protocol):
    """A type that makes itself of a JSON string."""

    json_schema: ClassVar[Mapping[str, object]]

    @classmethod
    def parse(cls, text: str) -> Self: ...


@runtime_checkable
class ObjectFieldType(FieldType, Protocol):
    """A type that makes itself of a JSON object too."""

    @classmethod
    def parse_object(cls, value: dict[str, object]) -> Self: ...


class Email(str):
    """An email address in lower case, so that two spellings of one address are equal."""

    __slots__ = ()

    # The longest address that fits into SMTP's path of 256 octets (RFC 5321, section 4.5.3.1, and erratum 1690 of RFC 3696).
    json_schema: ClassVar[Mapping[str, object]] = {
        "type": "string",
        "format": "email",
        "maxLength": 254,
        "examples": ["tg12345@example.com"],
    }

    # Whether an address exists, only a letter to it can tell; this finds what can't be one.
    _FORM: ClassVar = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s.\x00-\x1f\x7f]+(\.[^@\s.\x00-\x1f\x7f]+)+")

    @classmethod
    def parse(cls, text: str) -> Self:
        if len(text) > 254 or not cls._FORM.fullmatch(text):
            raise ValueError("Expected an email address of at most 254 characters")
        return cls(text.lower())


class SecretText(Secret):
    """A secret in a request, masked from its decoding on: a marketplace's key, a token."""

    __slots__ = ()

    min_length: ClassVar = 1
    max_length: ClassVar = 8192
    json_schema: ClassVar[Mapping[str, object]] = {
        "type": "string",
        "format": "password",
        "writeOnly": True,
        "minLength": 1,
        "maxLength": 8192,
        "examples": ["eyJhbGciOiJFUzI1NiJ9.…"],
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        if not cls.min_length <= len(text) <= cls.max_length:
            raise ValueError(f"Expected a string of {cls.min_length} to {cls.max_length} characters")
        return cls(text)


class Password(SecretText):
    """A user's password: 8 to 128 characters of any script."""

    __slots__ = ()

    min_length = 8
    max_length = 128
    json_schema: ClassVar[Mapping[str, object]] = {
        "type": "string",
        "format": "password",
        "writeOnly": True,
        "minLength": 8,
        "maxLength": 128,
        "examples": ["correct horse battery staple"],
    }


Instant = Annotated[datetime, Meta(tz=True, examples=["2026-11-22T10:00:00Z"])]
"""A moment with its offset (RFC 3339); a time without one would mean another moment to each reader."""

ShortText = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S", examples=["Romashka LLC"])]
"""A name or a title: at most 200 characters, not all of them blank."""


def from_wire(type_: type[Any], value: object) -> object:
    """Make a value of a field type; msgspec calls it for every type that it doesn't know itself.

    Raises:
        ValueError, TypeError: it is none; msgspec adds the path.
        NotImplementedError: the type is not a field type, which is a mistake of ours.
    """
    if isinstance(value, type_):
        return value
    if not isinstance(type_, FieldType):
        raise NotImplementedError(f"{type_.__name__} is no type for a request: it has no parse().")
    if isinstance(value, dict) and isinstance(type_, ObjectFieldType):
        return type_.parse_object(cast("dict[str, object]", value))
    if not isinstance(value, str):
        raise TypeError("Expected a string")
    return type_.parse(value)


def schema_of(type_: type[Any]) -> dict[str, Any]:
    """The JSON schema of a field type; msgspec calls it for every type that it doesn't know itself."""
    if not isinstance(type_, FieldType):
        raise NotImplementedError(f"{type_.__name__} is no type for a request or a response: it has no json_schema.")
    return dict(type_.json_schema)
