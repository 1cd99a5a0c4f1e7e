"""The circuit between all workers and one host of a marketplace: where the host fails for everybody, nobody calls it for a while.

    closed ── at least MOST_FAILING accounts failed last, and more than worked ──► open for PAUSE_S, no call is sent
    open ──── the pause is over ──► half open: one call at a time is let through, the probe
    half open ── the probe is answered ──► closed;  it fails ──► open again, for twice as long, up to LONGEST_PAUSE_S

An account counts by its last outcome within WINDOW_S, and only once: one account with a broken network path, or with a shop that brings a method
down, opens nothing, however often it fails. Any answer but a server error is one that works, a refusal too. Fewer accounts than MOST_FAILING
can't tell a host that fails for everybody from one that fails for them: their calls go on, with the transport's backoff.

A host, and not a marketplace, since a marketplace's parts fail one by one. In Redis, for the host:

    circuit:{host}           until, pause, probe: only while it is not closed
    circuit:{host}:failing   accounts by when they failed, only within WINDOW_S of a failure
    circuit:{host}:working   accounts by when they were answered, kept only while some fail

So a host in good health costs one look at a key that isn't there, inside the script that takes from the budget.
"""

import random
from collections.abc import Sequence
from datetime import timedelta
from enum import IntEnum
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis

from app.marketplaces.errors import CircuitOpen

MOST_FAILING: Final = 5
WINDOW_S: Final = 60
PAUSE_S: Final = 30
LONGEST_PAUSE_S: Final = 600
PROBE_S: Final = 60
"""A probe of which nothing was heard for so long is given up, and the next one let through."""
NEXT_PROBE_S: Final = 5
"""Who comes while a probe is under way comes again after this, at the earliest."""
FORGET_S: Final = 3600
"""Without any call for so long after its pause, the circuit is as good as closed."""

CHECK: Final = f"""
local probe = 0
if ARGV[1] ~= 'probe' then
  local circuit = redis.call('HMGET', KEYS[3], 'until', 'pause', 'probe')
  if circuit[1] then
    if tonumber(circuit[1]) > now then return {{2, circuit[1] - now, tonumber(circuit[2])}} end
    if tonumber(circuit[3] or 0) > now then return {{2, {NEXT_PROBE_S * 1_000_000}, tonumber(circuit[2])}} end
    probe = 1
  end
end
"""
"""Ends the script where the circuit is open: {2, µs until its next turn, the pause in µs}."""

CLAIM_PROBE: Final = f"""
if probe == 1 then redis.call('HSET', KEYS[3], 'probe', string.format('%.0f', start + {PROBE_S * 1_000_000})) end
"""

# KEYS circuit, failing, working; ARGV account, 'failed' or 'answered', 'probe' or ''
REPORT: Final = f"""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function open(pause)
  redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + pause), 'pause', string.format('%.0f', pause), 'probe', 0)
  redis.call('PEXPIRE', KEYS[1], math.ceil(pause / 1000) + {FORGET_S * 1000})
  redis.call('DEL', KEYS[2], KEYS[3])
end
local pause = redis.call('HGET', KEYS[1], 'pause')
if pause then
  -- A call from before the circuit opened has nothing new to tell.
  if ARGV[3] ~= 'probe' then return 0 end
  if ARGV[2] == 'failed' then open(math.min(pause * 2, {LONGEST_PAUSE_S * 1_000_000})) return 1 end
  redis.call('DEL', KEYS[1])
  return -1
end
local mine, other = KEYS[2], KEYS[3]
if ARGV[2] == 'answered' then mine, other = KEYS[3], KEYS[2] end
redis.call('ZADD', mine, string.format('%.0f', now), ARGV[1])
redis.call('ZREM', other, ARGV[1])
local before = string.format('%.0f', now - {WINDOW_S * 1_000_000})
for _, key in ipairs({{KEYS[2], KEYS[3]}}) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', before)
  redis.call('EXPIRE', key, {WINDOW_S})
end
local failing = redis.call('ZCARD', KEYS[2])
if failing == 0 then redis.call('DEL', KEYS[3]) end
if failing < {MOST_FAILING} or failing <= redis.call('ZCARD', KEYS[3]) then return 0 end
open({PAUSE_S * 1_000_000})
return 1
"""
"""Says 1 where it opened the circuit, -1 where it closed it."""


class State(IntEnum):
    """Of a circuit, in numbers that operators know from its metric: none ever changes."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2


async def states_of(redis: Redis, hosts: Sequence[str]) -> list[State]:
    """How the circuits of the hosts are, in one round trip.

    Raises:
        REDIS_ERRORS: Redis is away, and nobody knows.
    """
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for host in hosts:
            pipeline.hget(f"circuit:{host}", "until")
        answers: list[Any] = await pipeline.execute()
    (seconds, microseconds), *until = answers
    now = seconds * 1_000_000 + microseconds
    return [State.CLOSED if end is None else State.OPEN if int(end) > now else State.HALF_OPEN for end in until]


def host_of(url: str) -> str:
    return urlsplit(url).netloc


def circuit_open(left_s: float, pause_s: float) -> CircuitOpen:
    """Those who are sent away come back spread over half the length of the pause, since they were all sent away at once."""
    return CircuitOpen(timedelta(seconds=left_s + random.uniform(0.0, pause_s / 2)))
