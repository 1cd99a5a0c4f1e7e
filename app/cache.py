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
from redis.exceptions import ResponseError

from app.redis import REDIS_ERRORS, open_redis

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

log = structlog.get_logger(__name__)

_STORE = f"""
local function store(value_key, keys, prefix, key, value, ttl)
  redis.call('SET', value_key, value, 'PX', ttl)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZADD', keys, now + ttl, key)
  redis.call('ZREMRANGEBYSCORE', keys, '-inf', now)
  local excess = redis.call('ZCARD', keys) - {MAX_KEYS}
  if excess > 0 then
    local oldest = redis.call('ZPOPMIN', keys, excess)
    for i = 1, #oldest, 2 do redis.call('UNLINK', prefix .. oldest[i]) end
  end
  if redis.call('PTTL', keys) < tonumber(ttl) then redis.call('PEXPIRE', keys, ttl) end
end
"""

# KEYS: value, keys. ARGV: prefix, key, value, ttl in ms.
_SET = f"{_STORE} store(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4]) return 1"

# KEYS: value, generation, lock. ARGV: token. Answers the value, or the generation and whether the caller is the one to compute.
_BEGIN = f"""
local value = redis.call('GET', KEYS[1])
if value then return value end
local generation = redis.call('GET', KEYS[2]) or ARGV[1]
redis.call('SET', KEYS[2], generation, 'EX', {GENERATION_S})
local holder = redis.call('GET', KEYS[3])
if holder and string.sub(holder, 1, #generation) == generation then return {{generation, 0}} end
redis.call('SET', KEYS[3], generation .. ARGV[1], 'PX', {int(LOCK_S * 1000)})
return {{generation, 1}}
"""

# KEYS: value, keys, generation, lock. ARGV: generation, token, prefix, key, value or nothing, ttl in ms.
_FINISH = f"""{_STORE}
if redis.call('GET', KEYS[4]) == ARGV[1] .. ARGV[2] then redis.call('DEL', KEYS[4]) end
if ARGV[5] == '' or redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
store(KEYS[1], KEYS[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6])
return 1
"""

# KEYS: value, keys, generation. ARGV: key.
_DELETE = """
redis.call('DEL', KEYS[3])
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('UNLINK', KEYS[1])
"""

# KEYS: keys, generation. ARGV: prefix, pattern. The pattern meets the keys without their prefix, so it can't speak of any other tenant's.
_INVALIDATE = """
redis.call('DEL', KEYS[2])
local matching, cursor = {}, '0'
repeat
  local page = redis.call('ZSCAN', KEYS[1], cursor, 'MATCH', ARGV[2], 'COUNT', 1000)
  cursor = page[1]
  for i = 1, #page[2], 2 do matching[#matching + 1] = page[2][i] end
until cursor == '0'
local count = 0
for _, key in ipairs(matching) do
  count = count + redis.call('UNLINK', ARGV[1] .. key)
  redis.call('ZREM', KEYS[1], key)
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
        name = _value_name(_tenant(tenant_id), _checked(key))
        raw = await self._ask(self._redis.get, name) if self.enabled else None
        return None if raw is None else _decoded(_plain, raw)

    async def set(self, tenant_id: UUID | str, key: str, value: Any, ttl: int | None = None) -> bool:
        """Store anything that msgspec can encode, for `ttl` seconds (else the default). False: it was not stored.

        A value that was read before an invalidation and is set after it, is stale: `@cached` guards against that, this can't.
        """
        tenant, raw, ttl_ms = _tenant(tenant_id), _encode(value), _milliseconds(self.default_ttl if ttl is None else ttl)
        name = _value_name(tenant, _checked(key))
        if not self.enabled or not _fits(name, raw):
            return False
        return bool(await self._ask(self._set, [name, _keys_name(tenant)], [_prefix(tenant), key, raw, ttl_ms]))

    async def delete(self, tenant_id: UUID | str, key: str) -> bool:
        """Forget one key. True: it was there."""
        tenant = _tenant(tenant_id)
        name = _value_name(tenant, _checked(key))
        deleted = await self._ask(self._delete, [name, _keys_name(tenant), _generation_name(tenant)], [key])
        if deleted is None:
            self._owe(tenant)
        return bool(deleted)

    async def exists(self, tenant_id: UUID | str, key: str) -> bool:
        name = _value_name(_tenant(tenant_id), _checked(key))
        return self.enabled and bool(await self._ask(self._redis.exists, name))

    async def invalidate_pattern(self, tenant_id: UUID | str, pattern: str) -> int:
        """Forget the tenant's keys that match, and whatever is being computed for the tenant just now. How many there were.

        The pattern is Redis's glob, `products:*` say, over the keys as the caller names them.
        """
        tenant = _tenant(tenant_id)
        count = await self._ask(self._invalidate, [_keys_name(tenant), _generation_name(tenant)], [_prefix(tenant), _checked(pattern)])
        if count is None:
            self._owe(tenant)
            return 0
        return int(count)

    async def flush_tenant(self, tenant_id: UUID | str) -> int:
        """Forget all keys of the tenant. How many there were."""
        return await self.invalidate_pattern(tenant_id, "*")

    async def ping(self) -> bool:
        """Whether Redis answers, asked anew."""
        try:
            return bool(await self._redis.execute_command("PING"))
        except REDIS_ERRORS:
            return False

    async def aclose(self) -> None:
        """Cancel what is being computed, and close the connections."""
        running = [*self._flights.values(), *([self._settling] if self._settling else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._redis.aclose()

    async def get_or_compute(
        self, tenant_id: UUID | str, key: str, ttl: int, decoder: "msgspec.msgpack.Decoder[T]", compute: Callable[[], Awaitable[T]]
    ) -> T:
        """The stored value, or that of one computation which all callers share who asked before it ended. Treat it as immutable.

        The computation is a task of its own: a caller that is cancelled leaves it to the others. If it fails, its first caller gets the error,
        and the others look again once, so that one more computation decides.
        """
        tenant = _tenant(tenant_id)
        name = _value_name(tenant, _checked(key))
        begun_before_us = self._flights.get(name)
        may_look_again = True
        while True:
            raw = await self._ask(self._redis.get, name)
            if raw is not None:
                try:
                    return decoder.decode(raw)
                except msgspec.DecodeError:
                    # Stored by a release in which the function returned something else.
                    await self.delete(tenant, key)
            flight = self._flights.get(name)
            if flight is None:
                flight = asyncio.create_task(self._compute(tenant, key, ttl, decoder, compute))
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
        name, raw = _value_name(tenant, key), b""
        try:
            value = await compute()
            raw = _encode(value)
            if not _fits(name, raw):
                raw = b""
        finally:
            keys = [name, _keys_name(tenant), _generation_name(tenant), _lock_name(tenant, key)]
            await self._ask(self._finish, keys, [begun, token, _prefix(tenant), key, raw, _milliseconds(ttl)])
        return value

    async def _wait_for_turn(self, tenant: str, key: str, token: str) -> bytes | str | None:
        """Bytes: the value, which another process computed meanwhile. Text: the generation to compute for. None: Redis is away.

        It looks again and again, and is not told by a message: that would need a second connection, and a look for the messages it missed.
        """
        keys = [_value_name(tenant, key), _generation_name(tenant), _lock_name(tenant, key)]
        patience_ends_at, pause_s = monotonic() + LOCK_S, 0.005
        while True:
            answer = await self._ask(self._begin, keys, [token])
            if not isinstance(answer, list):
                return answer
            generation, ours = answer
            if ours or monotonic() >= patience_ends_at:
                return generation.decode()
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.05)

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

    def _owe(self, tenant: str) -> None:
        # Without an end the debts of a long outage would be. Beyond it values live until they expire.
        if len(self._owed) < MAX_KEYS:
            self._owed.add(tenant)
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle())

    async def _settle(self) -> None:
        while self._owed:
            await asyncio.sleep(PAUSE_S)
            for tenant in tuple(self._owed):
                self._owed.discard(tenant)
                if await self._ask(self._invalidate, [_keys_name(tenant), _generation_name(tenant)], [_prefix(tenant), "*"]) is None:
                    self._owed.add(tenant)
                    break


_cache: RedisCache | None = None


def start_cache(redis_url: str, *, enabled: bool = True, max_connections: int = 50) -> RedisCache:
    """Open the cache of this process; `get_cache()` and `@cached` use it until `stop_cache()`.

    It has connections of its own, so that it may live in a Redis of its own, and a slow one there holds up nothing else.
    """
    global _cache
    if _cache is not None:
        raise RuntimeError("The cache is already open in this process.")
    _cache = RedisCache(redis_url, max_connections=max_connections, enabled=enabled)
    return _cache


def get_cache() -> RedisCache:
    if _cache is None:
        raise RuntimeError("The cache is not open in this process.")
    return _cache


async def stop_cache() -> None:
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
    _checked(name + ":" + "0" * 32)
    _milliseconds(ttl)

    def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        arguments_of = _argument_reader(function)
        decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(get_type_hints(function, include_extras=True)["return"])

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
    by_position = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if not parameters or parameters[0].name != "tenant_id" or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise TypeError(f"{function.__qualname__} can't be cached: its arguments must be tenant_id and then others with names.")
    position = {p.name: place for place, p in enumerate(parameters)}
    defaults = [p.default for p in parameters]

    def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        values = [*args, *defaults[len(args) :]]
        for name, value in kwargs.items():
            values[position.get(name, 0)] = value
        if len(args) > len(by_position) or inspect.Parameter.empty in values or not position.keys() >= kwargs.keys():
            signature.bind(*args, **kwargs)  # says what is wrong
        return values

    return read


def _tenant(tenant_id: UUID | str) -> str:
    if isinstance(tenant_id, UUID):
        return str(tenant_id)
    return str(UUID(tenant_id))


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError("A cache key or pattern is 1 to 200 visible ASCII characters.")
    return key


def _milliseconds(ttl: float) -> int:
    if not 0 < ttl <= 7 * 86_400:
        raise ValueError("A time to live is more than 0 seconds and at most 7 days.")
    return max(1, int(ttl * 1000))


def _fits(name: str, raw: bytes) -> bool:
    if len(raw) > MAX_VALUE_BYTES:
        log.warning("cache.value_too_large", key=name, bytes=len(raw))
        return False
    return True


def _prefix(tenant: str) -> str:
    return f"tenant:{tenant}:"


def _value_name(tenant: str, key: str) -> str:
    return f"tenant:{tenant}:{key}"


def _keys_name(tenant: str) -> str:
    return f"cache:{tenant}:keys"


def _generation_name(tenant: str) -> str:
    return f"cache:{tenant}:generation"


def _lock_name(tenant: str, key: str) -> str:
    return f"cache:{tenant}:lock:{key}"
