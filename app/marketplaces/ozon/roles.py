"""What a key may do, and until when.

Source: docs.ozon.ru/api/seller, "/v1/roles", as of 2026-10-01.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from app.marketplaces.contract import KeyFacts
from app.marketplaces.ozon.methods import METHODS_OF_STAGE
from app.marketplaces.ozon.wire import RolesAnswer

# Before any key: how some of Ozon's messages say "no date".
_NO_DATE = datetime(2000, 1, 1, tzinfo=UTC)


def with_roles(facts: KeyFacts, answer: RolesAnswer) -> KeyFacts:
    """The facts, and what Ozon says of the key. A stage for which the key opens only a part of the methods counts as missing."""
    opened = [path for role in answer.roles for path in role.methods or ()]
    scopes = tuple(stage for stage, methods in METHODS_OF_STAGE.items() if all(_is_open(method.path, opened) for method in methods))
    return msgspec.structs.replace(
        facts,
        scopes=scopes,
        missing_scopes=tuple(stage for stage in METHODS_OF_STAGE if stage not in scopes),
        expires_at=_expiry(answer.expires_at),
    )


def _is_open(path: str, opened: Iterable[str]) -> bool:
    """Ozon names a method, or the beginning that several have in common."""
    return any(path == beginning or path.startswith(f"{beginning.rstrip('/')}/") for beginning in opened if beginning.startswith("/"))


def _expiry(told: datetime | None) -> datetime | None:
    if told is None:
        return None
    expires_at = told if told.tzinfo else told.replace(tzinfo=UTC)
    return None if expires_at < _NO_DATE else expires_at.astimezone(UTC)
