"""What an erasure asks for, as it crosses the wire."""

from typing import ClassVar

from msgspec import UNSET, UnsetType

from app.api.structs import In, ShortText
from app.auth.schemas import GivenPassword


class TenantErasureIn(In, frozen=True, kw_only=True):
    """The proof that it is no slip: the user's `password`, or, of a user who has none, the tenant's `name`, letter by letter. A `name` beside a password has to be right
    too."""

    EXAMPLE: ClassVar[dict[str, object]] = {"password": "correct horse battery staple", "name": "Romashka LLC"}

    password: GivenPassword | UnsetType = UNSET
    name: ShortText | UnsetType = UNSET
