"""Answers that were expensive to make, kept for a while in Redis, each tenant behind a wall of its own.

In Redis, for the tenant with a given id:

    tenant:{id}:{key}        a value, in MessagePack
    cache:{id}:keys          which keys the tenant has, by when they expire
    cache:{id}:generation    a random word, gone with the next invalidation
    cache:{id}:lock:{key}    who computes the value just now: the generation, then a token

**The list of keys** lets an invalidation look at the keys of one tenant only. `SCAN` would walk the keys of all tenants for each sync that ends, and
a hash per tenant would need fields that expire, which Redis 7 can't do. The list changes in the same script as the values, so the two agree; it drops
what has expired at each write, holds at most MAX_KEYS, and expires with its last key.

**The generation** decides between a computation and an invalidation that happens meanwhile. The computation notes the word before it begins, making
one where there is none; its value is stored only while that very word is still there. An invalidation removes it. So does all else that may have
lost an invalidation, an eviction or a restart that came back empty: an absent word equals nothing, where a counter would begin again at zero
and meet the old number.

The scripts build keys out of their arguments: one Redis, not a cluster.
"""

import asyncio
import inspect
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from hashlib import blake2b
from time import monotonic
from typing import Any, Final, ParamSpec, TypeVar, get_type_hints
from uuid import UUID

import msgspec
import structlog
from redis.commands.core import AsyncScript
from redis.exceptions import ResponseError

from app.redis import REDIS_ERRORS, open_redis
from app.redis_multiplexer import Multiplexer
from app.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

MAX_KEYS: Final = 10_000
"""Of one tenant; beyond it those that expire soonest make room."""

MAX_VALUE_BYTES: Final = 2 * 1024 * 1024
"""A larger value is not stored: it would hold up all others that wait for the same Redis."""

PAUSE_S: Final = 1.0
"""After a failure, Redis is not asked for this long; then one caller tries, and the others still go on without it."""

LOCK_S: Final = 3.0
"""For so long others wait for one computation. Then, or when its process was killed, the next one computes too."""

GENERATION_S: Final = 600
"""A computation that takes longer is not stored."""

_KEY: Final = re.compile(r"[!-~]{1,200}")
"""Visible ASCII: neither a control character nor a space, and nothing that two encodings spell differently."""

_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder().decode

log = structlog.get_logger(__name__)

_NAMES = """
local prefix, space = 'tenant:' .. ARGV[1] .. ':', 'cache:' .. ARGV[1] .. ':'
local key, name, keys = ARGV[2], prefix .. ARGV[2], space .. 'keys'
local generation, lock = space .. 'generation', space .. 'lock:' .. ARGV[2]
"""

_STORE = f"""
local function store(value, ttl)
  redis.call('SET', name, value, 'PX', ttl)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZADD', keys, now + ttl, key)
  redis.call('ZREMRANGEBYSCORE', keys, '-inf', now)
  local excess = redis.call('ZCARD', keys) - {MAX_KEYS}
  if excess > 0 then
    local soonest = redis.call('ZPOPMIN', keys, excess)
    for i = 1, #soonest, 2 do redis.call('UNLINK', prefix .. soonest[i]) end
  end
  if redis.call('PTTL', keys) < tonumber(ttl) then redis.call('PEXPIRE', keys, ttl) end
end
"""

# tenant, key, value, ttl in ms
_SET = f"{_NAMES}{_STORE} store(ARGV[3], ARGV[4]) return 1"

# tenant, key, token → the value; or the generation, and 1 if the caller is the one to compute
_BEGIN = f"""{_NAMES}
local value = redis.call('GET', name)
if value then return value end
local word = redis.call('GET', generation) or ARGV[3]
redis.call('SET', generation, word, 'EX', {GENERATION_S})
local holder = redis.call('GET', lock)
if holder and string.sub(holder, 1, #word) == word then return {{word, 0}} end
redis.call('SET', lock, word .. ARGV[3], 'PX', {int(LOCK_S * 1000)})
return {{word, 1}}
"""

# tenant, key, token, generation, value or nothing, ttl in ms
_FINISH = f"""{_NAMES}{_STORE}
if redis.call('GET', lock) == ARGV[4] .. ARGV[3] then redis.call('DEL', lock) end
if ARGV[5] == '' or redis.call('GET', generation) ~= ARGV[4] then return 0 end
store(ARGV[5], ARGV[6])
return 1
"""

# tenant, key
_DELETE = f"{_NAMES} redis.call('DEL', generation) redis.call('ZREM', keys, key) return redis.call('UNLINK', name)"

# tenant, pattern. The pattern meets the keys without their prefix, so it can't speak of any other tenant's.
_INVALIDATE = f"""{_NAMES}
redis.call('DEL', generation)
local matching, cursor = {{}}, '0'
repeat
  local page = redis.call('ZSCAN', keys, cursor, 'MATCH', key, 'COUNT', 1000)
  cursor = page[1]
  for i = 1, #page[2], 2 do matching[#matching + 1] = page[2][i] end
until cursor == '0'
local count = 0
for _, match in ipairs(matching) do
  count = count + redis.call('UNLINK', prefix .. match)
  redis.call('ZREM', keys, match)
end
return count
"""


class RedisCache:
    """Values of tenants, by tenant and key.

    A `tenant_id` is a UUID or its text, a key 1 to 200 visible ASCII characters, a ttl in seconds; anything else is a ValueError or TypeError, since
    it is the caller's mistake. A Redis that is away or slow is no error: there is no value, nothing is stored or counted. An invalidation that
    could not be delivered is made good, for the whole tenant, as soon as Redis answers.
    """

    def __init__(self, redis_url: str, default_ttl: int = 300, max_connections: int = 50, *, enabled: bool = True) -> None:
        """Connects when first used. With `enabled` false nothing is read or stored, but invalidations still reach other processes."""
        self.enabled = enabled
        self.default_ttl = default_ttl
        self._redis = open_redis(redis_url, max_connections=max_connections)
        # What is looked up for each request; its own connection, since values may be large, and only those who read others wait for them.
        self._values = Multiplexer(redis_url)
        self._set = self._redis.register_script(_SET)
        self._begin = self._redis.register_script(_BEGIN)
        self._finish = self._redis.register_script(_FINISH)
        self._delete = self._redis.register_script(_DELETE)
        self._invalidate = self._redis.register_script(_INVALIDATE)
        self._flights: dict[str, asyncio.Task[Any]] = {}
        self._owed: set[str] = set()
        self._settling: asyncio.Task[None] | None = None
        self._away_until = 0.0
        self._silent_until = 0.0

    async def get(self, tenant_id: UUID | str, key: str) -> Any | None:
        """The value, made of plain types (`dict`, `list`, `str`, `bytes`, `datetime` …), or None."""
        raw = await self._ask(self._values.execute, "GET", _name(tenant_id, key)) if self.enabled else None
        return None if raw is None else _decode(raw)

    async def set(self, tenant_id: UUID | str, key: str, value: Any, ttl: int | None = None) -> bool:
        """Store anything that msgspec can encode, for `ttl` seconds (else the default). False: it was not stored.

        A value that was read before an invalidation and is set after it, is stale: `@cached` guards against that, this can't.
        """
        tenant, raw, ttl_ms = _tenant(tenant_id), _encode(value), _milliseconds(self.default_ttl if ttl is None else ttl)
        _check(key)
        if not self.enabled or not _fits(tenant, key, raw):
            return False
        return bool(await self._ask(self._set, [], [tenant, key, raw, ttl_ms]))

    async def delete(self, tenant_id: UUID | str, key: str) -> bool:
        """Forget one key, and whatever is being computed for the tenant just now. True: it was there."""
        _check(key)
        return bool(await self._forget(self._delete, _tenant(tenant_id), key))

    async def exists(self, tenant_id: UUID | str, key: str) -> bool:
        return self.enabled and bool(await self._ask(self._redis.exists, _name(tenant_id, key)))

    async def invalidate_pattern(self, tenant_id: UUID | str, pattern: str) -> int:
        """Forget the tenant's keys that match, and whatever is being computed for the tenant just now. How many there were.

        The pattern is Redis's glob, `products:*` say, over the keys as the caller names them.
        """
        _check(pattern)
        return await self._forget(self._invalidate, _tenant(tenant_id), pattern)

    async def flush_tenant(self, tenant_id: UUID | str) -> int:
        """Forget all keys of the tenant. How many there were."""
        return await self._forget(self._invalidate, _tenant(tenant_id), "*")

    async def ping(self) -> bool:
        """Whether Redis answers, asked anew."""
        try:
            await self._redis.execute_command("PING")
        except REDIS_ERRORS:
            return False
        return True

    async def aclose(self) -> None:
        """Cancel what is being computed, and close the connections."""
        self._owed.clear()
        running = [*self._flights.values(), *([self._settling] if self._settling else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._values.close()
        await self._redis.aclose()

    async def get_or_compute(
        self, tenant_id: UUID | str, key: str, ttl: int, decoder: "msgspec.msgpack.Decoder[T]", compute: Callable[[], Awaitable[T]]
    ) -> T:
        """The stored value, or that of one computation which all callers share who asked before it ended. Treat it as immutable.

        The computation is a task of its own: a caller that is cancelled leaves it to the others. If it fails, its first caller gets the error,
        and the others look again once, so that one more computation decides.
        """
        name = _name(tenant_id, key)
        begun_before_us = self._flights.get(name)
        may_look_again = True
        while True:
            raw = await self._ask(self._values.execute, "GET", name)
            if raw is not None:
                try:
                    return decoder.decode(raw)
                except msgspec.DecodeError:
                    # Stored by a release in which the function returned something else.
                    await self.delete(tenant_id, key)
            flight = self._flights.get(name)
            if flight is None:
                flight = asyncio.create_task(self._compute(_tenant(tenant_id), key, ttl, decoder, compute))
                self._flights[name] = flight
                flight.add_done_callback(lambda _: self._flights.pop(name))
                return await asyncio.shield(flight)
            if flight is begun_before_us:
                # An invalidation may have happened after it began and before we were called: its value is not for us.
                await asyncio.wait([flight])
                continue
            try:
                return await asyncio.shield(flight)
            except Exception:
                if not may_look_again:
                    raise
                may_look_again = False

    async def _compute(
        self, tenant: str, key: str, ttl: int, decoder: "msgspec.msgpack.Decoder[T]", compute: Callable[[], Awaitable[T]]
    ) -> T:
        token = secrets.token_hex(8)
        begun = await self._wait_for_turn(tenant, key, token)
        if isinstance(begun, bytes):
            try:
                return decoder.decode(begun)
            except msgspec.DecodeError:
                begun = None
        if begun is None:
            return await compute()
        to_store = b""
        try:
            value = await compute()
            raw = _encode(value)
            if _fits(tenant, key, raw):
                to_store = raw
        finally:
            await self._ask(self._finish, [], [tenant, key, token, begun, to_store, _milliseconds(ttl)])
        return value

    async def _wait_for_turn(self, tenant: str, key: str, token: str) -> bytes | str | None:
        """Bytes: the value, which another process computed meanwhile. Text: the generation to compute for. None: Redis is away.

        It looks again and again, and is not told by a message: that would need a second connection, and a look for the messages it missed.
        """
        patience_ends_at, pause_s = monotonic() + LOCK_S, 0.005
        while True:
            answer: Any = await self._ask(self._begin, [], [tenant, key, token])
            if answer is None or isinstance(answer, bytes):
                return answer
            generation, ours = answer
            if ours or monotonic() >= patience_ends_at:
                return generation.decode()
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.05)

    async def _forget(self, script: AsyncScript, tenant: str, key: str) -> int:
        count = await self._ask(script, [], [tenant, key])
        if count is None:
            # Debts have a bound; beyond it values live until they expire.
            if len(self._owed) < MAX_KEYS:
                self._owed.add(tenant)
            if self._settling is None or self._settling.done():
                self._settling = asyncio.create_task(self._settle())
        return count or 0

    async def _settle(self) -> None:
        """Flush the tenants whose invalidation could not be delivered, when Redis is back."""
        while self._owed:
            await asyncio.sleep(PAUSE_S)
            for tenant in tuple(self._owed):
                if await self._ask(self._invalidate, [], [tenant, "*"]) is None:
                    break
                self._owed.discard(tenant)

    async def _ask(self, command: Callable[..., Awaitable[Any]], *arguments: Any) -> Any | None:
        """The answer of Redis, or None if it gives none."""
        if self._away_until:
            now = monotonic()
            if now < self._away_until:
                return None
            self._away_until = now + PAUSE_S
        try:
            answer = await command(*arguments)
        except ResponseError as error:
            # It is there and refuses, full for instance: reading may still work.
            if monotonic() >= self._silent_until:
                log.warning("cache.refused", error=str(error))
                self._silent_until = monotonic() + 60
            return None
        except REDIS_ERRORS as error:
            if not self._away_until:
                log.warning("cache.away", error=str(error) or type(error).__name__)
            self._away_until = monotonic() + PAUSE_S
            return None
        if self._away_until:
            self._away_until = 0.0
            log.info("cache.back")
        return answer


_cache: RedisCache | None = None


def open_cache(settings: Settings) -> RedisCache:
    """The cache of this process, which `get_cache()` and `@cached` use until `close_cache()`.

    It has connections of its own, so that it may live in a Redis of its own, and a slow one there holds up nothing else.
    """
    global _cache
    if _cache is not None:
        raise RuntimeError("The cache is already open in this process.")
    _cache = RedisCache(settings.redis_url.reveal(), enabled=settings.cache_enabled)
    return _cache


def get_cache() -> RedisCache:
    if _cache is None:
        raise RuntimeError("The cache is not open in this process.")
    return _cache


async def close_cache() -> None:
    global _cache
    closing, _cache = _cache, None
    if closing is not None:
        await closing.aclose()


def cached(name: str, ttl: int = 300) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Keep what `async def f(tenant_id, …)` returns for `ttl` seconds, by tenant and arguments, in the process's cache.

    The key is `name` for a function of the tenant alone, else `name:` and a hash of the other arguments, which msgspec must be able to encode: so
    `invalidate_pattern(tenant_id, f"{name}*")` forgets all of them. A name belongs to one function. What is found is decoded to the annotated
    return type; `bytes` stay as they are. Treat a result as immutable: callers share it. Call the function outside of a transaction, since the
    computation may outlive its caller. Without an open cache, or with one that is not enabled, the function is simply called.
    """
    _check(f"{name}:{32 * '0'}")
    _milliseconds(ttl)

    def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        hints = get_type_hints(function, include_extras=True)
        if "return" not in hints:
            raise TypeError(f"{function.__qualname__} can't be cached: it must say what it returns.")
        arguments_of = _argument_reader(function)
        decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(hints["return"])

        @wraps(function)
        async def through_cache(*args: P.args, **kwargs: P.kwargs) -> T:
            cache = _cache
            if cache is None or not cache.enabled:
                return await function(*args, **kwargs)
            tenant_id, *others = arguments_of(args, kwargs)
            key = f"{name}:{blake2b(_encode(others), digest_size=16).hexdigest()}" if others else name
            return await cache.get_or_compute(tenant_id, key, ttl, decoder, lambda: function(*args, **kwargs))

        return through_cache

    return decorate


def _argument_reader(function: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], list[Any]]:
    """Gives all arguments of a call in one order, the defaults filled in. `Signature.bind` does the same and takes ten times as long."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    positional = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
    if not parameters or parameters[0].name != "tenant_id" or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise TypeError(f"{function.__qualname__} can't be cached: its arguments must be tenant_id and then others with names.")
    position = {p.name: place for place, p in enumerate(parameters)}
    defaults = [p.default for p in parameters]

    def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        values = [*args, *defaults[len(args) :]]
        try:
            for name, value in kwargs.items():
                values[position[name]] = value
            right = len(args) <= positional and inspect.Parameter.empty not in values
        except KeyError:
            right = False
        if not right:
            signature.bind(*args, **kwargs)  # says what is wrong
        return values

    return read


def _tenant(tenant_id: UUID | str) -> str:
    if isinstance(tenant_id, UUID):
        return str(tenant_id)
    return str(UUID(tenant_id))


def _check(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise ValueError("A cache key or pattern is 1 to 200 visible ASCII characters.")


def _name(tenant_id: UUID | str, key: str) -> str:
    _check(key)
    return f"tenant:{_tenant(tenant_id)}:{key}"


def _milliseconds(ttl: float) -> int:
    if not 0 < ttl <= 7 * 86_400:
        raise ValueError("A time to live is more than 0 seconds and at most 7 days.")
    return max(1, int(ttl * 1000))


def _fits(tenant: str, key: str, raw: bytes) -> bool:
    if len(raw) > MAX_VALUE_BYTES:
        log.warning("cache.value_too_large", tenant_id=tenant, key=key, bytes=len(raw))
        return False
    return True
