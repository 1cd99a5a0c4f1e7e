"""Signatures that any Standard Webhooks library verifies.

Source: Standard Webhooks, version 1.0.0 (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
"""

import base64
import hmac
import secrets as randomness
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from app.secret import Secret

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 — every secret begins so
SECRET_BYTES: Final = 32
"""The standard asks for 24 to 64."""


def new_secret() -> Secret:
    """A random secret. In standard base64: of the URL-safe alphabet's `-` and `_` the public libraries make another key, without a word."""
    return Secret(SECRET_PREFIX + base64.b64encode(randomness.token_bytes(SECRET_BYTES)).decode())


def sign(message_id: str, sent_at: datetime, body: bytes, secrets: Sequence[Secret]) -> dict[str, str]:
    """The three headers of one attempt, with a signature for each secret.

    `sent_at` is the time of this attempt, aware: receivers refuse what is more than five minutes off. `body` is what goes over the wire, byte
    for byte.

    Raises:
        ValueError: there is no secret, or one is not as `new_secret` makes it.
    """
    if not secrets:
        raise ValueError("A message needs a secret to be signed with.")
    timestamp = str(int(sent_at.timestamp()))
    message = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        # One space, no comma: a comma separates a version from its signature.
        "webhook-signature": " ".join(f"v1,{_signature(secret, message)}" for secret in secrets),
    }


def _signature(secret: Secret, message: bytes) -> str:
    key = base64.b64decode(secret.reveal().removeprefix(SECRET_PREFIX), validate=True)
    return base64.b64encode(hmac.digest(key, message, "sha256")).decode()
