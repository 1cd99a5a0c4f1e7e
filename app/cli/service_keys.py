"""Keys of bots, for an operator. A new key goes to standard output alone, once; whatever else is to be said goes beside it."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import click

from app.auth.liveness import has_untold, wait_until_told
from app.auth.service_keys import OVERLAP, ServiceKeyFacts, create_service_key, list_service_keys, revoke_service_key, rotate_service_key
from app.cli.operating import carry_out, print_json, print_table, when
from app.redis import start_redis, stop_redis
from app.settings import get_settings

Result = TypeVar("Result")


def create(name: str) -> None:
    """The key on a line."""
    click.echo(carry_out(lambda: create_service_key(name)).reveal())
    click.echo("Shown this once: keep it where the bot's other secrets are.", err=True)


def rotate(name: str, *, now: bool) -> None:
    """The key with a new secret on a line."""
    overlap = timedelta() if now else OVERLAP
    click.echo(_with_redis(lambda: rotate_service_key(name, overlap)).reveal())
    former = (
        "The former one works no more, and what it opened was ended."
        if now
        else f"The former one works for {overlap // timedelta(hours=1)} h more."
    )
    click.echo(f"Shown this once. {former}", err=True)


def revoke(name: str) -> None:
    """How many sessions ended with it."""
    click.echo(f"Revoked, with {_with_redis(lambda: revoke_service_key(name))} login sessions that it had opened.")


def list_keys(*, as_json: bool) -> None:
    """By name; no secret is among it."""
    keys = carry_out(list_service_keys)
    if as_json:
        print_json(keys)
        return
    print_table(
        ("id", "name", "state", "tenants", "made (UTC)", "last used (UTC)"),
        [(str(key.id), key.name, _state(key), str(key.tenants), when(key.created_at), when(key.last_used_at)) for key in keys],
    )


def _state(key: ServiceKeyFacts) -> str:
    if key.revoked_at is not None:
        return f"revoked {when(key.revoked_at)}"
    return "works" if key.previous_until is None else f"works; the former secret until {when(key.previous_until)}"


def _with_redis(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """By which the processes that serve hear of sessions that ended."""

    async def connected() -> Result:
        start_redis(get_settings().redis_url.reveal())
        try:
            result = await work()
            if has_untold():
                click.echo(
                    "Redis does not answer. Waiting until no process can take the ended sessions for live, a minute at most.", err=True
                )
            await wait_until_told()
            return result
        finally:
            await stop_redis()

    return carry_out(connected)
