"""Sellers who come by Telegram: brought by a bot with a service key, or by the bot's Mini App."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.api.roles import Role, ServiceCaller
from app.audit.service import record, subject
from app.auth.init_data import PRODUCTION_KEY, TEST_KEY, InitDataVerifier
from app.auth.linking import ADD_LINK, HOLD_GIVEN_KEY
from app.auth.schemas import SignedInOut, TelegramSignInIn, WebAppSignInIn
from app.auth.service import JOIN, USER, sign_in
from app.auth.sessions import Device
from app.auth.tenancies import MADE_BY_USER
from app.database import Connection, system_scope
from app.errors import Conflict, FieldError, InvalidInput, NotFound, Unauthenticated
from app.ids import new_id
from app.settings import get_settings
from app.tenants.service import create_tenant

# Where no tenant is named, a seller must not land in one that somebody else let the seller into: anybody may add anybody, and would have the seller's keys in a
# tenant of his own. The locks are those that an unlinking waits for: it ends every session of the link, and none is opened behind its back. First the tenant, as
# its erasure does.
FIND_SELLER = f"""
    SELECT {USER}, membership.tenant_id
      FROM users
      JOIN memberships AS membership ON membership.user_id = users.id
      JOIN tenants AS tenant ON tenant.id = membership.tenant_id
      JOIN service_links AS link ON link.tenant_id = membership.tenant_id
     WHERE users.telegram_user_id = $1 AND link.service_key_id = $2
       AND CASE WHEN $3::uuid IS NULL THEN {MADE_BY_USER} ELSE membership.tenant_id = $3 END
     ORDER BY membership.id LIMIT 1
       FOR KEY SHARE OF tenant FOR SHARE OF link
"""

# Whoever comes second waits for the first, and gets the first one's row.
TAKE_USER = f"""
    INSERT INTO users (id, telegram_user_id, created_at) VALUES ($1, $2, now())
        ON CONFLICT (telegram_user_id) DO UPDATE SET telegram_user_id = excluded.telegram_user_id
 RETURNING {USER}
"""

USE_LAUNCH = "INSERT INTO web_app_sign_ins (hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true"

FIND_USER = f"""
    SELECT {USER}, membership.tenant_id, membership.role
      FROM users JOIN memberships AS membership ON membership.user_id = users.id
     WHERE users.telegram_user_id = $1 AND CASE WHEN $2::uuid IS NULL THEN {MADE_BY_USER} ELSE membership.tenant_id = $2 END
     ORDER BY membership.id LIMIT 1
"""


class TelegramNotConfigured(Conflict):
    """The service's operator named no bot whose Mini App users may sign in."""

    code = "telegram_not_configured"
    title = "Telegram not configured"


class TelegramUserUnknown(NotFound):
    """Telegram vouches for the user, who is no seller here yet."""

    code = "telegram_user_unknown"
    title = "Telegram user unknown"


class InitDataUsed(Unauthenticated):
    """The launch data was used for a sign-in before."""

    code = "init_data_used"
    title = "Launch data used"


async def sign_in_by_service(service: ServiceCaller, data: TelegramSignInIn, device: Device) -> tuple[SignedInOut, bool]:
    """Begin a login session that a bot has for its seller, in the first tenant that the seller made, or the one asked for; True: a tenant was made for it.
    What other bots brought is as if it weren't there.

    Raises:
        NotFound: the user isn't a member of the `tenant_id`, or the bot may not act for it.
        InvalidInput: a new seller, and the name of the company or its marketplace is missing.
        Unauthenticated: the key was revoked or replaced in this moment.
    """
    async with system_scope() as connection:
        if not await connection.fetchval(HOLD_GIVEN_KEY, service.service_key_id, service.secret_hash):
            raise Unauthenticated("The service key is not valid.")
        seller = await connection.fetchrow(FIND_SELLER, data.telegram_user_id, service.service_key_id, data.tenant_id)
        if seller is not None:
            return await _sign_in(connection, service, seller, seller["tenant_id"], device), False
        if data.tenant_id is not None:
            raise NotFound("There is no such tenant of this Telegram user.")
        if data.company_name is None or data.marketplace_type is None:
            needed = {"company_name": data.company_name, "marketplace_type": data.marketplace_type}
            errors = tuple(FieldError(name, "Needed for a new seller") for name, value in needed.items() if value is None)
            raise InvalidInput("This Telegram user is new here.", errors)
        user = await connection.fetchrow(TAKE_USER, new_id(), data.telegram_user_id)
        seller = await connection.fetchrow(FIND_SELLER, data.telegram_user_id, service.service_key_id, None)
        if seller is not None:
            return await _sign_in(connection, service, seller, seller["tenant_id"], device), False
        tenant = await create_tenant(connection, data.company_name, data.marketplace_type)
        await connection.execute(JOIN, new_id(), tenant.id, user["id"], Role.OWNER)
        await connection.execute(ADD_LINK, new_id(), service.service_key_id, tenant.id, service.actor)
        subject.set(f"user:{user['id']}")
        await record(connection, tenant.id, service.actor, "user.registered", {"marketplace_type": data.marketplace_type})
        return await _sign_in(connection, service, user, tenant.id, device), True


async def _sign_in(connection: Connection, service: ServiceCaller, user: Any, tenant_id: UUID, device: Device) -> SignedInOut:
    subject.set(f"user:{user['id']}")
    return await sign_in(connection, user, tenant_id, device, service.service_key_id)


async def sign_in_by_web_app(verifier: InitDataVerifier, data: WebAppSignInIn, device: Device) -> SignedInOut:
    """Begin a login session of the user who opened the Mini App, in the first tenant that the user made, or the one asked for.

    Raises:
        InitDataInvalid, InitDataExpired, InitDataUsed: the Mini App has to be opened again.
        TelegramUserUnknown: there is no such tenant of the user; a bot brings a seller first. The launch data is not used up.
    """
    launch = verifier.verify(data.init_data, datetime.now(UTC))
    async with system_scope() as connection:
        if not await connection.fetchval(USE_LAUNCH, launch.fingerprint, launch.expires_at):
            raise InitDataUsed("This launch data was used before; open the Mini App again.")
        user = await connection.fetchrow(FIND_USER, launch.telegram_user_id, data.tenant_id)
        if user is None:
            raise TelegramUserUnknown("This Telegram user has no such tenant here; start with the bot.")
        return await sign_in(connection, user, user["tenant_id"], device)


def init_data_verifier() -> InitDataVerifier:
    """For the bot of the settings.

    Raises:
        TelegramNotConfigured: they name none.
    """
    settings = get_settings()
    if settings.telegram_bot_id is None:
        raise TelegramNotConfigured("Sign-in by a Mini App is not set up: the service's operator has to set TELEGRAM_BOT_ID.")
    keys = (PRODUCTION_KEY,) if settings.production else (PRODUCTION_KEY, TEST_KEY)
    return InitDataVerifier(settings.telegram_bot_id, settings.telegram_bot_token, keys)
