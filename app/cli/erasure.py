"""Erasing a tenant, for an operator whom its owner asked to, or whose installation it is."""

from collections import Counter
from typing import Any
from uuid import UUID

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.cache import close_cache, open_cache
from app.cli.operating import carry_out, console, find_tenant
from app.database import system_scope
from app.redis import start_redis, stop_redis
from app.settings import get_settings
from app.tenant_data.erasure import begin_erasure, erase

OPERATOR = "operator"

FACTS = """
    SELECT id, name, erasing_at IS NOT NULL AS begun,
           ARRAY(SELECT coalesce(email, 'telegram:' || telegram_user_id) FROM memberships JOIN users ON users.id = user_id
                  WHERE memberships.tenant_id = tenants.id ORDER BY 1) AS users,
           (SELECT count(*) FROM products WHERE tenant_id = tenants.id) AS products, (SELECT count(*) FROM orders WHERE tenant_id = tenants.id) AS orders
      FROM tenants WHERE id = $1
"""


def erase_tenant(name: str, *, yes: bool) -> None:
    """Ask, unless `yes`, then do it, and say how it goes. An erasure that was begun before goes on without a question."""
    facts = carry_out(lambda: _look(name))
    if not facts["begun"] and not yes:
        click.echo(f"{facts['id']}  {facts['name']}")
        click.echo(f"{', '.join(facts['users']) or 'nobody'}; products: {facts['products']}, orders: {facts['orders']}")
        click.confirm("Erase it for good, with all that is kept of it?", abort=True)
    rows = carry_out(lambda: _erase(facts["id"]))
    console().print(f"Erased: {rows} rows.")


async def _look(name: str) -> Any:
    async with system_scope() as connection:
        return await connection.fetchrow(FACTS, await find_tenant(connection, name))


async def _erase(tenant_id: UUID) -> int:
    settings, erased, total = get_settings(), Counter[str](), 0
    start_redis(settings.redis_url.reveal())
    open_cache(settings)
    try:
        await begin_erasure(tenant_id, OPERATOR)
        with _progress() as progress:
            task = progress.add_task("", rows=0)
            async for step in erase(tenant_id):
                erased[step.table] += step.rows
                total = max(total, step.total)
                progress.update(task, description=step.table, rows=erased[step.table])
    finally:
        await close_cache()
        await stop_redis()
    return total


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.fields[rows]}"), TimeElapsedColumn(), console=console()
    )
