"""Two transactions at once."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from app.database import Connection, system_scope, tenant_scope

Write = Callable[[Connection, UUID], Awaitable[object]]


@asynccontextmanager
async def uncommitted(tenant: UUID, write: Write) -> AsyncGenerator[int]:
    """Another transaction that has written, and commits at the end; gives its process at the server."""
    written, may_commit = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def transaction() -> None:
        async with tenant_scope(tenant) as connection:
            await write(connection, tenant)
            written.set_result(await connection.fetchval("SELECT pg_backend_pid()"))
            await may_commit.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(transaction())
        try:
            yield await written
        finally:
            may_commit.set()


async def until_somebody_waits_for(blocker: int) -> None:
    async with asyncio.timeout(10):
        while True:
            async with system_scope() as connection:
                if await connection.fetchval("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid)))", blocker):
                    return
            await asyncio.sleep(0.01)
