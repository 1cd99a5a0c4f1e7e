"""What a seller gives us to reach Ozon.

Source: docs.ozon.ru/api/seller, "Authentication", as of 2026-10-01: a Client-Id and an Api-Key from the cabinet, or the OAuth token of an application.
"""

from typing import TypeAlias

import msgspec

from app.secret import Secret


class OzonCredentials(msgspec.Struct, frozen=True):
    """The number of the account, which is no secret, and a key that the seller makes in the cabinet. A key lives three months since 2026-09-02."""

    client_id: str
    api_key: Secret


class OzonToken(msgspec.Struct, frozen=True):
    """An OAuth token of an application that the seller let in. It names the account to Ozon, and not to us."""

    access_token: Secret


OzonKey: TypeAlias = OzonCredentials | OzonToken
