"""Sealing secrets. The only file that touches cryptography.

A sealed value is `v1.<key id>.<Fernet token>`. The Fernet key is derived (HKDF-SHA256, RFC 5869) from a master key for one tenant and one purpose,
so a value moved to another tenant's row or another column does not open. The key id names the master key: the newest seals, all open.
"""

import base64
from collections.abc import Sequence
from functools import cache
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.errors import StockTrackerError
from app.secret import Secret
from app.settings import get_settings

FORMAT = "v1"
LEAST_RSA_BITS = 2048


class CredentialsUnreadable(StockTrackerError):
    """A sealed value does not open: its master key is gone, or it was made for another tenant or purpose."""

    status = 500
    code = "credentials_unreadable"
    title = "Credentials unreadable"

    def __init__(self) -> None:
        super().__init__("What is stored can't be decrypted with the service's present keys. Please enter it again, or ask the operator.")


class UnusableKey(ValueError):
    """Not a private RSA key that can sign. Says nothing more, so that nothing of the key is in it."""


class Vault:
    """Seals and opens with the given master keys (44-character Fernet keys), newest first."""

    def __init__(self, master_keys: Sequence[Secret]) -> None:
        self._masters = {key_id(master): base64.urlsafe_b64decode(master.reveal()) for master in master_keys}
        self._newest = key_id(master_keys[0])

    @property
    def key_ids(self) -> frozenset[str]:
        return frozenset(self._masters)

    @property
    def key_order(self) -> tuple[str, ...]:
        """Newest first."""
        return tuple(self._masters)

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        return self._newest

    def seal(self, value: Secret, *, tenant_id: UUID, purpose: str) -> str:
        """`purpose` names the column the value is for, such as `wildberries`; the same must be given to open it."""
        token = self._fernet(self._newest, tenant_id, purpose).encrypt(value.reveal().encode())
        return f"{FORMAT}.{self._newest}.{token.decode()}"

    def unseal(self, sealed: str, *, tenant_id: UUID, purpose: str) -> Secret:
        """The value that was sealed.

        Raises:
            CredentialsUnreadable: it does not open.
        """
        version, _, rest = sealed.partition(".")
        name, _, token = rest.partition(".")
        if version != FORMAT or name not in self._masters:
            raise CredentialsUnreadable
        try:
            return Secret(self._fernet(name, tenant_id, purpose).decrypt(token.encode()).decode())
        except InvalidToken:
            raise CredentialsUnreadable from None

    def _fernet(self, name: str, tenant_id: UUID, purpose: str) -> Fernet:
        info = b"stock-tracker\x00" + tenant_id.bytes + purpose.encode()
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self._masters[name])
        return Fernet(base64.urlsafe_b64encode(derived))


def key_id(master: Secret) -> str:
    """Eight hexadecimal digits that name a master key and tell nothing about it."""
    return HKDF(algorithm=SHA256(), length=4, salt=None, info=b"stock-tracker key id").derive(master.reveal().encode()).hex()


def check_rsa_key(pem: Secret) -> None:
    """Find out whether a seller's private key can sign. Takes some 50 ms of CPU.

    Raises:
        UnusableKey: it is no PEM, no RSA, locked with a passphrase, or shorter than `LEAST_RSA_BITS`.
    """
    try:
        key = load_pem_private_key(pem.reveal().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnusableKey from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < LEAST_RSA_BITS:
        raise UnusableKey


@cache
def get_vault() -> Vault:
    """The vault of this process, with the keys of the settings."""
    return Vault(get_settings().encryption_master_keys)
