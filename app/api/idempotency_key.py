"""The header `Idempotency-Key`: who may send it, how it looks, what is answered (draft-ietf-httpapi-idempotency-key-header-07). app.idempotency does it.

Unlike the draft a key is no structured field, and a reused one is 409 rather than 422: in this API 422 says that the request would be wrong at any time.
"""

import re
from datetime import timedelta
from typing import Any, Final

from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from app.api.roles import Role
from app.api.validation import invalid
from app.errors import Conflict, FieldError

NAME: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
MAX_LENGTH: Final = 255

_KEY: Final = re.compile(rb"[!-~]{1,%d}" % MAX_LENGTH)
_NAME: Final = NAME.lower().encode()

PARAMETER: Final[dict[str, Any]] = {
    "name": NAME,
    "in": "header",
    "required": False,
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_LENGTH,
        "pattern": "^[!-~]+$",
        "examples": ["8e03978e-40d5-43e8-bc93-6894a57f9324"],
    },
    "description": "Makes it safe to send the request again after no answer: with the same key, within 24 hours, it is carried out once.",
}

REPLAYED_HEADER: Final[dict[str, Any]] = {
    "description": "`true` where this is the first answer to the same request with the same `Idempotency-Key`, and nothing was done anew.",
    "schema": {"type": "string", "const": "true"},
}


class IdempotencyKeyReused(Conflict):
    """The key came with another request before. A new request needs a new key; the same request is sent again unchanged."""

    code = "idempotency_key_reused"
    title = "Idempotency key reused"


class IdempotencyRequestInProgress(Conflict):
    """The first request with this key is being carried out. Ask again after `Retry-After`, for up to a minute."""

    code = "idempotency_request_in_progress"
    title = "Request in progress"
    retry_after = timedelta(seconds=1)


def takes_idempotency_key(handler: HTTPRouteHandler) -> bool:
    """Every POST that speaks for a tenant, unless its `opt` says `"idempotency_key": False`, since its answer must not be kept."""
    return "POST" in handler.http_methods and isinstance(handler.opt.get("role"), Role) and handler.opt.get("idempotency_key") is not False


def read_idempotency_key(scope: Scope) -> bytes | None:
    """The key of the request, if it has one.

    Raises:
        InvalidInput: it has several, or something that is no key.
    """
    given = [value for name, value in scope["headers"] if name == _NAME]
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise invalid((FieldError(NAME, f"Send one key, of 1 to {MAX_LENGTH} visible ASCII characters, such as a UUID"),))
    return given[0]
