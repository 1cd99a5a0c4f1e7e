"""The sandbox's own time: the machine's until somebody sets it."""

import time
from datetime import UTC, datetime


class Clock:
    """Runs with the machine's time, may be moved, and may be frozen at an instant. Stock, limits and expiry all go by it."""

    def __init__(self, frozen_at: datetime | None = None) -> None:
        self._ahead_s = 0.0
        self._frozen_s: float | None = None
        if frozen_at is not None:
            self.freeze(frozen_at)

    def seconds(self) -> float:
        """Seconds since 1970 in UTC."""
        return time.time() + self._ahead_s if self._frozen_s is None else self._frozen_s

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds(), UTC)

    def freeze(self, at: datetime) -> None:
        """Stand still at an instant. Only `advance` and `run` move it from there."""
        if at.tzinfo is None:
            raise ValueError("The clock needs an instant with a time zone.")
        self._frozen_s = at.timestamp()

    def advance(self, seconds: float) -> None:
        """Jump ahead (or back, by a negative number), frozen or not."""
        if self._frozen_s is None:
            self._ahead_s += seconds
        else:
            self._frozen_s += seconds

    def run(self) -> None:
        """Run again, from the machine's present time."""
        self._ahead_s = 0.0
        self._frozen_s = None
