"""Tenants, for an operator: who is there, how they are, and what waits for what. Keys are shown in their masked form only; no other is read."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from app.cli.operating import carry_out, console, find_tenant, print_json, print_table, when
from app.cli.runs import FACTS, RunFacts, described, print_runs, run_facts, what_it_waits_for
from app.database import Connection, system_scope
from app.errors import NotFound
from app.marketplaces.contract import CredentialStatus, Marketplace
from app.runs.pauses import Pause, list_pauses
from app.runs.service import ACTIVE
from app.tenants.rhythm import EFFECTIVE_INTERVAL, LEAST_INTERVAL, PAUSED_ACCOUNT, SEALED_KEY, SYNC_PAUSED, USABLE_KEY

LAST_RUNS = 5

FACTS_OF_TENANT = f"""
    SELECT id, name, marketplace_type, language, time_zone, sync_enabled, sync_interval_minutes,
           {EFFECTIVE_INTERVAL} AS effective_sync_interval_minutes, {SYNC_PAUSED} AS sync_paused,
           CASE WHEN sync_enabled THEN next_sync_at END AS next_sync_at, created_at,
           ARRAY(SELECT coalesce(email, 'telegram:' || telegram_user_id) FROM memberships JOIN users ON users.id = user_id
                  WHERE memberships.tenant_id = tenants.id ORDER BY 1) AS emails,
           ARRAY(SELECT provider || ' ' || status FROM credentials WHERE credentials.tenant_id = tenants.id ORDER BY provider) AS keys,
           (SELECT sync_runs.status FROM sync_runs WHERE sync_runs.tenant_id = tenants.id ORDER BY sync_runs.id DESC LIMIT 1) AS last_run
      FROM tenants
"""

LIST = f"{FACTS_OF_TENANT} WHERE NOT $1 OR {SYNC_PAUSED} ORDER BY id DESC LIMIT $2"

ACCOUNT = {
    marketplace: f"""
    SELECT '{marketplace.value}' AS marketplace, {USABLE_KEY[marketplace]} AS usable, {PAUSED_ACCOUNT[marketplace]} AS paused,
           {LEAST_INTERVAL[marketplace]} AS least_sync_interval_minutes, known.status, known.masked, known.token_type, known.missing_scopes, known.expires_at,
           known.verified_at
      FROM tenants LEFT JOIN credentials AS known ON known.tenant_id = tenants.id AND known.provider = '{marketplace.value}'
     WHERE tenants.id = $1 AND {column} IS NOT NULL
    """
    for marketplace, column in SEALED_KEY.items()
}


class TenantFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant as an operator sees it. `keys` are a provider and its status each; `last_run` is the newest one's status."""

    id: UUID
    name: str
    emails: list[str]
    marketplace_type: Marketplace
    language: str
    time_zone: str
    sync_enabled: bool
    sync_interval_minutes: int
    effective_sync_interval_minutes: int
    sync_paused: bool
    next_sync_at: datetime | None
    keys: list[str]
    last_run: str | None
    created_at: datetime


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A marketplace account that there is a key of. All that is known of the key is null where it was never looked at."""

    marketplace: Marketplace
    usable: bool
    paused: bool
    least_sync_interval_minutes: int
    status: CredentialStatus | None
    masked: str | None
    token_type: str | None
    missing_scopes: list[str] | None
    expires_at: datetime | None
    verified_at: datetime | None


class TenantShown(msgspec.Struct, frozen=True, kw_only=True):
    """With its accounts and last runs, what holds it up, and in `waits` a sentence for each thing that waits."""

    tenant: TenantFacts
    accounts: list[Account]
    pauses: list[Pause]
    runs: list[RunFacts]
    waits: list[str]


def list_tenants(*, paused: bool, limit: int, as_json: bool) -> None:
    """Newest first."""

    async def work() -> list[TenantFacts]:
        async with system_scope() as connection:
            return [_facts(row) for row in await connection.fetch(LIST, paused, limit)]

    tenants = carry_out(work)
    if as_json:
        print_json(tenants)
        return
    print_table(
        ("id", "name", "e-mail", "keys", "every", "next sync (UTC)", "last sync", "schedule"),
        [
            (str(tenant.id), tenant.name, ", ".join(tenant.emails), ", ".join(tenant.keys), f"{tenant.effective_sync_interval_minutes} min",
             when(tenant.next_sync_at), tenant.last_run or "–", _schedule(tenant))
            for tenant in tenants
        ],
    )  # fmt: skip


def show_tenant(name: str, *, as_json: bool) -> None:
    """All that is known of one."""

    async def work() -> TenantShown:
        async with system_scope() as connection:
            return await _read(connection, await find_tenant(connection, name))

    shown = carry_out(work)
    if as_json:
        print_json(shown)
        return
    tenant, out = shown.tenant, console()
    out.print(f"{tenant.id}  {tenant.name}")
    out.print(f"{', '.join(tenant.emails) or 'nobody'}; {tenant.language}, {tenant.time_zone}; since {when(tenant.created_at)} UTC")
    raised = tenant.effective_sync_interval_minutes > tenant.sync_interval_minutes
    wish = f" (wished: {tenant.sync_interval_minutes})" if raised else ""
    out.print(
        f"schedule {_schedule(tenant)}: every {tenant.effective_sync_interval_minutes} min{wish}, next {when(tenant.next_sync_at)} UTC"
    )
    for pause in shown.pauses:
        out.print(f"paused: {described(pause)}")
    for wait in shown.waits:
        out.print(wait)
    out.print()
    print_table(
        ("account", "key", "status", "type", "least interval", "lacks", "ends (UTC)", "checked (UTC)"),
        [
            (account.marketplace, account.masked or "***", account.status or "unknown", account.token_type or "", f"{account.least_sync_interval_minutes} min",
             ", ".join(account.missing_scopes or ()), when(account.expires_at), when(account.verified_at))
            for account in shown.accounts
        ],
    )  # fmt: skip
    out.print()
    print_runs(shown.runs)


async def _read(connection: Connection, tenant_id: UUID) -> TenantShown:
    row = await connection.fetchrow(f"{FACTS_OF_TENANT} WHERE id = $1", tenant_id)
    if row is None:
        raise NotFound(f"There is no tenant {tenant_id}.")
    tenant = _facts(row)
    found = [await connection.fetchrow(ACCOUNT[marketplace], tenant_id) for marketplace in Marketplace]
    accounts = [msgspec.convert(dict(account), Account) for account in found if account]
    held = [pause for pause in await list_pauses(connection) if pause.tenant_id in {None, tenant_id}]
    rows = await connection.fetch(f"{FACTS} WHERE tenant_id = $1 ORDER BY id DESC LIMIT {LAST_RUNS}", tenant_id)
    waits = [
        f"{row['marketplace']} sync {row['id']}: {await what_it_waits_for(connection, row, held)}"
        for row in rows
        if row["status"] in ACTIVE
    ]
    if not accounts:
        waits.append("the schedule waits for a key")
    waits += [f"{account.marketplace}: waits for a key that works" for account in accounts if not account.usable]
    return TenantShown(tenant=tenant, accounts=accounts, pauses=held, runs=[run_facts(row) for row in rows], waits=waits)


def _facts(row: Any) -> TenantFacts:
    return msgspec.convert(dict(row), TenantFacts)


def _schedule(tenant: TenantFacts) -> str:
    if not tenant.sync_enabled:
        return "switched off by the seller"
    if tenant.sync_paused:
        return "paused"
    return "on" if tenant.next_sync_at else "no usable key"
