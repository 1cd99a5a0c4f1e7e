"""Hold a message against the models of `wildberries-sdk`, which others generated from a newer description than the one we keep."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def check_model(model: type[BaseModel], message: dict[str, Any]) -> None:
    """Raise AssertionError where the message is not what the model describes, or has fields that it doesn't know.

    The models' own `from_dict` drops unknown fields in silence, so these are compared by name.
    """
    try:
        model.model_validate(message)
    except ValidationError as error:
        raise AssertionError(f"{model.__name__}: {error}") from error
    departures = list(_unknown_fields(model, message, "$"))
    if departures:
        raise AssertionError(f"{model.__name__}: {'; '.join(departures)}")


def field_names(model: type[BaseModel]) -> set[str]:
    """As on the wire."""
    return {field.alias or name for name, field in model.model_fields.items()}


def _unknown_fields(model: type[BaseModel], message: dict[str, Any], where: str) -> Iterator[str]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for name, value in message.items():
        if name not in fields:
            yield f"{where}.{name}: a field that the model does not know"
            continue
        nested = next(_models_in(fields[name].annotation), None)
        for element in value if isinstance(value, list) else [value]:
            if nested is not None and isinstance(element, dict):
                yield from _unknown_fields(nested, element, f"{where}.{name}")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
