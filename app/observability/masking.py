"""Secrets are taken out of every log line, by the name that they stand under and by their looks.

This is the second wall: secrets are `app.secret.Secret`, which masks itself. But a library's message, a trace or a caller's nonsense may
hold one as plain text.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from structlog.typing import EventDict

from app.secret import Secret

MASK = Secret.MASK

_SECRET_NAME = re.compile(
    r"authorization|passw|secret|token|api_?-?key|credential|private_?-?key|master_?-?key|cookie|init_?data", re.IGNORECASE
)

# Finds out in a tenth of the time that there is nothing to find, which is so in nearly all lines. Searched in lower case.
_SUSPICIOUS = re.compile(
    r"eyj|whsec_|whsk_|stk_|://|private.key|bearer |basic |authorization|password|secret|token|api.?key|[0-9]:[a-z0-9_-]{30}"
)

_SECRET_LOOKS = re.compile(
    r"""
      eyJ[\w-]{10,}(?:\.[\w-]*)*                                # JSON Web Tokens, and so the keys of Wildberries
    | wh(?:sec|sk)_[\w+/=-]+                                    # secrets of webhooks (Standard Webhooks)
    | stk_[\w-]+                                                # our service keys
    | (?<=://)[^/\s@]+(?=@)                                     # the user and password of an address
    | \b\d{6,12}:[\w-]{30,}                                     # tokens of Telegram bots
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*-----|\Z)
    | (?<=bearer[ ])[\w.~+/=-]+ | (?<=basic[ ])[\w.~+/=-]+      # headers
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)

# `password=…`, `"api_key": "…"`, as traces and other people's messages have them.
_ASSIGNED = re.compile(
    r"""((?:authorization|password|secret|token|api[_-]?key|private_key)["']?\s*[=:]\s*["']?)(?!bearer|basic)[^\s"',;&)}\]]+""",
    re.IGNORECASE,
)


def mask_secrets(_logger: object, _method: str, event: EventDict) -> EventDict:
    """A processor of structlog. What is no plain value becomes its masked `repr`, so that a renderer can't open it."""
    return {name: _masked(value, _is_secret(name)) for name, value in event.items()}


def mask_text(text: str) -> str:
    """The text without what looks like a secret."""
    if not _SUSPICIOUS.search(text.lower()):
        return text
    return _ASSIGNED.sub(rf"\1{MASK}", _SECRET_LOOKS.sub(MASK, text))


@lru_cache(1024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _masked(value: object, secret: bool) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return MASK if secret else mask_text(value)
        case Secret():
            return MASK
        case UUID() | datetime() | timedelta():
            return value
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return {str(name): _masked(item, secret or _is_secret(str(name))) for name, item in items}
        case list() | tuple() | set() | frozenset():
            return [_masked(item, secret) for item in cast("list[object]", value)]
        case _:
            return MASK if secret else mask_text(repr(value))
