"""What operators see of the queue: read from the database by each scheduler, so that any number of them say the same."""

import time

from redis.asyncio import Redis

from app.database import system_scope
from app.marketplaces.circuit import host_of, states_of
from app.marketplaces.contract import Marketplace
from app.observability import metrics
from app.redis import REDIS_ERRORS, open_redis
from app.runs.pauses import PAUSED
from app.settings import Settings

LOOK_EVERY_S = 5.0
MOST_COUNTED = 100_000

# The partial indexes of what is queued and of what is running hold nothing else.
QUEUED = f"""
    SELECT priority, state, count(*), greatest(extract(epoch FROM now() - min(not_before)), 0)::float8
      FROM (SELECT priority, not_before, CASE WHEN {PAUSED} THEN 'paused' WHEN not_before > now() THEN 'later' ELSE 'due' END AS state
              FROM sync_runs WHERE status = 'queued') AS queued
     GROUP BY priority, state
"""

RUNNING = "SELECT marketplace, count(*) FROM sync_runs WHERE status = 'running' GROUP BY marketplace"

OTHERS = f"""
    SELECT (SELECT count(*) FROM tenants WHERE sync_enabled AND next_sync_at <= now()),
           (SELECT count(*) FROM sync_pauses),
           (SELECT count(*) FROM (SELECT FROM webhook_deliveries WHERE status = 'pending' AND next_attempt_at <= now() LIMIT {MOST_COUNTED}) AS due),
           (SELECT count(*) FROM (SELECT FROM webhook_deliveries WHERE status = 'pending' AND next_attempt_at > now() LIMIT {MOST_COUNTED}) AS later),
           (SELECT count(*) FROM (SELECT FROM events WHERE dispatched_at IS NULL LIMIT {MOST_COUNTED}) AS undispatched),
           (SELECT greatest(extract(epoch FROM now() - min(next_attempt_at)), 0)::float8 FROM webhook_deliveries WHERE status = 'pending')
"""

PRIORITIES = ("interactive", "api", "scheduled")
STATES = ("due", "later", "paused")


class Gauges:
    """Looks at most every five seconds."""

    def __init__(self, settings: Settings) -> None:
        urls = (
            settings.wb_content_api_url,
            settings.wb_marketplace_api_url,
            settings.wb_statistics_api_url,
            settings.wb_analytics_api_url,
            settings.wb_prices_api_url,
            settings.wb_common_api_url,
            settings.ozon_api_url,
        )
        self._hosts = sorted({host_of(url) for url in urls})
        self._redis: Redis = open_redis(settings.redis_url.reveal(), max_connections=1)
        self._next_look = 0.0

    async def look(self) -> None:
        """Set the gauges, if it is time.

        Raises:
            Unavailable: the database does not answer; they stay as they were, and `looked_at` says since when.
        """
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_EVERY_S
        async with system_scope() as connection:
            queued = await connection.fetch(QUEUED)
            running = dict(await connection.fetch(RUNNING))
            overdue, pauses, due, later, undispatched, lag_s = await connection.fetchrow(OTHERS)
        counts: dict[tuple[str, str], int] = {(priority, state): 0 for priority in PRIORITIES for state in STATES}
        lags: dict[str, float] = dict.fromkeys(PRIORITIES, 0.0)
        for number, state, count, oldest_s in queued:
            priority = metrics.priority_of(number)
            counts[priority, state] += count
            if state == "due":
                lags[priority] = max(lags[priority], oldest_s)
        for (priority, state), count in counts.items():
            metrics.queued_runs.labels(priority, state).set(count)
        for priority, seconds in lags.items():
            metrics.queue_lag.labels(priority).set(seconds)
        for marketplace in Marketplace:
            metrics.running_runs.labels(marketplace).set(running.get(marketplace, 0))
        metrics.overdue_tenants.set(overdue)
        metrics.pauses.set(pauses)
        for state, count in (("due", due), ("later", later), ("undispatched", undispatched)):
            metrics.webhook_backlog.labels(state).set(count)
        metrics.webhook_lag.set(lag_s or 0.0)
        metrics.looked_at.set_to_current_time()
        await self._look_at_circuits()

    async def aclose(self) -> None:
        await self._redis.aclose()

    async def _look_at_circuits(self) -> None:
        try:
            states = await states_of(self._redis, self._hosts)
        except REDIS_ERRORS:
            # Nobody knows, and an old state would be a lie.
            metrics.circuit_state.clear()
            return
        for host, state in zip(self._hosts, states, strict=True):
            metrics.circuit_state.labels(host).set(state)
