"""The one pool of connections to Redis that a process has, and the one connection for what each request asks.

Redis is never the truth here: whoever asks it must be able to go on without an answer. So a request waits half a second for one, where redis-py would
wait 5 s up to eleven times.
"""

from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError

from app.redis_multiplexer import Multiplexer

REDIS_ERRORS: Final = (RedisError, OSError, TimeoutError)
"""What a client raises when Redis is away, slow, starting or in trouble."""

QUICK: Final[Mapping[str, Any]] = {
    # Not shorter: a pause of our own event loop, for a garbage collection say, would look like a server that hangs.
    "socket_timeout": 0.5,
    "socket_connect_timeout": 0.5,
    # For a connection that a restarted server had closed. A time-out isn't tried again: the command may have been carried out.
    "retry": Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
    # For a connection when all are in use.
    "timeout": 1.0,
}
"""Options of a connection pool for commands that are answered at once; times in seconds."""

_redis: Redis | None = None
_multiplexer: Multiplexer | None = None


def open_redis(url: str, *, max_connections: int = 50) -> Redis:
    """A client for commands that are answered at once. It connects when first used; whoever opens it awaits its `aclose()`.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
    """
    return Redis.from_pool(BlockingConnectionPool.from_url(url, max_connections=max_connections, **QUICK))


def open_blocking_redis(url: str, *, longest_wait_s: float) -> Redis:
    """A client for one reader whose commands wait inside Redis, such as `XREADGROUP … BLOCK`, for up to `longest_wait_s`.

    The reader repeats what failed itself, so nothing is retried below it.
    """
    return Redis.from_pool(
        BlockingConnectionPool.from_url(
            url, max_connections=1, socket_timeout=longest_wait_s + 2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )
    )


def start_redis(url: str) -> Redis:
    """Open Redis for this process; `get_redis()` and `get_multiplexer()` give it until `stop_redis()`."""
    global _redis, _multiplexer
    if _redis is not None:
        raise RuntimeError("Redis is already open in this process.")
    _redis = open_redis(url)
    _multiplexer = Multiplexer(url)
    return _redis


def get_redis() -> Redis:
    if _redis is None:
        raise RuntimeError("Redis is not open in this process.")
    return _redis


def get_multiplexer() -> Multiplexer:
    if _multiplexer is None:
        raise RuntimeError("Redis is not open in this process.")
    return _multiplexer


async def stop_redis() -> None:
    global _redis, _multiplexer
    (closing, _redis), (ending, _multiplexer) = (_redis, None), (_multiplexer, None)
    if ending is not None:
        await ending.close()
    if closing is not None:
        await closing.aclose()
