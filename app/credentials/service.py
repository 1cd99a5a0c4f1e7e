"""Giving, looking at, checking and taking back keys."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from app.audit.service import record as audit
from app.credentials.factory import wildberries_client
from app.credentials.schemas import CredentialOut
from app.credentials.store import delete_wildberries_credentials, get_wildberries_credentials, update_wildberries_credentials
from app.credentials.tables import Provider
from app.database import Connection, tenant_scope
from app.errors import CredentialsMissing
from app.events.outbox import record
from app.events.types import CredentialsInvalid
from app.ids import new_id
from app.jobs import enqueue
from app.marketplaces.contract import CredentialStatus, KeyFacts, Marketplace
from app.marketplaces.errors import CredentialsRejected, MarketplaceDown, MarketplaceError
from app.runs.checkpoints import forget_checkpoints
from app.runs.jobs import WakeWorker
from app.runs.schedule import pause_schedule, plan_next_sync
from app.runs.service import add_run, cancel_active
from app.runs.tables import Trigger
from app.secret import Secret
from app.tenants.service import lock_tenant

EXPIRING_WITHIN = timedelta(days=30)
# A seller waits for the answer in a chat; a marketplace that takes longer counts as one that can't be reached.
VERIFY_TIMEOUT_S = 12.0

FACTS = """
    INSERT INTO credentials
           (id, tenant_id, provider, status, masked, seller_id, token_type, scopes, missing_scopes, read_only, expires_at, verified_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, CASE WHEN $12 THEN now() END, now())
        ON CONFLICT (tenant_id, provider) DO UPDATE
       SET status = excluded.status, masked = excluded.masked, seller_id = excluded.seller_id, token_type = excluded.token_type,
           scopes = excluded.scopes, missing_scopes = excluded.missing_scopes, read_only = excluded.read_only,
           expires_at = excluded.expires_at, verified_at = coalesce(excluded.verified_at, credentials.verified_at),
           updated_at = CASE WHEN $13 THEN now() ELSE credentials.updated_at END
"""

MESSAGES = {
    "ru": "Маркетплейс больше не принимает ключ. Создайте новый в личном кабинете и отправьте его боту.",
    "en": "The marketplace no longer accepts the key. Make a new one in its cabinet and send it to the bot.",
}

IS_AS_READ = "SELECT EXISTS (SELECT FROM credentials WHERE tenant_id = $1 AND provider = $2 AND updated_at <= $3)"

log = structlog.get_logger(__name__)


async def list_credentials(tenant_id: UUID) -> list[CredentialOut]:
    """All providers, configured or not."""
    async with tenant_scope(tenant_id) as connection:
        return await _list(connection, tenant_id)


async def update_credentials(tenant_id: UUID, actor: str, wildberries_api_key: Secret, *, verify: bool) -> list[CredentialOut]:
    """Check the key, store it, and start the first sync if it is the first valid one.

    Raises:
        CredentialsRejected: the marketplace doesn't accept it; nothing changed.
    """
    status, facts = await _ask(wildberries_api_key, online=verify)
    async with tenant_scope(tenant_id) as connection:
        await lock_tenant(connection, tenant_id)
        before = await connection.fetchrow(
            "SELECT status, seller_id FROM credentials WHERE tenant_id = $1 AND provider = $2", tenant_id, Provider.WILDBERRIES
        )
        other_seller = before is not None and None not in (before["seller_id"], facts.seller_id) and before["seller_id"] != facts.seller_id
        if other_seller:
            # Another shop: what an earlier sync knows of the former one says nothing about it.
            await cancel_active(connection, tenant_id, Marketplace.WILDBERRIES)
            await forget_checkpoints(connection, tenant_id, Marketplace.WILDBERRIES)
        await update_wildberries_credentials(tenant_id, wildberries_api_key, connection)
        await _write_facts(connection, tenant_id, wildberries_api_key, status, facts, new_key=True)
        await plan_next_sync(connection, tenant_id)
        await audit(connection, tenant_id, actor, "credentials.updated", {"provider": Provider.WILDBERRIES, "status": status})
        usable = (CredentialStatus.VALID, CredentialStatus.EXPIRING)
        starts = status in usable and (before is None or before["status"] not in usable or other_seller)
        if starts:
            await add_run(connection, tenant_id, Marketplace.WILDBERRIES, Trigger.CREDENTIALS)
        after = await _list(connection, tenant_id)
    if starts:
        await enqueue(WakeWorker())
    return after


async def verify_credentials(tenant_id: UUID, provider: Provider) -> CredentialOut:
    """Ask the marketplace now whether it accepts the stored key, and keep the answer.

    Raises:
        CredentialsMissing: nothing is stored for the provider.
        MarketplaceDown, RateLimited: it can't be asked now; what was known stays.
    """
    _only_wildberries(provider)
    async with tenant_scope(tenant_id) as connection:
        read_at: datetime = await connection.fetchval("SELECT now()")
    api_key = (await get_wildberries_credentials(tenant_id)).api_key
    try:
        facts = await wildberries_client(api_key).verify()
    except CredentialsRejected as error:
        async with tenant_scope(tenant_id) as connection:
            await reject_credentials(connection, tenant_id, Marketplace.WILDBERRIES, error.detail, read_at=read_at)
            return await _one(connection, tenant_id, provider)
    async with tenant_scope(tenant_id) as connection:
        await lock_tenant(connection, tenant_id)
        # A key that was stored or taken back meanwhile is not the one that was asked about.
        if await connection.fetchval(IS_AS_READ, tenant_id, provider, read_at):
            await _write_facts(connection, tenant_id, api_key, _status(facts), facts, new_key=False)
            if await connection.fetchval("SELECT next_sync_at IS NULL FROM tenants WHERE id = $1", tenant_id):
                await plan_next_sync(connection, tenant_id)
        return await _one(connection, tenant_id, provider)


async def delete_credentials(tenant_id: UUID, actor: str, provider: Provider) -> None:
    """Forget the key, call its run off, and end the schedule. What was copied stays.

    Raises:
        CredentialsMissing: nothing is stored for the provider.
    """
    _only_wildberries(provider)
    async with tenant_scope(tenant_id) as connection:
        await lock_tenant(connection, tenant_id)
        if not await delete_wildberries_credentials(tenant_id, connection):
            raise CredentialsMissing(f"There is no {provider} key.")
        await connection.execute("DELETE FROM credentials WHERE tenant_id = $1 AND provider = $2", tenant_id, provider)
        await cancel_active(connection, tenant_id, Marketplace.WILDBERRIES)
        await pause_schedule(connection, tenant_id)
        await audit(connection, tenant_id, actor, "credentials.deleted", {"provider": provider})


async def reject_credentials(connection: Connection, tenant_id: UUID, marketplace: Marketplace, detail: str, *, read_at: datetime) -> None:
    """The marketplace no longer accepts the key that was stored at `read_at`: say so once, and stop the schedule. In the caller's transaction.

    A key that was stored since then is another one, and nothing is known against it.
    """
    language = await lock_tenant(connection, tenant_id)
    tag = await connection.execute(
        "UPDATE credentials SET status = $3, verified_at = now() WHERE tenant_id = $1 AND provider = $2 AND status <> $3 AND updated_at <= $4",
        tenant_id, marketplace, CredentialStatus.INVALID, read_at,
    )  # fmt: skip
    if tag == "UPDATE 0":
        return
    await pause_schedule(connection, tenant_id)
    event = CredentialsInvalid(tenant_id=tenant_id, telegram_user_ids=[], provider=marketplace, detail=detail, message=MESSAGES[language])
    await record(connection, tenant_id, event)


async def confirm_credentials(connection: Connection, tenant_id: UUID, marketplace: Marketplace, *, read_at: datetime) -> None:
    """A sync went through with the key that was stored at `read_at`, which nobody could check before: it is valid. In the caller's transaction."""
    await connection.execute(
        "UPDATE credentials SET status = $3, verified_at = now() WHERE tenant_id = $1 AND provider = $2 AND status = $4 AND updated_at <= $5",
        tenant_id, marketplace, CredentialStatus.VALID, CredentialStatus.UNVERIFIED, read_at,
    )  # fmt: skip


async def _ask(api_key: Secret, *, online: bool) -> tuple[CredentialStatus, KeyFacts]:
    """What the key may do. `unverified` where nobody was asked or nobody answered."""
    client = wildberries_client(api_key)
    facts = client.read_key()
    if not online:
        return CredentialStatus.UNVERIFIED, facts
    try:
        async with asyncio.timeout(VERIFY_TIMEOUT_S):
            facts = await client.verify()
    except CredentialsRejected:
        raise
    except (MarketplaceError, TimeoutError) as error:
        log.warning("credentials.not_verified", reason=error.code if isinstance(error, MarketplaceError) else MarketplaceDown.code)
        return CredentialStatus.UNVERIFIED, facts
    return _status(facts), facts


def _status(facts: KeyFacts) -> CredentialStatus:
    if facts.expires_at is not None and facts.expires_at < datetime.now(UTC) + EXPIRING_WITHIN:
        return CredentialStatus.EXPIRING
    return CredentialStatus.VALID


async def _write_facts(
    connection: Connection, tenant_id: UUID, api_key: Secret, status: CredentialStatus, facts: KeyFacts, *, new_key: bool
) -> None:
    await connection.execute(
        FACTS, new_id(), tenant_id, Provider.WILDBERRIES, status, api_key.hint(), facts.seller_id, facts.token_type,
        list(facts.scopes), list(facts.missing_scopes), facts.read_only, facts.expires_at, status != CredentialStatus.UNVERIFIED, new_key,
    )  # fmt: skip


def _only_wildberries(provider: Provider) -> None:
    if provider != Provider.WILDBERRIES:
        raise CredentialsMissing(f"There is no {provider} key: this version keeps Wildberries keys only.")


async def _list(connection: Connection, tenant_id: UUID) -> list[CredentialOut]:
    rows = {row["provider"]: row for row in await connection.fetch("SELECT * FROM credentials WHERE tenant_id = $1", tenant_id)}
    return [_out(rows[provider]) if provider in rows else CredentialOut(provider=provider, configured=False) for provider in Provider]


async def _one(connection: Connection, tenant_id: UUID, provider: Provider) -> CredentialOut:
    return next(item for item in await _list(connection, tenant_id) if item.provider == provider)


def _out(row: Any) -> CredentialOut:
    return CredentialOut(
        provider=Provider(row["provider"]),
        configured=True,
        status=CredentialStatus(row["status"]),
        masked=row["masked"],
        token_type=row["token_type"],
        scopes=row["scopes"],
        missing_scopes=row["missing_scopes"],
        expires_at=row["expires_at"],
        verified_at=row["verified_at"],
        updated_at=row["updated_at"],
    )
