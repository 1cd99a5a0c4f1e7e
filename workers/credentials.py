"""What workers do about credentials."""

from app.credentials.jobs import CheckKeys
from app.credentials.rechecks import recheck_keys
from app.jobs import broker
from app.redis import start_redis, stop_redis
from app.settings import Settings


@broker.task(CheckKeys.name)
async def check_keys() -> None:
    """Ask the marketplaces about stored keys whose daily check is due."""
    await recheck_keys()


def start(settings: Settings) -> None:
    """At the process's start: the workers agree in Redis on who asks about which key."""
    start_redis(settings.redis_url.reveal())


async def stop() -> None:
    """At the process's end, when no task runs any more."""
    await stop_redis()
