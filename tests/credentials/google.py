"""A service account as Google would make it, with a key of our own."""

import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

SHEET = "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"
EMAIL = "stocks@my-shop.iam.gserviceaccount.com"


@cache
def private_key(bits: int = 2048, passphrase: str | None = None) -> str:
    key = rsa.generate_private_key(65537, bits)
    lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock).decode()


def service_account(**changed: Any) -> dict[str, Any]:
    """The fields of the file; one that is changed to None is left out."""
    fields = {
        "type": "service_account",
        "project_id": "my-shop",
        "private_key_id": "0123456789abcdef",
        "private_key": private_key(),
        "client_email": EMAIL,
        "client_id": "123456789012345678901",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
        **changed,
    }
    return {name: value for name, value in fields.items() if value is not None}


def as_text(**changed: Any) -> str:
    return json.dumps(service_account(**changed))
