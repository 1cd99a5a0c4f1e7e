"""How many requests in any 60 s: windows shared by all processes, in Redis.

A window is a ring of 61 counters, one for each second, and their sum. **One script** moves all windows of a request on to the present second, by Redis's own clock, so
that no machine's matters; debits all of them or, where one is full, none; and reads a marker beside them, so that whether a login session was ended costs no round
trip of its own.

Why it never lets more than `limit` through within any 60 s, whichever processes they came to: the script is carried out by one thread, so a request that is let
through finds `sum < limit`, where the sum is of all requests let through in the present second and the 60 whole seconds before it; and each request less than
60 s before this one was in one of these 61 seconds. What it costs: a request may be refused that a perfect window would allow a second sooner.

In Redis, gone by themselves when nobody asks for 61 s: `rate:{name}`, a hash of `at` (the second that the ring stands at), `sum`, and the counters `0` to `60`.

**While Redis is away** each process keeps windows for itself (app.rate_limits.local_windows), with the whole limit: nobody who behaves is refused because of our trouble,
and N processes let through N times as much at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from time import monotonic
from typing import Any, Final, NamedTuple

import structlog

from app.observability import metrics
from app.rate_limits.local_windows import LocalWindows
from app.redis import REDIS_ERRORS, get_multiplexer
from app.redis_multiplexer import Script

WINDOW_S: Final = 60
PAUSE_S: Final = 1.0
"""After a failure Redis is not asked for this long: requests are decided without it at once, instead of waiting for a time-out each."""

# KEYS: the marker, then the windows. ARGV: the marker's value at which nothing is debited, then the limits.
# Gives the marker, which window refuses (0: none), for how many seconds, and what is left in the first window.
DEBIT: Final = f"""
local marker = KEYS[1] ~= '' and redis.call('GET', KEYS[1]) or false
if marker == ARGV[1] then return {{marker, 0, 0, 0}} end

local ring = {WINDOW_S + 1}
local now = tonumber(redis.call('TIME')[1])
local sums, instants = {{}}, {{}}
for i = 2, #KEYS do
  local known = redis.call('HMGET', KEYS[i], 'at', 'sum')
  local at, sum = tonumber(known[1] or now), tonumber(known[2] or 0)
  -- A clock that was put back stands still for us.
  instants[i] = math.max(at, now)
  if instants[i] - at >= ring then
    redis.call('DEL', KEYS[i])
    sum = 0
  elseif instants[i] > at then
    local over = {{}}
    for second = at + 1, instants[i] do over[#over + 1] = second % ring end
    for _, count in ipairs(redis.call('HMGET', KEYS[i], unpack(over))) do sum = sum - (count or 0) end
    redis.call('HDEL', KEYS[i], unpack(over))
  end
  sums[i] = sum
  if instants[i] > at or not known[1] then
    redis.call('HSET', KEYS[i], 'at', instants[i], 'sum', sum)
    redis.call('EXPIRE', KEYS[i], ring)
  end
end
for i = 2, #KEYS do
  local limit = tonumber(ARGV[i])
  if sums[i] >= limit then
    -- The first second whose end takes enough away.
    local left = sums[i]
    for wait = 1, ring do
      left = left - (redis.call('HGET', KEYS[i], (instants[i] + wait) % ring) or 0)
      if left < limit then return {{marker, i - 1, wait, math.max(tonumber(ARGV[2]) - sums[2], 0)}} end
    end
    return {{marker, i - 1, ring, math.max(tonumber(ARGV[2]) - sums[2], 0)}}
  end
end
for i = 2, #KEYS do
  redis.call('HSET', KEYS[i], 'sum', sums[i] + 1)
  redis.call('HINCRBY', KEYS[i], instants[i] % ring, 1)
end
return {{marker, 0, 0, #KEYS > 1 and tonumber(ARGV[2]) - sums[2] - 1 or 0}}
"""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Window:
    """Of `whose` requests it lets `limit` through within any 60 s. `policy` is what callers know it by."""

    policy: str
    whose: str
    limit: int

    @cached_property
    def key(self) -> str:
        return f"rate:{self.policy}:{self.whose}"


class Marker(NamedTuple):
    """A key that is read in the same round trip. While it has the value `void`, nothing is debited."""

    name: str
    void: bytes


class Debit(NamedTuple):
    """What came of it. `refused_by`: the window that is full, and nothing was debited; it may have room again after `retry_after_s`. `remaining`: what is left in the
    first window. `marker`: its value; `is_local`: Redis had no answer, so nothing is known of the marker.
    """

    refused_by: Window | None
    retry_after_s: int
    remaining: int
    marker: bytes | None
    is_local: bool


_script = Script(DEBIT)
_local = LocalWindows(WINDOW_S)
_away_until = 0.0


async def debit(windows: Sequence[Window], marker: Marker | None = None) -> Debit:
    """Let a request through all of the windows, or none. Never fails: without Redis the process decides alone."""
    answer = await _ask(
        [marker.name if marker else "", *[window.key for window in windows]],
        [marker.void if marker else b"", *[window.limit for window in windows]],
    )
    if answer is not None:
        value, refused, wait_s, remaining = answer
        return Debit(windows[refused - 1] if refused else None, wait_s, remaining, value, is_local=False)
    metrics.rate_limits_local.inc()
    refused, wait_s, remaining = _local.debit([(window.key, window.limit) for window in windows], monotonic())
    return Debit(windows[refused - 1] if refused else None, wait_s, remaining, None, is_local=True)


async def _ask(keys: list[str], arguments: list[Any]) -> Any | None:
    """The script's answer, or None while Redis gives none. During an outage one request at a time asks again; it is logged when it begins and when it ends."""
    global _away_until
    if _away_until:
        now = monotonic()
        if now < _away_until:
            return None
        _away_until = now + PAUSE_S
    try:
        answer = await get_multiplexer().run(_script, keys, arguments)
    except REDIS_ERRORS as error:
        if not _away_until:
            log.warning("rate_limits.redis_away", error=str(error) or type(error).__name__)
        _away_until = monotonic() + PAUSE_S
        return None
    if _away_until:
        _away_until = 0.0
        log.info("rate_limits.redis_back")
    return answer
