"""Checking an installation, and saying what to do about each fault."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
from rich.console import Console

from app.cli.preflight import check_database
from app.database import database
from app.errors import StartRefused
from app.redis import REDIS_ERRORS, open_redis
from app.settings import Settings, get_settings

MOST_SKEW_S = 5.0

console = Console(highlight=False)


class Fault(Exception):
    """A check failed; the text says what to do."""


def examine() -> int:
    """Run all checks and print each with its outcome. Gives 1 if one failed."""
    try:
        settings = get_settings()
    except StartRefused as error:
        console.print(f"[red]✗[/red] configuration   {error.detail}", soft_wrap=True)
        return 1
    console.print(f"[green]✓[/green] configuration   {settings.app_env}, {len(settings.encryption_master_keys)} master key(s)")
    return asyncio.run(_examine(settings))


async def _examine(settings: Settings) -> int:
    checks: dict[str, Callable[[Settings], Awaitable[str]]] = {
        "address": _address, "database": _database, "redis": _redis, "clock": _clock, "marketplace": _marketplace,
    }  # fmt: skip
    failed = False
    for name, check in checks.items():
        try:
            said = await check(settings)
            console.print(f"[green]✓[/green] {name:<15} {said}", soft_wrap=True)
        except (Fault, StartRefused) as fault:
            failed = True
            console.print(f"[red]✗[/red] {name:<15} {fault}", soft_wrap=True)
    return int(failed)


async def _address(settings: Settings) -> str:
    if settings.production and not settings.public_url:
        raise Fault("PUBLIC_URL is not set; set it to the https address by which sellers' browsers reach the page that takes their keys")
    return settings.public_url or "PUBLIC_URL is not set; the page that takes keys is named by the address that a bot used"


async def _database(settings: Settings) -> str:
    await check_database(settings)
    return "reachable, migrations complete, role can't bypass the walls, every stored value has its key"


async def _redis(settings: Settings) -> str:
    redis = open_redis(settings.redis_url.reveal(), max_connections=1)
    try:
        answer = await redis.info("server")
    except REDIS_ERRORS as error:
        raise Fault(f"REDIS_URL: no answer ({error}); start it, or correct the address. Syncs wait until it is back.") from None
    finally:
        await redis.aclose()
    return f"reachable, version {answer['redis_version']}"


async def _clock(settings: Settings) -> str:
    await database.open(settings.database_url, pool_size=2, production=settings.production)
    try:
        connection = await database.acquire()
        try:
            theirs = float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())"))
        finally:
            await database.release(connection)
    finally:
        await database.close()
    skew = abs(theirs - time.time())
    if skew > MOST_SKEW_S:
        raise Fault(f"This machine and the database differ by {skew:.0f} s; tokens and webhook signatures need right clocks: set up NTP.")
    return f"agrees with the database's to {skew * 1000:.0f} ms"


async def _marketplace(settings: Settings) -> str:
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
        try:
            answer = await client.get(f"{settings.wb_content_api_url}/ping")
        except httpx.TransportError as error:
            raise Fault(
                f"WB_CONTENT_API_URL: {settings.wb_content_api_url} can't be reached ({type(error).__name__}); check the network."
            ) from None
    return f"Wildberries answers ({answer.status_code} without a key is as it should be)"
