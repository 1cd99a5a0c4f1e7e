"""Wildberries' request limits: a token bucket per seller's profile, token type and method (portal chapter "Introduction")."""

import math
from typing import NamedTuple


class Limit(NamedTuple):
    """A bucket that holds `burst` requests and gets one back every `interval_s` seconds."""

    interval_s: float
    burst: int


class Taken(NamedTuple):
    """A request that the bucket allowed: how many more it would allow at once."""

    remaining: int


class Refused(NamedTuple):
    """A request too many, in whole seconds: until one would be allowed, and until the bucket is full."""

    retry_s: int
    reset_s: int


_ROUNDING = 1e-6
"""Of a request: instants are doubles, and who waits exactly as long as told must be let in."""


class Buckets:
    """A bucket is remembered as the instant at which it will be full again."""

    def __init__(self) -> None:
        self._full_at: dict[tuple[str, ...], float] = {}

    def take(self, key: tuple[str, ...], limit: Limit, now_s: float) -> Taken | Refused:
        missing = min(max(self._full_at.get(key, 0.0) - now_s, 0.0) / limit.interval_s, limit.burst)
        if missing + 1 > limit.burst + _ROUNDING:
            retry_s = (missing + 1 - limit.burst) * limit.interval_s
            return Refused(_whole_seconds(retry_s), _whole_seconds(missing * limit.interval_s))
        self._full_at[key] = now_s + (missing + 1) * limit.interval_s
        return Taken(int(limit.burst - missing - 1 + _ROUNDING))

    def charge(self, key: tuple[str, ...], limit: Limit, now_s: float, requests: int) -> Taken:
        """Take so many more requests for one that was let through; a bucket can't be emptier than empty."""
        missing = min(max(self._full_at.get(key, 0.0) - now_s, 0.0) / limit.interval_s + requests, limit.burst)
        self._full_at[key] = now_s + missing * limit.interval_s
        return Taken(int(limit.burst - missing + _ROUNDING))

    def clear(self) -> None:
        self._full_at.clear()


def _whole_seconds(seconds: float) -> int:
    return max(1, math.ceil(seconds - _ROUNDING))
