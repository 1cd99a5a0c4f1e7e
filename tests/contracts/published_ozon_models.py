"""Hold a message against the models of `ozon-sdk`, which others generated from a newer description than the one we keep."""

from collections.abc import Iterator
from typing import Any

import msgspec
from ozon_sdk.base.model import BaseModel, attach_extras
from ozon_sdk.seller_api.basic import methods

PUBLISHED: dict[str, Any] = {
    method.__path__: method for method in vars(methods).values() if isinstance(method, type) and hasattr(method, "__path__")
}
"""The published methods by their paths."""


def check_published(path: str, message: Any) -> None:
    """Raise AssertionError where the answer of a method is not what its model describes, or has fields that it doesn't know."""
    try:
        # The package itself converts numbers from text and back; that would hide what we want to see.
        decoded = msgspec.convert(message, PUBLISHED[path].__returns__)
    except msgspec.ValidationError as error:
        raise AssertionError(f"{path}: {error}") from error
    attach_extras(message, decoded)
    departures = list(extras_of(decoded))
    if departures:
        raise AssertionError(f"{path}: fields that the model does not know: {', '.join(departures)}")


def extras_of(node: Any, where: str = "$") -> Iterator[str]:
    """What the package found in an answer beyond its models, by places."""
    if isinstance(node, BaseModel):
        yield from (f"{where}.{name}" for name in node.extras or {})
        for field in msgspec.structs.fields(type(node)):
            yield from extras_of(getattr(node, field.name), f"{where}.{field.encode_name}")
    elif isinstance(node, list):
        for index, element in enumerate(node):
            yield from extras_of(element, f"{where}[{index}]")


def field_names(model: Any, where: str = "") -> set[str]:
    """The places of all fields of a model on the wire, through lists."""
    names: set[str] = set()
    for part in model.types if isinstance(model, msgspec.inspect.UnionType) else (model,):
        if isinstance(part, msgspec.inspect.ListType):
            names |= field_names(part.item_type, where)
        elif isinstance(part, msgspec.inspect.StructType):
            for field in part.fields:
                names |= {f"{where}{field.encode_name}"} | field_names(field.type, f"{where}{field.encode_name}.")
    return names


def told(message: Any, where: str = "") -> set[str]:
    """The places of all fields of a message, through lists."""
    names: set[str] = set()
    for element in message if isinstance(message, list) else [message]:
        if isinstance(element, dict):
            for name, value in element.items():
                names |= {f"{where}{name}"} | told(value, f"{where}{name}.")
    return names
