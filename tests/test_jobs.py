import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
import redis
from structlog.testing import capture_logs
from taskiq.exceptions import SendTaskError
from taskiq.receiver import Receiver

from app import jobs
from app.jobs import GROUP, RESULT_S, DoorbellBroker, Job, broker, enqueue
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio


class CountShelf(Job, frozen=True):
    name: ClassVar[str] = "test.count_shelf"
    shelf_id: UUID
    rows: int


@pytest.fixture
def stream() -> str:
    return f"test-jobs-{uuid4().hex}"


@pytest.fixture
def server(redis_url: str) -> "redis.Redis":
    return redis.Redis.from_url(redis_url)


@asynccontextmanager
async def _connected(url: str, stream: str = "jobs") -> AsyncIterator[DoorbellBroker]:
    each = DoorbellBroker(stream)
    each.connect_to(url)
    await each.startup()
    try:
        yield each
    finally:
        await each.shutdown()


@asynccontextmanager
async def _listening(each: DoorbellBroker, *, at_once: int = 10) -> AsyncIterator[None]:
    """A worker: as workers.main runs it, in this process."""
    stop = asyncio.Event()
    listening = asyncio.create_task(Receiver(each, max_async_tasks=at_once, run_startup=False).listen(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(5):
            await listening


async def _until(condition: Callable[[], Any], patience_s: float = 10) -> None:
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.01)


def _heard_by(each: DoorbellBroker) -> list[int]:
    """What the task `test.hear` of this broker was called with."""
    heard: list[int] = []

    @each.task("test.hear")
    async def hear(number: int) -> int:
        heard.append(number)
        return number

    return heard


async def _send(each: DoorbellBroker, *numbers: int) -> None:
    task = each.find_task("test.hear")
    assert task is not None
    for number in numbers:
        await task.kiq(number)


async def test_a_task_is_carried_out_and_its_outcome_can_be_awaited(redis_url: str, stream: str) -> None:
    async with _connected(redis_url, stream) as each:

        @each.task("test.see_tenant")
        async def see_tenant(tenant_id: UUID) -> dict[str, Any]:
            return {"tenant_id": str(tenant_id), "was": type(tenant_id).__name__}

        tenant = uuid4()
        async with _listening(each):
            task = await see_tenant.kiq(tenant)
            result = await task.wait_result(check_interval=0.01, timeout=5)

    assert result.return_value == {"tenant_id": str(tenant), "was": "UUID"}


async def test_a_task_that_fails_says_so_and_the_next_one_is_carried_out(redis_url: str, stream: str) -> None:
    async with _connected(redis_url, stream) as each:

        @each.task("test.divide")
        async def divide(by: int) -> float:
            return 1 / by

        async with _listening(each):
            wrong = await (await divide.kiq(0)).wait_result(check_interval=0.01, timeout=5)
            right = await (await divide.kiq(2)).wait_result(check_interval=0.01, timeout=5)

    assert isinstance(wrong.error, ZeroDivisionError)
    assert right.return_value == 0.5


async def test_messages_and_results_are_json_and_results_expire(redis_url: str, stream: str, server: "redis.Redis") -> None:
    async with _connected(redis_url, stream) as each:
        heard = _heard_by(each)
        await _send(each, 7)
        [(_, entry)] = server.xrange(stream)
        async with _listening(each):
            await _until(lambda: heard and server.keys(f"{stream}:result:*"))

    assert json.loads(entry[b"message"])["args"] == [7]
    [result] = server.keys(f"{stream}:result:*")
    assert json.loads(server.get(result))["is_err"] is False
    assert RESULT_S - 5 < server.ttl(result) <= RESULT_S


async def test_a_doorbell_leaves_no_result_behind(redis_url: str, stream: str, server: "redis.Redis") -> None:
    rung = 0
    async with _connected(redis_url, stream) as each:

        @each.task("test.ring")
        async def ring() -> None:
            nonlocal rung
            rung += 1

        async with _listening(each):
            for _ in range(20):
                await ring.kiq()
            await _until(lambda: rung == 20)

    assert server.keys(f"{stream}:result:*") == []


async def test_what_was_sent_before_there_was_a_worker_is_heard_in_order(redis_url: str, stream: str, server: "redis.Redis") -> None:
    async with _connected(redis_url, stream) as each:
        heard = _heard_by(each)
        await _send(each, 1, 2, 3)
        assert server.xinfo_groups(stream) == []

        async with _listening(each, at_once=1):
            await _until(lambda: len(heard) == 3)

    assert heard == [1, 2, 3]


async def test_the_length_of_the_stream_is_the_backlog(redis_url: str, stream: str, server: "redis.Redis") -> None:
    async with _connected(redis_url, stream) as each:
        gate, begun = asyncio.Event(), asyncio.Event()

        @each.task("test.wait")
        async def wait() -> None:
            begun.set()
            await gate.wait()

        for _ in range(4):
            await wait.kiq()
        waiting_before = server.xlen(stream)
        async with _listening(each, at_once=1):
            await begun.wait()
            waiting_meanwhile = server.xlen(stream)
            gate.set()
            await _until(lambda: server.xlen(stream) == 0)

    assert waiting_before == 4
    assert waiting_meanwhile == 3


async def test_several_workers_share_the_stream_and_leave_one_consumer(redis_url: str, stream: str, server: "redis.Redis") -> None:
    async with _connected(redis_url, stream) as one, _connected(redis_url, stream) as other:
        heard_by_one, heard_by_other = _heard_by(one), _heard_by(other)
        async with _listening(one), _listening(other):
            await _send(one, *range(100))
            await _until(lambda: len(heard_by_one) + len(heard_by_other) >= 100)
        # A third worker, later.
        async with _listening(one):
            await _send(other, 100)
            await _until(lambda: 100 in heard_by_one)

    assert sorted(heard_by_one + heard_by_other) == list(range(101))
    assert heard_by_one
    assert heard_by_other
    assert len(server.xinfo_consumers(stream, GROUP)) == 1
    assert server.xpending(stream, GROUP)["pending"] == 0


async def test_the_stream_is_bounded(redis_url: str, stream: str, server: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MAX_WAITING", 100)
    async with _connected(redis_url, stream) as each:
        _heard_by(each)

        await _send(each, *range(450))

    # Redis trims whole nodes of 100 entries.
    assert 100 <= server.xlen(stream) <= 200


async def test_what_a_killed_worker_took_and_did_not_remove_goes_with_the_next_message(
    redis_url: str, stream: str, server: "redis.Redis"
) -> None:
    async with _connected(redis_url, stream) as each:
        heard = _heard_by(each)
        await _send(each, 1, 2)
        server.xgroup_create(stream, GROUP, id="0")
        server.xreadgroup(GROUP, "killed", {stream: ">"}, count=1, noack=True)
        assert server.xlen(stream) == 2

        async with _listening(each):
            await _until(lambda: heard)
            await _until(lambda: server.xlen(stream) == 0)

    assert heard == [2]


@pytest.mark.parametrize(
    "entry", [{"other": "field"}, {"message": "no json"}, {"message": '{"task_name":1}'}], ids=["field", "text", "form"]
)
async def test_a_message_that_is_none_of_ours_is_passed_over(
    redis_url: str, stream: str, server: "redis.Redis", entry: dict[str, str]
) -> None:
    async with _connected(redis_url, stream) as each:
        heard = _heard_by(each)
        server.xadd(stream, entry)
        await _send(each, 1)

        async with _listening(each):
            await _until(lambda: heard)

    assert heard == [1]


# --- stopping


async def test_a_worker_that_waits_stops_at_once(redis_url: str, stream: str) -> None:
    async with _connected(redis_url, stream) as each:
        heard = _heard_by(each)
        async with _listening(each):
            await _send(each, 1)
            await _until(lambda: heard)
            await asyncio.sleep(0.1)
            began_at = time.monotonic()
        took_s = time.monotonic() - began_at

    assert took_s < jobs.READ_WAIT_S / 2


async def test_a_worker_stops_wherever_in_its_reading_the_stop_finds_it(
    redis_url: str, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "READ_WAIT_S", 0.001)
    async with _connected(redis_url, stream) as each:
        for turn in range(40):
            stop = asyncio.Event()
            listening = asyncio.create_task(Receiver(each, max_async_tasks=1, run_startup=False).listen(stop))
            await asyncio.sleep(0.01 + turn / 10_000)

            stop.set()
            done, _ = await asyncio.wait([listening], timeout=5)

            assert done


async def test_a_running_task_may_finish_and_what_was_not_begun_stays_for_others(
    redis_url: str, stream: str, server: "redis.Redis"
) -> None:
    async with _connected(redis_url, stream) as each:
        gate, begun, finished = asyncio.Event(), asyncio.Event(), list[int]()

        @each.task("test.finish")
        async def finish(number: int) -> None:
            begun.set()
            await gate.wait()
            finished.append(number)

        for number in range(5):
            await finish.kiq(number)
        stop = asyncio.Event()
        listening = asyncio.create_task(Receiver(each, max_async_tasks=1, run_startup=False).listen(stop))
        await begun.wait()

        stop.set()
        await asyncio.sleep(0.05)
        assert not listening.done()
        gate.set()
        await listening

    assert finished == [0]
    assert server.xlen(stream) == 4


async def test_a_worker_stops_while_redis_is_away() -> None:
    with RedisServer() as own:
        async with _connected(own.url) as each:
            _heard_by(each)
            async with _listening(each):
                own.kill()
                await asyncio.sleep(0.3)
                began_at = time.monotonic()
            took_s = time.monotonic() - began_at

    assert took_s < 1


# --- faults of the server


async def test_a_worker_outlives_a_restart_that_lost_everything_and_hears_what_comes_then() -> None:
    with RedisServer() as own:
        async with _connected(own.url) as each:
            heard = _heard_by(each)
            async with _listening(each):
                await _send(each, 1)
                await _until(lambda: heard == [1])
                own.kill()
                own.start()
                await _send(each, 2)
                await _until(lambda: heard == [1, 2])


async def test_a_worker_outlives_an_outage_quietly_and_hears_what_comes_after_it() -> None:
    with RedisServer(durable=True) as own:
        async with _connected(own.url) as each:
            heard = _heard_by(each)
            with capture_logs() as logs:
                async with _listening(each):
                    await _send(each, 1)
                    await _until(lambda: heard == [1])
                    own.kill()
                    await asyncio.sleep(1.5)
                    own.start()
                    await _send(each, 2)
                    await _until(lambda: heard == [1, 2])

    assert 2 <= [entry["event"] for entry in logs].count("jobs.redis_away") <= 8
    assert [entry["event"] for entry in logs].count("jobs.redis_back") == 1


async def test_a_worker_started_while_redis_is_away_hears_what_comes_when_it_is_back() -> None:
    with RedisServer() as own:
        own.kill()
        async with _connected(own.url) as each:
            heard = _heard_by(each)
            async with _listening(each):
                await asyncio.sleep(0.2)
                own.start()
                await _send(each, 1)
                await _until(lambda: heard == [1])


async def test_a_worker_outlives_a_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "READ_WAIT_S", 0.1)
    with RedisServer() as own:
        async with _connected(own.url) as each:
            heard = _heard_by(each)
            with capture_logs() as logs:
                async with _listening(each):
                    await _send(each, 1)
                    await _until(lambda: heard == [1])
                    own.freeze()
                    await _until(lambda: any(entry["event"] == "jobs.redis_away" for entry in logs))
                    own.thaw()
                    # A read that the server had accepted before may still take a message with it: at most once is the promise.
                    async with asyncio.timeout(20):
                        while 2 not in heard:
                            await _send(each, 2)
                            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "lose",
    [lambda server: server.flushall(), lambda server: server.delete("jobs"), lambda server: server.xgroup_destroy("jobs", GROUP)],
    ids=["everything", "the stream", "the group"],
)
async def test_a_worker_makes_anew_what_someone_deleted(lose: Callable[["redis.Redis"], Any]) -> None:
    with RedisServer() as own:
        async with _connected(own.url) as each:
            heard = _heard_by(each)
            async with _listening(each):
                await _send(each, 1)
                await _until(lambda: heard == [1])
                lose(own.client())
                await _send(each, 2)
                await _until(lambda: heard == [1, 2])


# --- the broker of the process, and enqueue()


@pytest.fixture
async def process_broker(redis_url: str, server: "redis.Redis") -> AsyncIterator[DoorbellBroker]:
    server.delete(broker.stream)
    broker.connect_to(redis_url)
    await broker.startup()
    yield broker
    await broker.shutdown()
    broker.local_task_registry.pop(CountShelf.name, None)
    server.delete(broker.stream)


async def test_a_job_finds_the_task_of_its_name_and_brings_its_fields(process_broker: DoorbellBroker) -> None:
    counted: list[tuple[UUID, int]] = []

    @process_broker.task(CountShelf.name)
    async def count_shelf(shelf_id: UUID, rows: int) -> None:
        counted.append((shelf_id, rows))

    job = CountShelf(shelf_id=uuid4(), rows=3)
    async with _listening(process_broker):
        assert await enqueue(job) is True
        await _until(lambda: counted)

    assert counted == [(job.shelf_id, 3)]


async def test_a_process_that_only_sends_reads_nothing(process_broker: DoorbellBroker, server: "redis.Redis") -> None:
    await enqueue(CountShelf(shelf_id=uuid4(), rows=3))

    assert server.xlen(process_broker.stream) == 1
    assert server.xinfo_groups(process_broker.stream) == []


async def test_enqueue_says_false_when_redis_is_away_and_true_when_it_is_back() -> None:
    with RedisServer() as own:
        broker.connect_to(own.url)
        own.kill()
        with capture_logs() as logs:
            away = await enqueue(CountShelf(shelf_id=uuid4(), rows=3))
        own.start()
        back = await enqueue(CountShelf(shelf_id=uuid4(), rows=3))
        await broker.shutdown()

    assert away is False
    assert [(entry["event"], entry["job"]) for entry in logs] == [("jobs.not_enqueued", CountShelf.name)]
    assert back is True


async def test_enqueue_does_not_wait_long_for_a_redis_that_hangs() -> None:
    with RedisServer() as own:
        broker.connect_to(own.url)
        await enqueue(CountShelf(shelf_id=uuid4(), rows=3))
        own.freeze()
        began_at = time.monotonic()

        heard = await enqueue(CountShelf(shelf_id=uuid4(), rows=3))

        took_s = time.monotonic() - began_at
        await broker.shutdown()

    assert heard is False
    assert took_s < 2


async def test_a_broker_must_be_told_where_redis_is() -> None:
    unconnected = DoorbellBroker()

    with pytest.raises(RuntimeError, match="connect_to"):
        await unconnected.startup()
    with pytest.raises(RuntimeError, match="connect_to"):
        await anext(unconnected.listen())
    with pytest.raises(SendTaskError):
        await enqueue(CountShelf(shelf_id=uuid4(), rows=3))


async def test_a_broker_is_connected_once_until_it_is_shut_down(redis_url: str) -> None:
    async with _connected(redis_url) as each:
        with pytest.raises(RuntimeError, match="already connected"):
            each.connect_to(redis_url)

    each.connect_to(redis_url)
    await each.shutdown()
