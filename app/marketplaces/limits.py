"""How often the marketplaces may be called: budgets shared by all workers, in Redis.

A budget belongs to an account and a group of methods: `Call.budget` says how large it is. It is a token bucket, kept as the instant at which it will
be full again (GCRA, https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm). **One script** takes a call and says how long to wait, with Redis's
own clock, so that no machine's matters; where the wait is longer than the caller's patience it takes nothing. The same script looks whether
the account is blocked and the circuit open (app.marketplaces.circuit), so a call costs one round trip to Redis.

The marketplace counts when a call arrives and not when it leaves: a new connection takes its time. So a bucket that was full counts as full for
LATENCY_S longer, and what is under way for less never finds a bucket that is filled later than we think. That makes the first burst
smaller; only where a burst is one call it costs throughput, LATENCY_S per call.

The seller's other programs take from the same buckets. So of a burst we leave at least one call to them, or as many as a refusal of ours would
cost (where a burst is one call, nothing can be left); and every answer is compared with what the budget expected. **Only where the marketplace
has fewer calls left than expected, refuses, or asks for patience, a second script corrects the budget**; in good order answers cost no
round trip. A correction puts off promises that were already given, so who waited for CHECK_AFTER_S or longer asks again before
sending.

In Redis, all in µs since 1970, all gone by themselves:

    limits:{account}:{group}   full_at, last_at (of the latest promise), pushed (sum of corrections), blocked_until
    limits:{account}           until when the whole account is blocked

**While Redis is away** each process keeps budgets for itself (app.marketplaces.local_budgets), and none begins with a burst. Together they may then
send a call each for every one that is allowed; the marketplace's refusals correct that. The circuit is closed meanwhile. When Redis is back, a budget
begins there with what the process knows of it.
"""

from collections.abc import Sequence
from datetime import timedelta
from time import monotonic, monotonic_ns
from typing import Any, Final

import msgspec
import structlog

from app.marketplaces import circuit
from app.marketplaces.errors import MarketplaceDown, MarketplaceError, RateLimited
from app.marketplaces.exchange import Answer, Call
from app.marketplaces.local_budgets import LocalBudgets, Size, Turn
from app.observability import metrics
from app.redis import REDIS_ERRORS
from app.redis_multiplexer import Multiplexer, Script
from app.settings import Settings

LATENCY_S: Final = 1.0
CHECK_AFTER_S: Final = 0.25
LONGEST_BLOCK_S: Final = 86_400.0
PAUSE_S: Final = 1.0
"""After a failure, Redis is not asked for this long; then one caller tries, and the others still go on without it."""

log = structlog.get_logger(__name__)

NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
"""

_BUCKET = """
local bucket = redis.call('HMGET', KEYS[1], 'full_at', 'last_at', 'pushed', 'blocked_until')
local full_at, last_at = tonumber(bucket[1] or 0), tonumber(bucket[2] or 0)
local pushed, blocked_until = tonumber(bucket[3] or 0), tonumber(bucket[4] or 0)
local function whole(number) return string.format('%.0f', number) end
local function keep()
  redis.call('HSET', KEYS[1], 'full_at', whole(full_at), 'last_at', whole(last_at), 'pushed', whole(pushed), 'blocked_until', whole(blocked_until))
  redis.call('PEXPIRE', KEYS[1], math.ceil((math.max(full_at, last_at, blocked_until) - now) / 1000) + 1000)
end
"""

# KEYS bucket, account, circuit, failing; ARGV 'probe' or '', patience, interval, burst, usable, pushed then or '', margin
# → 0, wait, remaining, pushed, probe, watched | 1, wait | 2, …
TAKE: Final = f"""{NOW}{circuit.CHECK}{_BUCKET}
local patience, interval, burst, usable = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local watched = redis.call('EXISTS', KEYS[4])
local blocked = math.max(tonumber(redis.call('GET', KEYS[2]) or 0), blocked_until)
local holds = ARGV[6] ~= '' and blocked <= now
local start = math.max(now, blocked, full_at - (usable - 1) * interval)
if holds then start = now + math.max(pushed - ARGV[6], 0) end
if start - now > patience then return {{1, start - now}} end
{circuit.CLAIM_PROBE}
if holds or interval == 0 then return {{0, start - now, -1, pushed, probe, watched}} end
full_at = math.max(full_at, start + ARGV[7]) + interval
last_at = start
keep()
local remaining = math.floor((burst * interval - (full_at - start)) / interval)
return {{0, start - now, math.max(remaining, -1), pushed, probe, watched}}
"""

# KEYS bucket, account; ARGV interval, burst, remaining or -1, age, extra cost, blocked for, 1 for the whole account
CORRECT: Final = f"""{NOW}{_BUCKET}
local interval, burst, remaining, age = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local blocked = tonumber(ARGV[6])
if blocked > 0 and ARGV[7] == '1' then
  local present = tonumber(redis.call('GET', KEYS[2]) or 0)
  if now + blocked > present then redis.call('SET', KEYS[2], whole(now + blocked), 'PX', math.ceil(blocked / 1000)) end
end
local waiting = 0
if interval > 0 then waiting = math.max(math.ceil((last_at - now) / interval), 0) end
local base = math.max(now, full_at - waiting * interval)
local target = base + ARGV[5] * interval
if remaining >= 0 then target = math.max(target, now - age + (burst - remaining) * interval) end
full_at = target + waiting * interval
pushed = pushed + target - base
last_at = last_at + target - base
if blocked > 0 and ARGV[7] ~= '1' then
  blocked_until = math.max(blocked_until, now + blocked)
  full_at = math.max(full_at, blocked_until + (burst - 1) * interval)
  last_at = 0
end
keep()
return 1
"""

_TAKE, _CORRECT, _REPORT = Script(TAKE), Script(CORRECT), Script(circuit.REPORT)


class LimitNews(msgspec.Struct, frozen=True):
    """What the head of an answer says of the limits: how many calls could follow at once, in how many seconds the next may be tried, and
    whether that holds for the whole account."""

    remaining: int | None = None
    retry_after_s: float | None = None
    whole_account: bool = False


class Permit(msgspec.Struct, frozen=True):
    """A call that may be sent in `wait_s`. The rest is for `renew` and `learn`: what the budget expects, and what the circuit wants to hear."""

    wait_s: float
    remaining: int = -1
    pushed: int = 0
    is_probe: bool = False
    is_watched: bool = False
    is_local: bool = False


class SharedLimits:
    """The limits as all workers with the same Redis see them. Redis's troubles are no errors here."""

    def __init__(self, redis_url: str) -> None:
        """Connects when first used."""
        self._multiplexer = Multiplexer(redis_url)
        self._local = LocalBudgets()
        self._away_until = 0.0

    async def take(self, call: Call) -> Permit:
        """Take the call from its budget.

        Raises:
            RateLimited: it could not be sent within `call.patience_s`; nothing was taken.
            CircuitOpen: nobody may call this host at present.
        """
        return await self._ask_for_turn(call, None)

    async def renew(self, call: Call, permit: Permit) -> Permit:
        """Whether the permit still holds after its wait is over: then the wait of the new one is 0.

        Raises:
            RateLimited, CircuitOpen: it does not.
        """
        return await self._ask_for_turn(call, permit)

    async def learn(
        self, call: Call, permit: Permit, answer: Answer | None, news: LimitNews | None, error: MarketplaceError | None, age_s: float
    ) -> None:
        """What became of a call that was sent `age_s` ago: its answer, if one came, and what it says of the limits; the error that was made of it."""
        if not permit.is_local:
            if isinstance(error, MarketplaceDown):
                await self._tell_circuit(call, permit, "failed")
            elif permit.is_probe or permit.is_watched:
                await self._tell_circuit(call, permit, "answered")
        if answer is None:
            return
        blocked_s, extra, remaining = 0.0, 0, -1
        # Exactly this class: a report that isn't ready blocks nobody.
        if type(error) is RateLimited:
            asked_s = news.retry_after_s if news and news.retry_after_s is not None else error.retry_after.total_seconds()
            blocked_s = min(max(asked_s, 0.0), LONGEST_BLOCK_S)
        elif 400 <= answer.status < 500 and call.budget and (news is None or news.remaining is None):
            # Where the marketplace says what is left, that says it all.
            extra = call.budget.refusal_cost - 1
        if news and news.remaining is not None and news.remaining < permit.remaining:
            remaining = news.remaining
        if not blocked_s and not extra and remaining < 0:
            return
        size, whole_account = _size(call), bool(news and news.whole_account)
        arguments = [size.interval, size.burst, remaining, _us(age_s), extra, _us(blocked_s), int(whole_account)]
        if permit.is_local or await self._ask(_CORRECT, _keys(call)[:2], arguments) is None:
            self._local.correct(
                call.account, call.group, size, remaining, _us(age_s), extra, _us(blocked_s), whole_account=whole_account, now=_now()
            )

    async def aclose(self) -> None:
        await self._multiplexer.close()

    async def _ask_for_turn(self, call: Call, permit: Permit | None) -> Permit:
        size, patience = _size(call), _us(call.patience_s)
        was_probe = permit is not None and permit.is_probe
        pushed_then = None if permit is None else permit.pushed
        arguments = [
            "probe" if was_probe else "",
            patience,
            size.interval,
            size.burst,
            size.usable,
            "" if pushed_then is None else pushed_then,
            size.margin,
        ]
        handed_over = await self._hand_over(call, size)
        answer = await self._ask(_TAKE, _keys(call), arguments) if handed_over else None
        if answer is None:
            # What Redis promised, our own budget knows nothing of: it is taken as one of its own.
            metrics.local_limits.inc()
            was_local = permit is not None and permit.is_local
            turn = self._local.take(call.account, call.group, size, patience, pushed_then if was_local else None, _now())
            return _permit(turn, is_local=True)
        match answer:
            case [0, wait, remaining, pushed, probe, watched]:
                turn = Turn(True, wait, permit.remaining if permit and remaining < 0 else remaining, pushed)
                return _permit(turn, is_probe=was_probe or bool(probe), is_watched=bool(watched))
            case [2, left, pause]:
                raise circuit.circuit_open(left / 1e6, pause / 1e6)
            case _:
                raise RateLimited(timedelta(microseconds=answer[1]))

    async def _hand_over(self, call: Call, size: Size) -> bool:
        """Tell Redis what this process knows of the budget from the time without it. False while Redis is still away."""
        known = self._local.hand_over(call.account, call.group, size, _now())
        if known is None:
            return True
        remaining, group_blocked, account_blocked = known
        keys = _keys(call)[:2]
        for blocked, whole_account in ((group_blocked, 0), (account_blocked, 1)):
            if await self._ask(_CORRECT, keys, [size.interval, size.burst, remaining, 0, 0, blocked, whole_account]) is None:
                return False
        self._local.forget(call.account, call.group)
        return True

    async def _tell_circuit(self, call: Call, permit: Permit, outcome: str) -> None:
        host = circuit.host_of(call.url)
        keys = [f"circuit:{host}", f"circuit:{host}:failing", f"circuit:{host}:working"]
        match await self._ask(_REPORT, keys, [call.account, outcome, "probe" if permit.is_probe else ""]):
            case 1:
                metrics.circuit_openings.labels(host).inc()
                log.warning("circuit.opened", host=host)
            case -1:
                log.info("circuit.closed", host=host)
            case _:
                pass

    async def _ask(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any | None:
        """The script's answer, or None while Redis gives none."""
        if self._away_until:
            now = monotonic()
            if now < self._away_until:
                return None
            self._away_until = now + PAUSE_S
        try:
            answer = await self._multiplexer.run(script, keys, arguments)
        except REDIS_ERRORS as error:
            if not self._away_until:
                log.warning("limits.redis_away", error=str(error) or type(error).__name__)
            self._away_until = monotonic() + PAUSE_S
            return None
        if self._away_until:
            self._away_until = 0.0
            log.info("limits.redis_back")
        return answer


_limits: SharedLimits | None = None


def shared_limits(settings: Settings) -> SharedLimits | None:
    """The limits of this process, until `close_limits()`; None where the settings switch them off."""
    global _limits
    if _limits is None and settings.marketplace_limits_enabled:
        _limits = SharedLimits(settings.redis_url.reveal())
    return _limits


async def close_limits() -> None:
    global _limits
    closing, _limits = _limits, None
    if closing is not None:
        await closing.aclose()


def _size(call: Call) -> Size:
    budget = call.budget
    if budget is None:
        # Only a block can hold it up.
        return Size(0, 1, 1, 0)
    usable = max(budget.burst - budget.refusal_cost, 1)
    # Half of a burst at most, or a quarter of an interval: a longer margin would make a fast budget slow.
    margin_s = min(LATENCY_S, budget.interval_s * max(usable - 1, 0.5) / 2)
    return Size(_us(budget.interval_s), budget.burst, usable, _us(margin_s))


def _keys(call: Call) -> list[str]:
    host = circuit.host_of(call.url)
    return [f"limits:{call.account}:{call.group}", f"limits:{call.account}", f"circuit:{host}", f"circuit:{host}:failing"]


def _permit(turn: Turn, *, is_local: bool = False, is_probe: bool = False, is_watched: bool = False) -> Permit:
    if not turn.taken:
        raise RateLimited(timedelta(microseconds=turn.wait))
    return Permit(turn.wait / 1e6, turn.remaining, turn.pushed, is_probe, is_watched, is_local)


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _now() -> int:
    return monotonic_ns() // 1000
