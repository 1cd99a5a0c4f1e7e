"""The windows as one process keeps them for itself while Redis is away: the same arithmetic as the script, on this machine's clock."""

from collections.abc import Sequence


class _Ring:
    """Counters of the last seconds, and their sum."""

    __slots__ = ("at", "counts", "sum")

    def __init__(self, length: int, at: int) -> None:
        self.at, self.sum = at, 0
        self.counts = [0] * length

    def move_to(self, second: int) -> None:
        length = len(self.counts)
        for passed in range(max(self.at + 1, second - length + 1), second + 1):
            self.sum -= self.counts[passed % length]
            self.counts[passed % length] = 0
        self.at = max(self.at, second)

    def seconds_until_below(self, limit: int) -> int:
        left = self.sum
        for wait in range(1, len(self.counts) + 1):
            left -= self.counts[(self.at + wait) % len(self.counts)]
            if left < limit:
                return wait
        return len(self.counts)


class LocalWindows:
    """As many windows as were asked for lately; those that are empty are forgotten once a window has passed."""

    def __init__(self, window_s: int) -> None:
        self._length = window_s + 1
        self._rings: dict[str, _Ring] = {}
        self._tidied_at = 0

    def debit(self, windows: Sequence[tuple[str, int]], now: float) -> tuple[int, int, int]:
        """Gives which window refuses, counted from 1 (0: none), for how many seconds, and what is left in the first."""
        second = int(now)
        self._forget_idle(second)
        rings = [self._rings.setdefault(name, _Ring(self._length, second)) for name, _ in windows]
        for ring in rings:
            ring.move_to(second)
        for place, (ring, (_, limit)) in enumerate(zip(rings, windows, strict=True), 1):
            if ring.sum >= limit:
                return place, ring.seconds_until_below(limit), max(windows[0][1] - rings[0].sum, 0)
        for ring in rings:
            ring.sum += 1
            ring.counts[ring.at % self._length] += 1
        return 0, 0, windows[0][1] - rings[0].sum if windows else 0

    def _forget_idle(self, second: int) -> None:
        if second - self._tidied_at < self._length:
            return
        self._tidied_at = second
        self._rings = {name: ring for name, ring in self._rings.items() if second - ring.at < self._length}
