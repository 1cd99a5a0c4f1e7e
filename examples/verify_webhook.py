"""Verify a webhook of Stock Tracker with an off-the-shelf library: pip install standardwebhooks."""

from collections.abc import Mapping
from typing import Any

from standardwebhooks.webhooks import Webhook


def verify(secret: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The event. Raises WebhookVerificationError, or ValueError for a header that makes no sense: answer either with 401.

    `body` is the raw request body: JSON that was parsed and written again is other bytes.
    """
    return Webhook(secret).verify(body, dict(headers))
