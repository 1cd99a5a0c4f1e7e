"""Following runs as they go on.

The rows tell how far a run is, here as everywhere. A process reads those of all runs that somebody follows by one statement, twice a second, and only while
somebody does; what comes back is what has changed. So any process can go on with anybody's stream, at the revision that was last seen.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress
from contextvars import Context
from datetime import timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec
import structlog

from app.api.event_stream import KEEP_ALIVE, format_event, format_retry
from app.api.roles import Admission
from app.database import system_scope, tenant_scope
from app.errors import NotFound, StockTrackerError, Unavailable
from app.runs.service import ACTIVE, COLUMNS, run_out

READ_EVERY_S: Final = 0.5
KEEP_ALIVE_S: Final = 15.0
ADMISSION_S: Final = 5.0
"""How often a stream asks whether its login session still lives: one GET of Redis, about 150 µs, for each."""

MOST_PER_TENANT: Final = 20
MOST_PER_PROCESS: Final = 2000
RECONNECT_MS: Final = (1000, 3000)
"""Drawn at random, so that the readers of a process that ended do not all come to the next one at once."""

# A look-up for each id, whatever the planner knows of the table.
CHANGED = f"""
    SELECT run.*
      FROM unnest($1::uuid[], $2::int[]) AS followed (run_id, seen)
     CROSS JOIN LATERAL (SELECT revision, {COLUMNS} FROM sync_runs WHERE id = followed.run_id AND revision > followed.seen OFFSET 0) AS run
"""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


class TooManyStreams(StockTrackerError):
    """This tenant has as many open streams as one may have."""

    status = 429
    code = "too_many_streams"
    title = "Too many streams"
    retry_after: ClassVar[timedelta] = timedelta(seconds=30)


class StreamsExhausted(Unavailable):
    """This process has as many open streams as it can serve, or is about to stop."""

    code = "streams_exhausted"
    title = "No stream is free"
    retry_after: ClassVar[timedelta] = timedelta(seconds=5)


class State(msgspec.Struct, frozen=True):
    """A run at one revision, and the event that tells of it."""

    run_id: UUID
    revision: int
    is_final: bool
    event: bytes


async def read_state(tenant_id: UUID, run_id: UUID) -> State:
    """How the run stands.

    Raises:
        NotFound: the tenant has no such run.
    """
    async with tenant_scope(tenant_id) as connection:
        row = await connection.fetchrow(f"SELECT revision, {COLUMNS} FROM sync_runs WHERE tenant_id = $1 AND id = $2", tenant_id, run_id)
    if row is None:
        raise NotFound(f"No sync {run_id}.")
    return _state(row)


class FollowedRun:
    """A run that streams of this process follow. `seen` is what the next reading compares with."""

    def __init__(self, newest: State) -> None:
        self.newest = newest
        self.seen = newest.revision
        self.followers: set[Follower] = set()

    def tell(self, state: State) -> None:
        """Older news than what is known is none: two readings may cross."""
        if state.revision > self.seen:
            self.newest, self.seen = state, state.revision
            for follower in self.followers:
                follower.news.set()


class Follower:
    """One stream's place."""

    def __init__(self, run: FollowedRun) -> None:
        self.run = run
        self.news = asyncio.Event()
        self.ended = False

    def end(self) -> None:
        self.ended = True
        self.news.set()

    async def wait(self, patience_s: float) -> None:
        """Until there is news, and no longer than that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self.news.wait()
        self.news.clear()


class Watcher:
    """Reads the runs that this process's streams follow."""

    def __init__(self) -> None:
        self._runs: dict[UUID, FollowedRun] = {}
        self._of_tenant: Counter[UUID] = Counter()
        self._reading: asyncio.Task[None] | None = None
        self._stopping = False

    def open(self) -> None:
        self._stopping = False

    def stop(self) -> None:
        """End all streams now, and open no other: their readers go on at another process, or at the one that takes this one's place."""
        self._stopping = True
        self._end_all()

    async def close(self) -> None:
        self.stop()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def follow(self, tenant_id: UUID, state: State, seen: int | None, admission: Admission) -> AsyncGenerator[bytes]:
        """The stream of a run that was found to be the tenant's, and stands at `state`, for a reader that saw revision `seen` last.

        It ends behind `finished`, and when the caller's admission does.

        Raises:
            TooManyStreams, StreamsExhausted: before the first piece.
        """
        with self._place(tenant_id, state) as follower:
            yield format_retry(random.randint(*RECONNECT_MS))
            told, told_at, admitted_at = seen, time.monotonic(), time.monotonic()
            while not follower.ended and time.time() < admission.expires_at:
                newest, now = follower.run.newest, time.monotonic()
                if newest.revision != told:
                    told, told_at = newest.revision, now
                    yield newest.event
                    if newest.is_final:
                        return
                elif now - told_at >= KEEP_ALIVE_S:
                    told_at = now
                    yield KEEP_ALIVE
                if now - admitted_at >= ADMISSION_S:
                    if not await _is_admitted(admission):
                        return
                    admitted_at = now
                await follower.wait(min(ADMISSION_S, max(0.0, admission.expires_at - time.time())))

    @contextmanager
    def _place(self, tenant_id: UUID, state: State) -> Generator[Follower]:
        if self._stopping or self._of_tenant.total() >= MOST_PER_PROCESS:
            raise StreamsExhausted("No stream is free at present; connect again in a few seconds.")
        if self._of_tenant[tenant_id] >= MOST_PER_TENANT:
            raise TooManyStreams(f"{MOST_PER_TENANT} streams are open already; close one, or look at the sync without a stream.")
        run = self._runs.setdefault(state.run_id, FollowedRun(state))
        # What this stream found may be news to the others.
        run.tell(state)
        follower = Follower(run)
        run.followers.add(follower)
        self._of_tenant[tenant_id] += 1
        if self._reading is None or self._reading.done():
            # Not in the context of this request: its id has no business in the watcher's log lines.
            self._reading = asyncio.create_task(self._read_on(), name="progress", context=Context())
        try:
            yield follower
        finally:
            self._of_tenant -= Counter([tenant_id])
            run.followers.discard(follower)
            if not run.followers:
                del self._runs[state.run_id]

    def _end_all(self) -> None:
        for run in self._runs.values():
            for follower in run.followers:
                follower.end()

    async def _read_on(self) -> None:
        away = False
        try:
            while self._runs:
                try:
                    await self._read()
                except Unavailable as error:
                    if not away:
                        log.warning("progress.database_away", detail=error.detail)
                    away = True
                    # A database that took over may lack what the one before had told last.
                    for run in self._runs.values():
                        run.seen = -1
                else:
                    away = False
                await asyncio.sleep(READ_EVERY_S)
        except Exception:
            # A fault of ours: who connects again is answered with it.
            log.exception("progress.crashed")
            self._end_all()

    async def _read(self) -> None:
        async with system_scope() as connection:
            rows = await connection.fetch(CHANGED, list(self._runs), [run.seen for run in self._runs.values()])
        for row in rows:
            # The last stream may have left meanwhile.
            if run := self._runs.get(row["id"]):
                run.tell(_state(row))


watcher = Watcher()
"""The one of this process."""


EXAMPLE: Final = """\
retry: 2000

id: 4
event: progress
data: {"id":"019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d5e","status":"running","progress":{"stage":"products","done":300,"total":1200},…}

: keep-alive

id: 11
event: finished
data: {"id":"019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d5e","status":"succeeded","progress":{"stage":null,"done":42,"total":null},…}

"""
"""For the API's description; the data are shortened."""


async def _is_admitted(admission: Admission) -> bool:
    """Where nobody can tell at present, the stream goes on: the next question, or the end of the access token, is near."""
    try:
        async with asyncio.timeout(ADMISSION_S):
            return await admission.is_live()
    except (Unavailable, TimeoutError):
        return True


def _state(row: Any) -> State:
    run = run_out(row)
    is_final = run.status not in ACTIVE
    event = format_event("finished" if is_final else "progress", msgspec.json.encode(run), row["revision"])
    return State(run.id, row["revision"], is_final, event)
