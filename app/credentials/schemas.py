"""Credentials as they cross the wire. A secret comes in and never goes out."""

from datetime import datetime
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from app.api.structs import In, Out, SecretText
from app.credentials.google import ServiceAccountText, SheetId
from app.credentials.tables import Provider
from app.marketplaces.contract import CredentialStatus

# Ozon: "Client-Id header value should be positive integer"; it is an int64.
ClientId = Annotated[str, Meta(min_length=1, max_length=18, pattern=r"^[1-9][0-9]{0,17}$", examples=["1234567"])]


class CredentialsPatch(In, frozen=True):
    """What is left out stays as it is.

    Ozon's key is a pair. A new `ozon_api_key` alone is taken with the Client-Id that is stored; an `ozon_client_id` needs its key beside it. The OAuth token
    of an Ozon application, `ozon_access_token`, serves instead of the pair. A spreadsheet and the service account that writes there can be given together or
    one after the other; the spreadsheet's whole address is accepted and cut.
    """

    EXAMPLE: ClassVar[dict[str, object]] = {
        "wildberries_api_key": "eyJhbGciOiJFUzI1NiJ9.…",
        "ozon_client_id": "1234567",
        "ozon_api_key": "7c1f0d2e-…",
        "google_sheet_id": "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms",
        "google_credentials_json": {
            "type": "service_account",
            "client_email": "stocks@my-shop.iam.gserviceaccount.com",
            "private_key": "-----BEGIN PRIVATE KEY-----\n…",
        },
    }

    wildberries_api_key: SecretText | UnsetType = UNSET
    ozon_client_id: ClientId | UnsetType = UNSET
    ozon_api_key: SecretText | UnsetType = UNSET
    ozon_access_token: SecretText | UnsetType = UNSET
    google_sheet_id: SheetId | UnsetType = UNSET
    google_credentials_json: ServiceAccountText | UnsetType = UNSET


class CredentialOut(Out, frozen=True, kw_only=True):
    """What is known of a provider's credentials. All but the first two are null where nothing is configured.

    `status`: `unverified`, nobody could be asked yet, and the next sync will; `valid`; `expiring`, it works, for less than 30 days; `invalid`, it has
    ended or the marketplace doesn't accept it, and the account is not synced.

    Google is not asked yet, so what is given for it stays `unverified`; `advice` then says what is missing, or with whom to share the spreadsheet.

    `scopes` are the parts of a sync that the key allows, `missing_scopes` those it doesn't; `advice` says in the seller's language what to tick for them.
    `least_sync_interval_minutes` is how often a sync can learn anything new with this key. If the tenant wishes for a shorter interval, `sync_interval_note` says
    in the seller's language why this account is not synced so often.
    `seller_id` is the account at the marketplace; Ozon's Client-Id. `shared`: another user of this service has a key of the same account.
    """

    EXAMPLE: ClassVar[dict[str, object]] = {
        "provider": "wildberries",
        "configured": True,
        "status": "valid",
        "masked": "eyJ…9fQ2",
        "seller_id": "5f1c7a52-8f0e-4f5e-9d1b-2f4f5a6b7c8d",
        "token_type": "personal",
        "scopes": ["products", "prices"],
        "missing_scopes": ["stocks", "orders"],
        "advice": "Ключ Wildberries не позволяет загружать: остатки, заказы. "
        "Создайте новый и отметьте в нём: «Контент», «Аналитика», «Цены и скидки», «Маркетплейс», «Статистика».",
        "least_sync_interval_minutes": 30,
        "sync_interval_note": "Wildberries обновляет отчёты раз в 30 минут: чаще загружать нечего.",
        "expires_at": "2027-05-21T10:00:00Z",
        "shared": False,
        "verified_at": "2026-11-22T10:00:00Z",
        "updated_at": "2026-11-22T10:00:00Z",
    }

    provider: Provider
    configured: bool
    status: CredentialStatus | None = None
    masked: str | None = None
    seller_id: str | None = None
    token_type: str | None = None
    scopes: list[str] | None = None
    missing_scopes: list[str] | None = None
    advice: str | None = None
    least_sync_interval_minutes: int | None = None
    sync_interval_note: str | None = None
    expires_at: datetime | None = None
    shared: bool | None = None
    verified_at: datetime | None = None
    updated_at: datetime | None = None


class CredentialsUpdated(Out, frozen=True):
    """The answer to a change: all providers, configured or not."""

    message: Annotated[str, Meta(examples=["Credentials updated successfully"])]
    credentials: list[CredentialOut]


class LinkIn(In, frozen=True):
    """For whom a key will be given."""

    provider: Provider


class LinkOut(Out, frozen=True):
    """A page that works once, until `expires_at`. Its address is shown once: send it to the seller, and to nobody else."""

    EXAMPLE: ClassVar[dict[str, object]] = {
        "url": "https://stock.example.com/connect/Yl0mJc8XWmQ1n5o3TqkzGfWzV7n0b4rC2sHdE9uAxPI",
        "expires_at": "2026-11-22T10:15:00Z",
    }

    url: str
    expires_at: datetime
