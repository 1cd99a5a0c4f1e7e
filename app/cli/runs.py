"""Runs, for an operator: what goes on, what is dead, and asking for it again."""

from datetime import datetime
from typing import Any
from uuid import UUID

import click
import msgspec

from app.audit.service import record
from app.cli.operating import carry_out, console, find_by_id, find_tenant, print_json, print_table, when
from app.database import Connection, system_scope, tenant_scope
from app.errors import Conflict
from app.marketplaces.contract import Marketplace
from app.runs.pauses import OPERATOR, PAUSED, Pause, list_pauses, pause_syncs, resume_syncs
from app.runs.schemas import RunOut, StageReport
from app.runs.service import ACTIVE, request_run, stages_of
from app.runs.sweep import ring_for_waiting
from app.runs.tables import RunStatus, Stage, Trigger

CRASHED = "crashed"

FACTS = f"""
    SELECT id, tenant_id, (SELECT name FROM tenants WHERE tenants.id = tenant_id) AS tenant_name, marketplace, "trigger", status,
           status = 'queued' AND {PAUSED} AS paused, scopes, "full", stage, done, total, attempt, crashes, error_code, error_detail, not_before, queued_at,
           started_at, finished_at, worker, lease_until, stages, priority, not_before > now() AS waits
      FROM sync_runs
"""

LIST = f"""{FACTS}
     WHERE ($1::text IS NULL OR status = $1) AND ($2::uuid IS NULL OR tenant_id = $2) AND ($3::text IS NULL OR error_code = $3)
     ORDER BY id DESC LIMIT $4
"""

AHEAD = f"""
    SELECT count(*) FROM sync_runs
     WHERE status = 'queued' AND not_before <= now() AND (priority, not_before) < ($1::int, $2::timestamptz) AND NOT {PAUSED}
"""


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A run as an operator sees it."""

    id: UUID
    tenant_id: UUID
    tenant_name: str
    marketplace: Marketplace
    trigger: Trigger
    status: RunStatus
    paused: bool
    scopes: list[Stage]
    full: bool
    stage: Stage | None
    done: int
    total: int | None
    attempt: int
    crashes: int
    error_code: str | None
    error_detail: str | None
    not_before: datetime
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None
    lease_until: datetime | None


class RunShown(msgspec.Struct, frozen=True, kw_only=True):
    """With what its stages did, and what it waits for."""

    run: RunFacts
    waits_for: str | None
    stages: list[StageReport]


def list_runs(*, status: str | None, tenant: str | None, limit: int, dead: bool, as_json: bool) -> None:
    """Newest first; `dead` ones are those whose worker vanished three times."""

    async def work() -> list[RunFacts]:
        async with system_scope() as connection:
            tenant_id = await find_tenant(connection, tenant) if tenant else None
            return [run_facts(row) for row in await connection.fetch(LIST, status, tenant_id, CRASHED if dead else None, limit)]

    runs = carry_out(work)
    if as_json:
        print_json(runs)
    else:
        print_runs(runs)


def show_run(name: str, *, as_json: bool) -> None:
    """All that is known of one."""

    async def work() -> RunShown:
        async with system_scope() as connection:
            row = await connection.fetchrow(f"{FACTS} WHERE id = $1", await find_by_id(connection, "run", name))
            waits_for = await what_it_waits_for(connection, row, await list_pauses(connection))
            return RunShown(run=run_facts(row), waits_for=waits_for, stages=stages_of(row))

    shown = carry_out(work)
    if as_json:
        print_json(shown)
        return
    run = shown.run
    out = console()
    out.print(f"{run.id}  {run.marketplace}, {run.trigger}{', full' if run.full else ''}, of {run.tenant_id} ({run.tenant_name})")
    out.print(f"{state(run)}, attempt {run.attempt}, crashes {run.crashes}")
    out.print(f"queued {when(run.queued_at)}, started {when(run.started_at)}, finished {when(run.finished_at)} UTC")
    if run.error_code:
        out.print(f"error {run.error_code}: {run.error_detail}")
    if shown.waits_for:
        out.print(shown.waits_for)
    columns = ("stage", "status", "fetched", "created", "updated", "unchanged", "archived", "rejected", "requests", "waited s", "error")
    print_table(
        columns,
        [
            (stage.name, stage.status, *(str(getattr(stage, name)) for name in columns[2:9]), f"{stage.waited_s:.1f}",
             f"{stage.error.code}: {stage.error.detail}" if stage.error else "")
            for stage in shown.stages
        ],
    )  # fmt: skip


def pause(marketplace: str | None, reason: str, tenant: str | None = None) -> None:
    """Hold up a tenant's syncs, or all."""

    async def work() -> tuple[UUID | None, int]:
        tenant_id = await _find(tenant)
        return tenant_id, await pause_syncs(tenant_id, _marketplace(marketplace), reason)

    tenant_id, held = carry_out(work)
    where = f" at {marketplace}" if marketplace else ""
    click.echo(f"Paused the syncs of {tenant_id or 'all tenants'}{where}; {held} queued and running ones wait until they are resumed.")


def resume(marketplace: str | None, tenant: str | None = None) -> None:
    """Let them go on, and ring for them at once."""

    async def work() -> tuple[UUID | None, list[Pause], list[Pause]]:
        tenant_id = await _find(tenant)
        lifted = await resume_syncs(tenant_id, _marketplace(marketplace))
        await ring_for_waiting()
        async with system_scope() as connection:
            return tenant_id, lifted, await list_pauses(connection)

    tenant_id, lifted, left = carry_out(work)
    for one in lifted:
        click.echo(f"Resumed {described(one)}.")
    if not lifted:
        click.echo("Nothing of the kind was paused.")
    for one in left:
        if tenant_id is None or one.tenant_id in {None, tenant_id}:
            click.echo(f"Still paused: {described(one)}.")


def retry(name: str) -> None:
    """Ask again for the account of a run that did not succeed, with its stages.

    Raises:
        Conflict: it goes on, or went well.
        CredentialsMissing: the account has no key any more.
    """

    async def work() -> tuple[RunOut, bool]:
        async with system_scope() as connection:
            row = await connection.fetchrow(f"{FACTS} WHERE id = $1", await find_by_id(connection, "run", name))
        run = run_facts(row)
        if run.status in ACTIVE:
            raise Conflict(f"Run {run.id} is {run.status} and goes on by itself.")
        if run.status is RunStatus.SUCCEEDED:
            raise Conflict(f"Run {run.id} went well; there is nothing to try again.")
        asked = await request_run(run.tenant_id, run.marketplace, Trigger.MANUAL, scopes=run.scopes, full=run.full)
        async with tenant_scope(run.tenant_id) as connection:
            await record(connection, run.tenant_id, OPERATOR, "sync.retried", {"sync_id": run.id, "marketplace": run.marketplace})
        return asked

    asked, created = carry_out(work)
    paused = "; it is paused" if asked.paused else ""
    click.echo(f"Queued as {asked.id}{paused}." if created else f"One is {asked.status} already: {asked.id}{paused}.")


def print_runs(runs: list[RunFacts]) -> None:
    print_table(
        ("id", "tenant", "marketplace", "trigger", "state", "queued (UTC)", "finished (UTC)", "error"),
        [
            (str(run.id), str(run.tenant_id), run.marketplace, run.trigger, state(run), when(run.queued_at), when(run.finished_at),
             f"{run.error_code}: {run.error_detail}" if run.error_code else "")
            for run in runs
        ],
    )  # fmt: skip


def run_facts(row: Any) -> RunFacts:
    """From a row with `FACTS`."""
    return msgspec.convert({name: row[name] for name in RunFacts.__struct_fields__}, RunFacts)


def state(run: RunFacts) -> str:
    """In two words, and how far it is."""
    if run.status is RunStatus.RUNNING and run.stage:
        return f"running {run.stage} {run.done}{f'/{run.total}' if run.total is not None else ''}"
    return "queued, paused" if run.paused else run.status


def described(one: Pause) -> str:
    """A pause in words."""
    whose = f"tenant {one.tenant_id}" if one.tenant_id else "all tenants"
    return f"{whose}{f' at {one.marketplace}' if one.marketplace else ''}, since {when(one.paused_at)} UTC{f' ({one.reason})' if one.reason else ''}"


async def what_it_waits_for(connection: Connection, row: Any, pauses: list[Pause]) -> str | None:
    """Why a run, from a row with `FACTS`, does not go on, or who has it; None where it is done."""
    run = run_facts(row)
    if run.status is RunStatus.RUNNING:
        return f"{run.worker} has it, with a lease until {when(run.lease_until)} UTC"
    if run.status is not RunStatus.QUEUED:
        return None
    if run.paused:
        return "waits for the end of: " + "; ".join(described(one) for one in pauses if one.holds(run.tenant_id, run.marketplace))
    if row["waits"]:
        reasons = "; ".join(f"{stage.name}: {stage.error.detail}" for stage in stages_of(row) if stage.not_before and stage.error)
        return f"waits until {when(run.not_before)} UTC" + (f" ({reasons})" if reasons else "")
    ahead: int = await connection.fetchval(AHEAD, row["priority"], run.not_before)
    return f"waits for a free worker, behind {ahead} more urgent runs"


async def _find(tenant: str | None) -> UUID | None:
    if tenant is None:
        return None
    async with system_scope() as connection:
        return await find_tenant(connection, tenant)


def _marketplace(name: str | None) -> Marketplace | None:
    return Marketplace(name) if name else None
