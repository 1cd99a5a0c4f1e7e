"""Keeping the database from growing for ever. Any number of schedulers may do this; the database lets one at a time."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from app.auth.retention import remove_old_sessions, remove_used_launches
from app.credentials.retention import remove_old_links
from app.database import system_scope
from app.errors import Unavailable
from app.idempotency.retention import remove_old_answers
from app.products.retention import remove_old_sightings
from app.retention import Position, Walk
from app.runs.retention import remove_old_logs, remove_old_runs, remove_unchanged_runs
from app.settings import Settings
from app.stocks.history import keep_partitions
from app.webhooks.retention import expire_deliveries, remove_old_events

EVERY_S: Final = 3600.0
DAILY: Final = 24
"""Every so many passes, what goes slowly is looked at too."""

ONE_AT_A_TIME: Final = "SELECT pg_try_advisory_xact_lock(hashtext('stock-tracker housekeeping'))"

log = structlog.get_logger(__name__)


class Housekeeping:
    """Passes, about one an hour, each of a walk after another. It works in steps of one batch, so that it holds up nobody who calls it between other work."""

    def __init__(self, settings: Settings) -> None:
        runs, events = timedelta(days=settings.run_retention_days), timedelta(days=settings.event_retention_days)
        self._hourly: dict[str, Walk] = {
            "expired_deliveries": expire_deliveries,
            "logs": partial(remove_old_logs, kept=runs),
            "runs": partial(remove_old_runs, kept=runs),
            "unchanged_runs": partial(remove_unchanged_runs, kept=timedelta(days=settings.unchanged_run_retention_days)),
            "events": partial(remove_old_events, kept=events),
            "launches": remove_used_launches,
            "answers": remove_old_answers,
        }
        self._daily: dict[str, Walk] = {"sessions": remove_old_sessions, "links": remove_old_links, "sightings": remove_old_sightings}
        self._passes = 0
        self._ahead: list[tuple[str, Walk]] = []
        self._position: Position | None = None
        self._removed: Counter[str] = Counter()
        # Spread: schedulers that were started together take turns.
        self._next_pass_at_s = asyncio.get_running_loop().time() + random.uniform(0.05, 1) * EVERY_S / 2

    async def step(self) -> bool:
        """The months of the stock history, or else at most one batch. False: nothing is to be done for now.

        Raises:
            Unavailable: the database does not answer; the next step tries again.
        """
        if not self._ahead:
            if not self._begin_pass():
                return False
            await keep_partitions()
            return True
        name, walk = self._ahead[0]
        try:
            async with system_scope() as connection:
                if not await connection.fetchval(ONE_AT_A_TIME):
                    # Another scheduler is at it; what it leaves is there in an hour too.
                    self._ahead.clear()
                    return False
                batch = await walk(connection, self._position)
        except Unavailable:
            raise
        except Exception:
            # A fault of ours in one walk must keep neither the others nor the schedule from going on: it stands in the log with its traceback.
            log.exception("housekeeping.walk_failed", walk=name)
            self._next_walk()
            return True
        self._removed[name] += batch.removed
        self._position = batch.reached
        if batch.reached is None:
            self._next_walk()
        return True

    def _begin_pass(self) -> bool:
        now_s = asyncio.get_running_loop().time()
        if now_s < self._next_pass_at_s:
            return False
        self._next_pass_at_s = now_s + EVERY_S
        self._ahead = [*self._hourly.items(), *(self._daily.items() if self._passes % DAILY == 0 else ())]
        self._passes += 1
        self._position = None
        self._removed.clear()
        return True

    def _next_walk(self) -> None:
        del self._ahead[0]
        self._position = None
        if not self._ahead:
            log.info("housekeeping.done", **{name: count for name, count in self._removed.items() if count})
