"""What keys may do: first as they say themselves, then as their marketplaces say."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from app.credentials.factory import make_client
from app.credentials.store import Credentials, WildberriesCredentials
from app.errors import FieldError, InvalidInput
from app.marketplaces.contract import CredentialStatus, KeyFacts, Marketplace, MarketplaceClient
from app.marketplaces.errors import CredentialsRejected, MarketplaceDown, MarketplaceError
from app.marketplaces.ozon.keys import OzonCredentials, OzonToken

EXPIRING_WITHIN = timedelta(days=30)
# A seller waits for the answer in a chat; a marketplace that takes longer counts as one that can't be reached.
VERIFY_TIMEOUT_S = 12.0

ASKED_DAILY = (Marketplace.OZON,)
"""Whose keys are shown to the marketplace once a day. Ozon's `/v1/roles` is made for that: it tells the roles, which the seller may change, and when the key
ends. Not Wildberries': its `/ping` tells nothing that the key itself doesn't, and who calls it by a clock is barred for a while; each sync tries the key.
Sources: docs.ozon.ru/api/seller, "/v1/roles"; dev.wildberries.ru, "Introduction to API", "Connection check", both as of 2026-11."""

log = structlog.get_logger(__name__)


class Verdict(msgspec.Struct, frozen=True):
    """`unverified` where nobody was asked, or nobody answered; the facts are then what the key says of itself."""

    status: CredentialStatus
    facts: KeyFacts


class KeysRejected(InvalidInput):
    """A marketplace doesn't accept a key, or it can't be one: `errors` say which."""

    code = "credentials_rejected"
    title = "Credentials rejected"

    def __init__(self, rejections: Sequence[tuple[str, CredentialsRejected]]) -> None:
        """Each with the field of the request."""
        self.rejections = rejections
        errors = tuple(FieldError(field, error.detail) for field, error in rejections)
        super().__init__(" ".join(error.message for error in errors), errors)


async def verify_keys(keys: Mapping[Marketplace, Credentials], *, online: bool) -> dict[Marketplace, Verdict]:
    """Read all keys, and then, if `online`, ask their marketplaces side by side, each once.

    Raises:
        KeysRejected: at least one is no good. If one can be told without asking, nobody was asked.
    """
    clients = {marketplace: make_client(key) for marketplace, key in keys.items()}
    verdicts: dict[Marketplace, Verdict] = {}
    rejections: dict[Marketplace, CredentialsRejected] = {}
    for marketplace, client in clients.items():
        try:
            verdicts[marketplace] = Verdict(CredentialStatus.UNVERIFIED, client.read_key())
        except CredentialsRejected as error:
            rejections[marketplace] = error
    if online and not rejections:
        answers = await asyncio.gather(*(_ask(client, verdicts[marketplace]) for marketplace, client in clients.items()))
        for marketplace, answer in zip(clients, answers, strict=True):
            if isinstance(answer, Verdict):
                verdicts[marketplace] = answer
            else:
                rejections[marketplace] = answer
    if rejections:
        raise KeysRejected([(field_of(keys[marketplace]), error) for marketplace, error in rejections.items()])
    return verdicts


def field_of(key: Credentials) -> str:
    """What a request calls the secret part of it."""
    match key:
        case WildberriesCredentials():
            return "wildberries_api_key"
        case OzonCredentials():
            return "ozon_api_key"
        case OzonToken():
            return "ozon_access_token"


def verdict_on(facts: KeyFacts) -> Verdict:
    """Of a key that its marketplace accepts."""
    expiring = facts.expires_at is not None and facts.expires_at < datetime.now(UTC) + EXPIRING_WITHIN
    return Verdict(CredentialStatus.EXPIRING if expiring else CredentialStatus.VALID, facts)


async def _ask(client: MarketplaceClient, unasked: Verdict) -> Verdict | CredentialsRejected:
    try:
        async with asyncio.timeout(VERIFY_TIMEOUT_S):
            return verdict_on(await client.verify())
    except CredentialsRejected as rejection:
        return rejection
    except (MarketplaceError, TimeoutError) as error:
        code = error.code if isinstance(error, MarketplaceError) else MarketplaceDown.code
        log.warning("credentials.not_verified", marketplace=client.marketplace, reason=code)
        return unasked
