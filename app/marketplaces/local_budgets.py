"""The budgets as one process keeps them for itself while Redis is away.

The same arithmetic as the scripts in app.marketplaces.limits, on this machine's clock; all instants and durations are whole microseconds.
"""

import math
from typing import NamedTuple

import msgspec


class Size(NamedTuple):
    """How large a budget is: one call more every `interval`, `burst` at once, of which our own calls leave some alone (`usable`). A call may
    be under way for `margin`."""

    interval: int
    burst: int
    usable: int
    margin: int


class Turn(NamedTuple):
    """When a call may be sent, and what its budget then looks like; `taken` is false where that is too late for the caller."""

    taken: bool
    wait: int
    remaining: int = -1
    pushed: int = 0


class Bucket(msgspec.Struct):
    """`full_at`: when all calls would be there again, if nobody took any more. `last_at`: for when the latest call was promised.
    `pushed`: by how much promises were put off since the bucket is known. `blocked_until`: nothing goes before."""

    full_at: int = 0
    last_at: int = 0
    pushed: int = 0
    blocked_until: int = 0


class LocalBudgets:
    """A bucket that is not known yet counts as used up but for one call, since what Redis knew of it is lost."""

    def __init__(self) -> None:
        self.buckets: dict[tuple[str, str], Bucket] = {}
        self.blocked_until: dict[str, int] = {}

    def take(self, account: str, group: str, size: Size, patience: int, pushed_then: int | None, now: int) -> Turn:
        """`pushed_then` is of the turn that is over now, where it is only asked whether it still holds."""
        bucket = self.buckets.get((account, group)) or Bucket(now + (size.usable - 1) * size.interval)
        blocked_until = max(self.blocked_until.get(account, 0), bucket.blocked_until)
        holds = pushed_then is not None and blocked_until <= now
        if holds:
            start = now + max(bucket.pushed - (pushed_then or 0), 0)
        else:
            start = max(now, blocked_until, bucket.full_at - (size.usable - 1) * size.interval)
        if start - now > patience:
            return Turn(False, start - now)
        if holds or size.interval == 0:
            return Turn(True, start - now, pushed=bucket.pushed)
        bucket.full_at = max(bucket.full_at, start + size.margin) + size.interval
        bucket.last_at = start
        self.buckets[account, group] = bucket
        remaining = math.floor((size.burst * size.interval - (bucket.full_at - start)) / size.interval)
        return Turn(True, start - now, max(remaining, -1), bucket.pushed)

    def correct(
        self, account: str, group: str, size: Size, remaining: int, age: int, extra: int, blocked: int, *, whole_account: bool, now: int
    ) -> None:
        """`remaining` calls were left `age` ago (-1: not known); our call cost `extra` more than one; nothing goes for as long as `blocked`."""
        if blocked and whole_account:
            self.blocked_until[account] = max(self.blocked_until.get(account, 0), now + blocked)
        bucket = self.buckets.setdefault((account, group), Bucket())
        waiting = max(math.ceil((bucket.last_at - now) / size.interval), 0) if size.interval else 0
        base = max(now, bucket.full_at - waiting * size.interval)
        target = base + extra * size.interval
        if remaining >= 0:
            target = max(target, now - age + (size.burst - remaining) * size.interval)
        bucket.full_at = target + waiting * size.interval
        bucket.pushed += target - base
        bucket.last_at += target - base
        if blocked and not whole_account:
            bucket.blocked_until = max(bucket.blocked_until, now + blocked)
            bucket.full_at = max(bucket.full_at, bucket.blocked_until + (size.burst - 1) * size.interval)
            bucket.last_at = 0

    def hand_over(self, account: str, group: str, size: Size, now: int) -> tuple[int, int, int] | None:
        """What is known of the bucket: how many calls are left, for how long its group is blocked, and for how long the account."""
        bucket, blocked_until = self.buckets.get((account, group)), self.blocked_until.get(account, 0)
        if bucket is None and not blocked_until:
            return None
        bucket = bucket or Bucket()
        missing = math.ceil(max(bucket.full_at - now, 0) / size.interval) if size.interval else 0
        return max(size.burst - missing, 0), max(bucket.blocked_until - now, 0), max(blocked_until - now, 0)

    def forget(self, account: str, group: str) -> None:
        self.buckets.pop((account, group), None)
        self.blocked_until.pop(account, None)
