"""Credentials as they cross the wire. A secret comes in and never goes out."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from app.api.structs import In, SecretText
from app.credentials.tables import Provider
from app.marketplaces.contract import CredentialStatus


class CredentialsPatch(In, frozen=True):
    """What is left out stays as it is."""

    wildberries_api_key: SecretText | UnsetType = UNSET


class CredentialOut(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a provider's credentials. All but the first two are null where nothing is configured.

    `scopes` are the parts of a sync that the key allows, `missing_scopes` those it doesn't.
    """

    provider: Provider
    configured: bool
    status: CredentialStatus | None = None
    masked: str | None = None
    token_type: str | None = None
    scopes: list[str] | None = None
    missing_scopes: list[str] | None = None
    expires_at: datetime | None = None
    verified_at: datetime | None = None
    updated_at: datetime | None = None


class CredentialsUpdated(msgspec.Struct, frozen=True):
    """The answer to a change."""

    message: str
    credentials: list[CredentialOut]
