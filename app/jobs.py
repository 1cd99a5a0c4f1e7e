"""Jobs and their transport: a doorbell that tells the workers that there is work.

PostgreSQL holds the truth. A message that is lost loses time, until the sweep rings again; one that comes twice does no harm. That allows the smallest
broker there is, whose faults are all on the side of ringing too little or too often.
"""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, ClassVar, Final

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from taskiq import AsyncBroker, BrokerMessage, TaskiqResult
from taskiq.exceptions import SendTaskError
from taskiq.kicker import AsyncKicker
from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend

from app.observability import metrics
from app.redis import QUICK, REDIS_ERRORS, open_blocking_redis, open_redis

GROUP: Final = "workers"

MAX_WAITING: Final = 20_000
"""Messages in the stream, about 400 bytes each; beyond it the oldest go. The sweep rings for what they were about."""

READ_WAIT_S: Final = 2.0
"""How long one read waits inside Redis: a lost connection without a sign is noticed this long and two seconds later."""

LONGEST_PAUSE_S: Final = 3.0
"""Between two attempts to reach a Redis that is away."""

RESULT_S: Final = 3600
"""How long the outcome of a task can be asked for."""

log = structlog.get_logger(__name__)


class Job(msgspec.Struct, frozen=True):
    """A message for the task of the same `name`. The name never changes: messages of the last release are still on their way. Fields are ids, not data."""

    name: ClassVar[str]


class KeptResults(RedisAsyncResultBackend[Any]):
    """The outcomes of tasks that have one. A doorbell's is nothing, and there are many of them: only its failure is kept."""

    async def set_result(self, task_id: str, result: TaskiqResult[Any]) -> None:
        if result.is_err or result.return_value is not None:
            await super().set_result(task_id, result)


class DoorbellBroker(AsyncBroker):
    """A Taskiq broker over one Redis stream, at most once, JSON.

    A message is taken without acknowledgement and removed from the stream, so the length of the stream is the backlog. All workers read as one consumer
    of one group: they share the messages all the same, and no consumer of a dead worker is left behind. They read one message at a time, so none waits
    in a worker that is busy or stops.

    One stream is enough, also for work that differs in urgency: who is woken takes the most urgent work that PostgreSQL has, whichever message it was.
    """

    def __init__(self, stream: str = "jobs") -> None:
        super().__init__()
        self.stream = stream
        self._url: str | None = None
        self._writer: Redis | None = None

    def connect_to(self, url: str) -> None:
        """Say where Redis is, before `startup()`. Nothing is connected until it is used, so a Redis that is away stops no process from starting."""
        if self._writer is not None:
            raise RuntimeError("The broker is already connected.")
        self._url = url
        self._writer = open_redis(url)
        self.with_result_backend(
            KeptResults(
                url,
                serializer=JSONSerializer(),
                result_ex_time=RESULT_S,
                prefix_str=f"{self.stream}:result",
                max_connection_pool_size=50,
                **QUICK,
            )
        )

    async def startup(self) -> None:
        if self._writer is None:
            raise RuntimeError("The broker must know where Redis is: call connect_to() before startup().")
        await super().startup()

    async def shutdown(self) -> None:
        await super().shutdown()
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.aclose()

    async def kick(self, message: BrokerMessage) -> None:
        if self._writer is None:
            raise RuntimeError("The broker must know where Redis is: call connect_to() first.")
        await self._writer.xadd(self.stream, {"message": message.message}, maxlen=MAX_WAITING, approximate=True)

    async def listen(self) -> AsyncGenerator[bytes, None]:
        """Messages, as they come. Whatever happens to Redis, it goes on: it waits, makes the group again, and reads what has come since."""
        if self._url is None:
            raise RuntimeError("The broker must know where Redis is: call connect_to() before listen().")
        redis = open_blocking_redis(self._url, longest_wait_s=READ_WAIT_S)
        failures = 0
        try:
            while not _is_cancelled():
                try:
                    message = await self._take(redis)
                except REDIS_ERRORS as error:
                    failures += 1
                    pause_s = min(LONGEST_PAUSE_S, 0.1 * 2 ** min(failures, 10)) * random.uniform(0.5, 1)
                    log.warning("jobs.redis_away", error=str(error) or type(error).__name__, failures=failures, pause_s=round(pause_s, 2))
                    await asyncio.sleep(pause_s)
                    continue
                if failures:
                    log.info("jobs.redis_back", failures=failures)
                    failures = 0
                if message is not None:
                    yield message
        finally:
            await redis.aclose()

    async def _take(self, redis: Redis) -> bytes | None:
        """The next message, removed from the stream, or None if none came in time."""
        try:
            answer: Any = await redis.xreadgroup(GROUP, "worker", {self.stream: ">"}, count=1, block=int(READ_WAIT_S * 1000), noack=True)
        except ResponseError as error:
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            await self._make_group(redis)
            return None
        if not answer:
            return None
        [[_, [[message_id, fields]]]] = answer
        with suppress(*REDIS_ERRORS):
            # Whatever lies before a delivered message was delivered too: this also removes what a worker took that was killed before it got here.
            milliseconds, number = message_id.decode().split("-")
            await redis.xtrim(self.stream, minid=f"{milliseconds}-{int(number) + 1}", approximate=False)
        return fields.get(b"message")

    async def _make_group(self, redis: Redis) -> None:
        """At the beginning of the stream, so that what was sent before there was a group is heard."""
        try:
            await redis.xgroup_create(self.stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise


def _is_cancelled() -> bool:
    """The receiver stops us by a cancellation, and `asyncio.wait_for` below redis-py may swallow one until Python 3.12 (python/cpython#86296)."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


broker = DoorbellBroker()
"""The one of this process. `connect_to(url)` first, then `startup()`, which in a process that only sends does no more than prepare it."""


async def enqueue(job: Job) -> bool:
    """Ring for a job. False: Redis is away, and the work waits for the sweep."""
    try:
        await AsyncKicker[Any, Any](job.name, broker, {}).kiq(**msgspec.to_builtins(job))
    except SendTaskError as error:
        if not isinstance(error.__cause__, REDIS_ERRORS):
            raise
        metrics.doorbells.labels(job.name, "failed").inc()
        log.warning("jobs.not_enqueued", job=job.name, error=str(error.__cause__) or type(error.__cause__).__name__)
        return False
    metrics.doorbells.labels(job.name, "sent").inc()
    return True
