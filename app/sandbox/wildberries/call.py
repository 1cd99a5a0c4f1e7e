"""A request that Wildberries' gateway let through to the service behind it."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from app.sandbox.shop import Shop


class Call(msgspec.Struct, frozen=True):
    """`query` has the last value of each parameter, empty ones too; `place` is the part of the path that the method's template leaves open."""

    shop: Shop
    body: bytes
    query: Mapping[str, str]
    place: str
    now: datetime
