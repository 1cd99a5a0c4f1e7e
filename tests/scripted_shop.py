"""A tenant whose marketplace account is scripted: what a run makes of an account that says exactly what a test wants."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from app.cache import close_cache, open_cache
from app.database import system_scope, tenant_scope
from app.runs.schemas import RunOut, StageReport
from app.runs.service import add_run, get_run
from app.runs.tables import Stage, Trigger
from app.settings import get_settings
from app.sync import runner
from app.sync.runner import Runner
from tests.factories import create_tenant_with_key, product
from tests.scripted_client import ScriptedClient

# Their walks go on behind the last page.
WALKED_ON = (Stage.PRODUCTS, Stage.ORDERS)


class Killed(BaseException):
    """The worker is gone from one moment to the next."""


PlayShop = Callable[..., Awaitable["ScriptedShop"]]


class ScriptedShop:
    """A tenant whose marketplace says what the test's client says."""

    def __init__(self, tenant_id: UUID, client: ScriptedClient) -> None:
        self.tenant_id = tenant_id
        self.client = client
        self.run_id = UUID(int=0)

    async def start(self, *scopes: Stage, full: bool = False) -> RunOut:
        """Ask for a run and carry it out once."""
        async with tenant_scope(self.tenant_id) as connection:
            run, _ = await add_run(connection, self.tenant_id, self.client.marketplace, Trigger.MANUAL, scopes=scopes or None, full=full)
        self.run_id = run.id
        return await self.go_on()

    def says(self, **pages: Sequence[Any]) -> None:
        """What the marketplace tells from now on: of products and orders after what it told before, of prices and stocks instead."""
        for stage, said in pages.items():
            self.client.pages[stage] = [*self.client.pages[stage], *said] if stage in WALKED_ON else list(said)

    async def go_on(self) -> RunOut:
        """Let a worker take the run as soon as it is due, which is now."""
        async with system_scope() as connection:
            # As if the time had passed: everything that waits is due.
            await connection.execute("UPDATE sync_runs SET not_before = now() WHERE id = $1 AND status = 'queued'", self.run_id)
        assert await Runner("test").carry_out_run(self.run_id)
        return await get_run(self.tenant_id, self.run_id)

    async def let_time_pass(self, passed: timedelta) -> None:
        """Everything of the run is as much longer ago."""
        run = await get_run(self.tenant_id, self.run_id)
        for stage in run.stages:
            stage.not_before = stage.not_before - passed if stage.not_before else None
        async with system_scope() as connection:
            await connection.execute(
                "UPDATE sync_runs SET not_before = not_before - $2::interval, started_at = started_at - $2::interval, stages = $3 WHERE id = $1",
                self.run_id, passed, msgspec.json.encode(run.stages).decode(),
            )  # fmt: skip

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        async with tenant_scope(self.tenant_id) as connection:
            return [tuple(row) for row in await connection.fetch(statement)]

    async def heard(self) -> list[dict[str, Any]]:
        """All events, in their order."""
        return [msgspec.json.decode(body) for [body] in await self.rows("SELECT body FROM events ORDER BY sequence")]

    async def event(self) -> dict[str, Any]:
        """The newest event's data."""
        [[body]] = await self.rows("SELECT body FROM events ORDER BY sequence DESC LIMIT 1")
        return msgspec.json.decode(body)["data"]


@pytest.fixture
async def play_shop(clean_database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PlayShop]:
    open_cache(get_settings())

    async def play(*, language: str = "ru", **pages: Any) -> ScriptedShop:
        shop = ScriptedShop(await create_tenant_with_key(), ScriptedClient(**({"products": [[product("1"), product("2")]]} | pages)))
        async with tenant_scope(shop.tenant_id) as connection:
            await connection.execute("UPDATE tenants SET language = $1", language)

        async def make_client(*_: object) -> ScriptedClient:
            return shop.client

        monkeypatch.setattr(runner, "create_marketplace_client", make_client)
        return shop

    yield play
    await close_cache()


def stages(run: RunOut) -> dict[str, StageReport]:
    return {stage.name.value: stage for stage in run.stages}


def statuses(run: RunOut) -> list[str]:
    return [stage.status for stage in run.stages]
