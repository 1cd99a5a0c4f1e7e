"""A stream tells of a run what its row says, to whom it belongs, from where the reader left off; and there are only so many."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import httpx
import jwt
import msgspec
import pytest
import uvicorn

from app.api import streams
from app.auth.tokens import LEEWAY
from app.cli.serve import listen
from app.credentials.factory import close_marketplace_connections
from app.database import system_scope, tenant_scope
from app.main import create_app
from app.runs import progress
from app.runs.lease import Lease, claim
from app.runs.progress import CHANGED, watcher
from app.runs.tables import RunStatus
from app.settings import Settings, get_settings
from tests.application import Shop
from tests.auth.application import PASSWORD
from tests.factories import create_run, create_tenant

pytestmark = pytest.mark.anyio


class Event(msgspec.Struct, frozen=True):
    name: str
    id: int
    data: dict[str, Any]


class Stream:
    """What a reader gets."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()
        self.comments = 0

    async def next(self) -> Event | None:
        """The next event, or None at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            async for line in self._lines:
                if line:
                    name, _, value = line.partition(": ")
                    self.comments += name == ""
                    fields[name] = value
                elif "data" in fields:
                    return Event(fields["event"], int(fields["id"]), json.loads(fields["data"]))
                else:
                    fields = {}
        return None

    async def rest(self) -> list[Event]:
        events: list[Event] = []
        while (event := await self.next()) is not None:
            events.append(event)
        return events


@pytest.fixture
async def client(settings: Settings, redis: None, sandbox: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """The application behind a real server, in this loop: httpx's own transport for applications collects an answer before it gives it."""
    watcher.open()
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(create_app(settings), lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server._serve([listener]))
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=20, limits=limits) as client:
        yield client
    await watcher.close()
    server.should_exit = True
    await serving
    await close_marketplace_connections()


@asynccontextmanager
async def stream(shop: Shop, run_id: UUID, last_event_id: object = None, token: str | None = None) -> AsyncGenerator[Stream]:
    headers: dict[str, str | bytes] = {"Authorization": f"Bearer {token or shop.access_token}"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = str(last_event_id).encode("latin-1")
    async with shop.client.stream("GET", f"/sync/{run_id}/events", headers=headers) as answer:
        yield Stream(answer)


async def started(shop: Shop) -> Lease:
    lease = await claim("test", await create_run(shop.tenant_id))
    assert lease is not None
    return lease


async def store_page(lease: Lease, items: int, total: int | None = None) -> None:
    """As a worker does with each page of its first stage."""
    async with lease.writing(lease.stages[0], total=total):
        lease.stages[0].fetched += items


async def finish(lease: Lease, status: RunStatus = RunStatus.SUCCEEDED) -> None:
    async with tenant_scope(lease.tenant_id) as connection:
        await lease.finish(connection, status)


async def revision(run_id: UUID) -> int:
    async with system_scope() as connection:
        return await connection.fetchval("SELECT revision FROM sync_runs WHERE id = $1", run_id)


async def test_a_run_is_followed_from_the_queue_to_its_end(shop: Shop):
    run_id = await create_run(shop.tenant_id)
    async with stream(shop, run_id) as following:
        queued = await following.next()
        lease = await claim("test", run_id)
        assert lease is not None
        claimed = await following.next()
        await store_page(lease, 100, total=250)
        page = await following.next()
        await finish(lease)
        [finished] = await following.rest()

    assert queued
    assert claimed
    assert page
    assert [(event.name, event.data["status"]) for event in (queued, claimed, page, finished)] == [
        ("progress", "queued"), ("progress", "running"), ("progress", "running"), ("finished", "succeeded"),
    ]  # fmt: skip
    assert page.data["progress"] == {"stage": "products", "done": 100, "total": 250}
    assert finished.data == await shop.expect(200, "GET", f"/sync/{run_id}")
    assert finished.id == await revision(run_id)


async def test_the_answer_is_an_event_stream_that_nobody_holds_back(shop: Shop):
    lease = await started(shop)
    await finish(lease)

    async with stream(shop, lease.run_id) as following:
        body = await following.answer.aread()

    headers = following.answer.headers
    assert (headers["content-type"], headers["cache-control"], headers["x-accel-buffering"]) == ("text/event-stream", "no-store", "no")
    assert "x-request-id" in headers
    retry, event, rest = body.decode().split("\n\n")
    assert 1000 <= int(retry.removeprefix("retry: ")) <= 3000
    assert [line.partition(":")[0] for line in event.split("\n")] == ["id", "event", "data"]
    assert rest == ""


async def test_a_reader_goes_on_behind_whatever_it_saw_last(shop: Shop):
    lease = await started(shop)
    for _ in range(3):
        await store_page(lease, 10)
    present = await revision(lease.run_id)
    for seen in range(present):
        async with stream(shop, lease.run_id, seen) as following:
            event = await following.next()
            assert event
            assert (event.id, event.data["progress"]["done"]) == (present, 30)

    async with stream(shop, lease.run_id, present) as following:
        await store_page(lease, 10)
        event = await following.next()

    assert event
    assert (event.id, event.data["progress"]["done"]) == (present + 1, 40)


async def test_who_saw_the_end_is_told_not_to_come_again_and_nobody_else_is(shop: Shop):
    lease = await started(shop)
    await finish(lease)
    last = await revision(lease.run_id)
    for seen in (None, *range(last)):
        async with stream(shop, lease.run_id, seen) as following:
            assert [event.name for event in await following.rest()] == ["finished"]

    async with stream(shop, lease.run_id, last) as following:
        body = await following.answer.aread()

    assert (following.answer.status_code, body) == (204, b"")


@pytest.mark.parametrize("given", ["", "x", "-1", "1.5", "²", "9" * 20, "2147483647", "1e1"])
async def test_an_id_that_is_none_of_ours_counts_as_none(shop: Shop, given: str):
    lease = await started(shop)
    await finish(lease)

    async with stream(shop, lease.run_id, given) as following:
        events = await following.rest()

    assert [event.name for event in events] == ["finished"]


async def test_anothers_run_is_as_absent_as_a_missing_one(shop: Shop, other_shop: Shop):
    theirs = await create_run(other_shop.tenant_id)

    for run_id in (theirs, uuid4()):
        async with stream(shop, run_id) as following:
            await following.answer.aread()
            assert (following.answer.status_code, following.answer.json()["code"]) == (404, "not_found")


async def test_each_stream_tells_of_its_own_run_alone(shop: Shop, other_shop: Shop):
    ours, theirs = await started(shop), await started(other_shop)
    async with (
        stream(shop, ours.run_id) as of_ours,
        stream(shop, ours.run_id) as of_ours_too,
        stream(other_shop, theirs.run_id) as of_theirs,
    ):
        for following in (of_ours, of_ours_too, of_theirs):
            await following.next()
        await store_page(ours, 7)
        await store_page(theirs, 9)
        events = [await following.next() for following in (of_ours, of_ours_too, of_theirs)]

    assert [(event.data["id"], event.data["progress"]["done"]) for event in events if event] == [
        (str(ours.run_id), 7), (str(ours.run_id), 7), (str(theirs.run_id), 9),
    ]  # fmt: skip


async def test_a_tenant_has_only_so_many_streams_and_gets_a_place_back_with_each_that_ends(shop: Shop, other_shop: Shop, monkeypatch):
    monkeypatch.setattr(progress, "MOST_PER_TENANT", 3)
    run_id, theirs = await create_run(shop.tenant_id), await create_run(other_shop.tenant_id)
    async with AsyncExitStack() as streams:
        opened = [await streams.enter_async_context(stream(shop, run_id)) for _ in range(3)]
        for following in opened:
            assert await following.next()

        refused = await shop.call("GET", f"/sync/{run_id}/events")
        async with stream(other_shop, theirs) as of_another:
            assert await of_another.next()

    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, "too_many_streams", "30")
    await until_nobody_follows()
    async with stream(shop, run_id) as following:
        assert await following.next()


async def test_a_process_has_only_so_many_streams(shop: Shop, other_shop: Shop, monkeypatch):
    monkeypatch.setattr(progress, "MOST_PER_PROCESS", 1)
    run_id, theirs = await create_run(shop.tenant_id), await create_run(other_shop.tenant_id)
    async with stream(shop, run_id) as following:
        assert await following.next()
        refused = await other_shop.call("GET", f"/sync/{theirs}/events")

    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "streams_exhausted", "5")


async def test_the_database_is_read_once_for_all_and_only_while_somebody_follows(shop: Shop, monkeypatch):
    readings: list[int] = []
    read = watcher._read

    async def count() -> None:
        readings.append(len(watcher._runs))
        await read()

    monkeypatch.setattr(watcher, "_read", count)
    monkeypatch.setattr(progress, "READ_EVERY_S", 0.05)
    run_id = await create_run(shop.tenant_id)
    async with stream(shop, run_id) as one, stream(shop, run_id) as two:
        assert await one.next()
        assert await two.next()
        await until_read(readings, 3)

    await until_nobody_follows()
    reading = watcher._reading
    assert reading is not None
    await asyncio.wait_for(reading, 5)
    assert set(readings) == {1}
    assert watcher._of_tenant == {}
    assert watcher._runs == {}


async def test_a_quiet_stream_is_kept_alive(shop: Shop, monkeypatch):
    monkeypatch.setattr(progress, "KEEP_ALIVE_S", 0.1)
    monkeypatch.setattr(progress, "ADMISSION_S", 0.05)
    lease = await started(shop)
    async with stream(shop, lease.run_id) as following:
        assert await following.next()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await following.next()
        assert following.comments >= 3


async def test_a_stream_ends_with_its_access_token_and_goes_on_with_the_next(shop: Shop):
    lease = await started(shop)
    claims = jwt.decode(shop.access_token, options={"verify_signature": False})
    ends_soon = claims | {"exp": int(time.time() - LEEWAY.total_seconds()) + 2}
    token = jwt.encode(ends_soon, get_settings().jwt_secrets[0].reveal(), algorithm="HS256")
    async with stream(shop, lease.run_id, token=token) as following:
        event = await following.next()
        assert event
        assert await following.rest() == []
    assert time.time() >= ends_soon["exp"] + LEEWAY.total_seconds()

    await store_page(lease, 5)
    async with stream(shop, lease.run_id, token=token) as refused:
        assert refused.answer.status_code == 401
    async with stream(shop, lease.run_id, event.id) as following:
        after = await following.next()

    assert after
    assert after.data["progress"]["done"] == 5


async def test_a_stream_ends_soon_after_its_session(shop: Shop, monkeypatch):
    monkeypatch.setattr(progress, "ADMISSION_S", 0.1)
    lease = await started(shop)
    login = await shop.client.post("/auth/login", json={"email": "tg12345@example.com", "password": PASSWORD})
    session = login.json()
    async with stream(shop, lease.run_id, token=session["access_token"]) as following, stream(shop, lease.run_id) as of_another_session:
        assert await following.next()
        assert await of_another_session.next()

        assert (await shop.client.post("/auth/logout", json={"refresh_token": session["refresh_token"]})).status_code == 204

        assert await following.rest() == []
        await store_page(lease, 5)
        assert await of_another_session.next()


async def test_a_stream_outlives_the_database_and_tells_what_came_meanwhile(shop: Shop, postgres_url: str, monkeypatch):
    monkeypatch.setattr(progress, "KEEP_ALIVE_S", 0.2)
    monkeypatch.setattr(progress, "ADMISSION_S", 0.1)
    lease = await started(shop)
    server = await asyncpg.connect(postgres_url)
    async with stream(shop, lease.run_id) as following:
        assert await following.next()
        next_event = asyncio.create_task(following.next())
        async with database_away(server):
            done, _ = await asyncio.wait([next_event], timeout=1.5)
            assert not done
        await store_page(lease, 11)
        event = await next_event
    await server.close()

    assert following.comments >= 3
    assert event
    assert event.data["progress"]["done"] == 11


async def test_a_database_that_knows_less_than_the_one_before_is_believed(shop: Shop, postgres_url: str):
    lease = await started(shop)
    await store_page(lease, 5)
    before = await revision(lease.run_id)
    server = await asyncpg.connect(postgres_url)
    async with stream(shop, lease.run_id) as following:
        assert await following.next()
        async with system_scope() as connection:
            # As a standby that had not heard of the last page.
            await connection.execute("UPDATE sync_runs SET revision = revision - 1, done = 0 WHERE id = $1", lease.run_id)
        async with database_away(server):
            await asyncio.sleep(2 * progress.READ_EVERY_S)
        event = await following.next()
    await server.close()

    assert event
    assert (event.id, event.data["progress"]["done"]) == (before - 1, 0)


async def test_who_stops_ends_all_streams_at_once_and_opens_no_other(shop: Shop):
    lease = await started(shop)
    async with AsyncExitStack() as streams:
        opened = [await streams.enter_async_context(stream(shop, lease.run_id)) for _ in range(10)]
        for following in opened:
            assert await following.next()
        before = time.monotonic()

        watcher.stop()

        assert [await following.rest() for following in opened] == [[]] * 10
        assert time.monotonic() - before < 1
        answer = await shop.call("GET", f"/sync/{lease.run_id}/events")
        assert (answer.status_code, answer.json()["code"]) == (503, "streams_exhausted")


async def test_a_reader_that_takes_nothing_is_given_up_and_holds_nobody_up(shop: Shop, monkeypatch):
    monkeypatch.setattr(streams, "STALLED_S", 0.3)
    monkeypatch.setattr(progress, "KEEP_ALIVE_S", 0.0)
    # As much as fills what a system keeps of a connection.
    monkeypatch.setattr(progress, "KEEP_ALIVE", b": " + b"x" * 4_000_000 + b"\n\n")
    monkeypatch.setattr(progress, "ADMISSION_S", 0.01)
    lease = await started(shop)
    reader, writer = await asyncio.open_connection(shop.client.base_url.host, shop.client.base_url.port, limit=1000)
    writer.write(
        f"GET /api/v1/sync/{lease.run_id}/events HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {shop.access_token}\r\n\r\n".encode()
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    await until_nobody_follows()

    writer.close()


async def test_the_reading_looks_each_run_up_and_walks_over_none(clean_database):
    ids = [uuid4() for _ in range(progress.MOST_PER_PROCESS)]
    tenant = await create_tenant()
    async with system_scope() as connection:
        # Whatever the planner knows of the table, it sees that it is large.
        await connection.execute(
            """
            INSERT INTO sync_runs (id, tenant_id, marketplace, "trigger", scopes, "full", status, priority, not_before, queued_at,
                                   attempt, crashes, stages, done)
            SELECT gen_random_uuid(), $1, 'wildberries', 'schedule', '{}', false, 'succeeded', 10, now(), now(), 1, 0, '[]', 0
              FROM generate_series(1, 10000)
            """,
            tenant,
        )
        plan = await connection.fetch(f"EXPLAIN {CHANGED}", ids, [0] * len(ids))

    text = "\n".join(row[0] for row in plan)
    assert "Index Scan using sync_runs_pkey" in text, text


@asynccontextmanager
async def database_away(server: asyncpg.Connection) -> AsyncGenerator[None]:
    """The server cuts the application's connections and takes no others."""
    name = urlsplit(get_settings().database_url.reveal()).path.removeprefix("/")
    await server.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    await server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    try:
        yield
    finally:
        await server.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")


async def until_nobody_follows() -> None:
    async with asyncio.timeout(10):
        while watcher._runs:
            await asyncio.sleep(0.01)


async def until_read(readings: list[int], times: int) -> None:
    async with asyncio.timeout(10):
        while len(readings) < times:
            await asyncio.sleep(0.01)
