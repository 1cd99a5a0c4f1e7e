"""Giving, looking at, checking and taking back keys."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from app.audit.service import record as audit
from app.credentials import messages, spreadsheet
from app.credentials.factory import create_marketplace_client
from app.credentials.given import keys_in, wrong
from app.credentials.schemas import CredentialOut, CredentialsPatch
from app.credentials.sharing import review_sharing
from app.credentials.store import delete_credentials_of, masked, update_credentials_of
from app.credentials.tables import Provider
from app.credentials.verification import ASKED_DAILY, EXPIRING_WITHIN, VERIFY_TIMEOUT_S, Verdict, verdict_on, verify_keys
from app.database import Connection, tenant_scope
from app.errors import CredentialsMissing
from app.events.jobs import DeliverEvents
from app.events.outbox import record
from app.events.types import CredentialsInvalid
from app.ids import new_id
from app.jobs import enqueue
from app.marketplaces.contract import CredentialStatus, Marketplace
from app.marketplaces.errors import CredentialsRejected, MarketplaceDown
from app.runs.checkpoints import forget_checkpoints
from app.runs.jobs import WakeWorker
from app.runs.schedule import pause_schedule, plan_next_sync
from app.runs.service import add_run, cancel_active
from app.runs.tables import Trigger
from app.tenants.rhythm import USUAL_LEAST_INTERVAL
from app.tenants.service import lock_tenant

USABLE = (CredentialStatus.VALID, CredentialStatus.EXPIRING)

# Another shop's key is not known to be shared, and a new key, or one that was extended, is warned of anew.
KEEP = """
    INSERT INTO credentials
           (id, tenant_id, provider, status, masked, seller_id, token_type, scopes, missing_scopes, read_only, expires_at,
            least_interval_minutes, shared, verified_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $13, false, CASE WHEN $4::varchar <> 'unverified' THEN now() END, now())
        ON CONFLICT (tenant_id, provider) DO UPDATE
       SET status = excluded.status, masked = excluded.masked, seller_id = excluded.seller_id, token_type = excluded.token_type,
           scopes = excluded.scopes, missing_scopes = excluded.missing_scopes, read_only = excluded.read_only, expires_at = excluded.expires_at,
           least_interval_minutes = excluded.least_interval_minutes,
           shared = credentials.shared AND credentials.seller_id IS NOT DISTINCT FROM excluded.seller_id,
           warned_days = CASE WHEN NOT $12 AND excluded.expires_at <= credentials.expires_at THEN credentials.warned_days END,
           verified_at = CASE WHEN $12 THEN excluded.verified_at ELSE coalesce(excluded.verified_at, credentials.verified_at) END,
           updated_at = CASE WHEN $12 THEN now() ELSE credentials.updated_at END
"""

KNOWN = "SELECT status, seller_id, masked, updated_at FROM credentials WHERE tenant_id = $1 AND provider = $2"

TENANT = """
    SELECT language, sync_interval_minutes, google_sheet_id, google_credentials_encrypted IS NOT NULL AS has_account FROM tenants WHERE id = $1
"""

STORED_AT = "SELECT updated_at FROM credentials WHERE tenant_id = $1 AND provider = $2"

# A key that the marketplace rejected once and took for a whole sync is good, unless it has ended since. A key that is asked about daily stays due for that:
# a sync tells neither its rights nor its end.
CONFIRM = """
    UPDATE credentials SET status = CASE WHEN expires_at < now() + $5 THEN 'expiring' ELSE 'valid' END,
                           verified_at = CASE WHEN $4 THEN now() ELSE verified_at END
     WHERE tenant_id = $1 AND provider = $2 AND updated_at = $3
       AND CASE status WHEN 'unverified' THEN true
                       WHEN 'invalid' THEN expires_at IS NULL OR expires_at > now()
                       ELSE $4 AND verified_at < now() - interval '1 day' END
"""


async def list_credentials(tenant_id: UUID) -> list[CredentialOut]:
    """All providers, configured or not."""
    async with tenant_scope(tenant_id) as connection:
        tenant = await connection.fetchrow(TENANT, tenant_id)
        rows = {row["provider"]: row for row in await connection.fetch("SELECT * FROM credentials WHERE tenant_id = $1", tenant_id)}
    return [
        _out(rows[provider], tenant) if tenant and provider in rows else CredentialOut(provider=provider, configured=False)
        for provider in Provider
    ]


async def get_credential(tenant_id: UUID, provider: Provider) -> CredentialOut:
    """One provider, configured or not."""
    return next(item for item in await list_credentials(tenant_id) if item.provider == provider)


async def update_credentials(
    tenant_id: UUID, actor: str, patch: CredentialsPatch, *, verify: bool, once: Callable[[Connection], Awaitable[None]] | None = None
) -> list[CredentialOut]:
    """Check all given keys, store them, and start the first sync with each that is the first valid one for its marketplace.

    `once` is done in the transaction that stores them; if it raises, nothing is stored.

    Raises:
        InvalidInput: no key is given, or half of one.
        KeysRejected: a marketplace doesn't accept its key; nothing changed, neither of it nor of the others.
    """
    keys, google = await keys_in(tenant_id, patch), await spreadsheet.read_given(patch)
    if not keys and google is None:
        raise wrong("", "Give at least one key, such as wildberries_api_key")
    verdicts = await verify_keys(keys, online=verify)
    shops: set[tuple[Marketplace, str]] = set()
    starts = False
    async with tenant_scope(tenant_id) as connection:
        await lock_tenant(connection, tenant_id)
        if once is not None:
            await once(connection)
        if google is not None:
            await spreadsheet.keep_given(connection, tenant_id, actor, google)
        for marketplace, key in keys.items():
            verdict = verdicts[marketplace]
            known = await connection.fetchrow(KNOWN, tenant_id, marketplace)
            former, present = known and known["seller_id"], verdict.facts.seller_id
            new_shop = known is not None and former != present
            if new_shop:
                # Another shop, or one that the key doesn't name: what an earlier sync knows of the former one says nothing about it.
                await cancel_active(connection, tenant_id, marketplace)
                await forget_checkpoints(connection, tenant_id, marketplace)
            shops |= {(marketplace, seller) for seller in (former, present) if seller}
            await update_credentials_of(tenant_id, key, connection)
            starts |= await _keep(connection, tenant_id, marketplace, verdict, masked(key), new_key=True, new_shop=new_shop)
            await audit(connection, tenant_id, actor, "credentials.updated", {"provider": marketplace, "status": verdict.status})
        await plan_next_sync(connection, tenant_id)
    await review_sharing(shops)
    if starts:
        await enqueue(WakeWorker())
    return await list_credentials(tenant_id)


async def verify_credentials(tenant_id: UUID, provider: Provider) -> CredentialOut:
    """Ask the marketplace now whether it accepts the stored key, and keep the answer. The first time that it does starts a sync.

    Google's is read again and not shown to Google, so it stays `unverified`.

    Raises:
        CredentialsMissing: nothing is stored for the provider.
        MarketplaceDown, RateLimited: it can't be asked now; what was known stays.
    """
    if provider is Provider.GOOGLE:
        await spreadsheet.check_spreadsheet(tenant_id)
        return await get_credential(tenant_id, provider)
    marketplace = Marketplace(provider)
    async with tenant_scope(tenant_id) as connection:
        # Before the key is read: should another one be stored in between, the answer is taken for neither's.
        stored_at: datetime | None = await connection.fetchval(STORED_AT, tenant_id, marketplace)
    client = await create_marketplace_client(tenant_id, marketplace)
    try:
        async with asyncio.timeout(VERIFY_TIMEOUT_S):
            verdict = verdict_on(await client.verify())
    except TimeoutError:
        raise MarketplaceDown(f"{marketplace.value.capitalize()} does not answer.") from None
    except CredentialsRejected as error:
        async with tenant_scope(tenant_id) as connection:
            await reject_credentials(connection, tenant_id, marketplace, error.detail, stored_at=stored_at)
        await enqueue(DeliverEvents())
        return await get_credential(tenant_id, provider)
    starts = False
    async with tenant_scope(tenant_id) as connection:
        await lock_tenant(connection, tenant_id)
        known = await connection.fetchrow(KNOWN, tenant_id, provider)
        # A key that was stored or taken back meanwhile is not the one that was asked about.
        if known is not None and known["updated_at"] == stored_at:
            starts = await _keep(connection, tenant_id, marketplace, verdict, known["masked"], new_key=False)
            await plan_next_sync(connection, tenant_id)
    if verdict.facts.seller_id:
        await review_sharing([(marketplace, verdict.facts.seller_id)])
    if starts:
        await enqueue(WakeWorker())
    return await get_credential(tenant_id, provider)


async def delete_credentials(tenant_id: UUID, actor: str, provider: Provider) -> None:
    """Forget the key, call its run off, and end the schedule if it was the last. What was copied stays.

    Raises:
        CredentialsMissing: nothing is stored for the provider.
    """
    if provider is Provider.GOOGLE:
        await spreadsheet.forget_spreadsheet(tenant_id, actor)
        return
    marketplace = Marketplace(provider)
    async with tenant_scope(tenant_id) as connection:
        await lock_tenant(connection, tenant_id)
        if not await delete_credentials_of(tenant_id, marketplace, connection):
            raise _missing(provider)
        seller_id: str | None = await connection.fetchval(
            "DELETE FROM credentials WHERE tenant_id = $1 AND provider = $2 RETURNING seller_id", tenant_id, provider
        )
        await cancel_active(connection, tenant_id, marketplace)
        # Whose shop this was is forgotten with the key, so the next key's first sync takes nothing for known.
        await forget_checkpoints(connection, tenant_id, marketplace)
        await pause_schedule(connection, tenant_id)
        await audit(connection, tenant_id, actor, "credentials.deleted", {"provider": provider})
    if seller_id:
        await review_sharing([(marketplace, seller_id)])


async def was_replaced(connection: Connection, tenant_id: UUID, marketplace: Marketplace, *, stored_at: datetime | None) -> bool:
    """Whether there is a key, and it is another one than that which was stored at `stored_at`. In the caller's transaction."""
    present: datetime | None = await connection.fetchval(STORED_AT, tenant_id, marketplace)
    return present not in (None, stored_at)


async def reject_credentials(
    connection: Connection, tenant_id: UUID, marketplace: Marketplace, detail: str, *, stored_at: datetime | None
) -> None:
    """The marketplace no longer accepts the key that was stored at `stored_at`: say so once, and leave the account alone. In the caller's transaction.

    If another key is stored now, nothing is known against it.
    """
    language = await lock_tenant(connection, tenant_id)
    tag = await connection.execute(
        "UPDATE credentials SET verified_at = now() WHERE tenant_id = $1 AND provider = $2 AND status <> 'invalid' AND updated_at = $3",
        tenant_id, marketplace, stored_at,
    )  # fmt: skip
    if tag != "UPDATE 0":
        await end_credentials(connection, tenant_id, marketplace, detail=detail, message=messages.rejected(language, marketplace))


async def end_credentials(connection: Connection, tenant_id: UUID, marketplace: Marketplace, *, detail: str, message: str) -> None:
    """The stored key is of no use any more: tell the seller, and pause the schedule if no other account goes on. In the caller's transaction."""
    await connection.execute("UPDATE credentials SET status = 'invalid' WHERE tenant_id = $1 AND provider = $2", tenant_id, marketplace)
    await pause_schedule(connection, tenant_id)
    await audit(connection, tenant_id, "system", "credentials.invalid", {"provider": marketplace, "reason": detail})
    event = CredentialsInvalid(tenant_id=tenant_id, provider=marketplace, detail=detail, message=message)
    await record(connection, tenant_id, event)


async def confirm_credentials(connection: Connection, tenant_id: UUID, marketplace: Marketplace, *, stored_at: datetime | None) -> None:
    """A sync went through with the key that was stored at `stored_at`, so the marketplace accepts it. In the caller's transaction.

    Where keys aren't asked about daily, this is how it is known that they still work.
    """
    tag = await connection.execute(CONFIRM, tenant_id, marketplace, stored_at, marketplace not in ASKED_DAILY, EXPIRING_WITHIN)
    if tag != "UPDATE 0":
        await plan_next_sync(connection, tenant_id)


async def _keep(
    connection: Connection,
    tenant_id: UUID,
    marketplace: Marketplace,
    verdict: Verdict,
    shown: str,
    *,
    new_key: bool,
    new_shop: bool = False,
) -> bool:
    """Write down what is known of a key. True: it is the first that works, and a sync with it was queued."""
    before = await connection.fetchval("SELECT status FROM credentials WHERE tenant_id = $1 AND provider = $2", tenant_id, marketplace)
    facts = verdict.facts
    await connection.execute(
        KEEP, new_id(), tenant_id, marketplace, verdict.status, shown, facts.seller_id, facts.token_type,
        list(facts.scopes), list(facts.missing_scopes), facts.read_only, facts.expires_at, new_key, facts.least_interval_minutes,
    )  # fmt: skip
    starts = verdict.status in USABLE and (before not in USABLE or new_shop)
    if starts:
        await add_run(connection, tenant_id, marketplace, Trigger.CREDENTIALS)
    return starts


def _missing(provider: Provider) -> CredentialsMissing:
    return CredentialsMissing(f"There is no {provider} key.")


def _out(row: Any, tenant: Any) -> CredentialOut:
    if row["provider"] == Provider.GOOGLE:
        return spreadsheet.describe(row, tenant)
    marketplace, language = Marketplace(row["provider"]), tenant["language"]
    least_minutes: int = row["least_interval_minutes"] or USUAL_LEAST_INTERVAL[marketplace]
    raised = least_minutes > tenant["sync_interval_minutes"]
    return CredentialOut(
        provider=Provider(row["provider"]),
        configured=True,
        status=CredentialStatus(row["status"]),
        masked=row["masked"],
        seller_id=row["seller_id"],
        token_type=row["token_type"],
        scopes=row["scopes"],
        missing_scopes=row["missing_scopes"],
        advice=messages.advice(language, marketplace, row["missing_scopes"]) if row["missing_scopes"] else None,
        least_sync_interval_minutes=least_minutes,
        sync_interval_note=messages.interval_note(language, marketplace, least_minutes) if raised else None,
        expires_at=row["expires_at"],
        shared=row["shared"],
        verified_at=row["verified_at"],
        updated_at=row["updated_at"],
    )
