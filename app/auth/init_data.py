"""The launch data of a Telegram Mini App: who opened it, signed by Telegram.

Checked as https://core.telegram.org/bots/webapps describes: by Telegram's public key and the bot's id ("Validating data for Third-Party Use"), for which
nobody has to hand us the bot's token, or by the token ("Validating data received via the Mini App").
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from urllib.parse import parse_qsl

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from app.auth.schemas import TelegramUserId
from app.auth.tokens import LEEWAY
from app.errors import Unauthenticated
from app.secret import Secret

# Both from https://core.telegram.org/bots/webapps#validating-data-for-third-party-use.
PRODUCTION_KEY: Final = bytes.fromhex("e7bf03a2fa4602af4580703d88dda5bb59f32ed8b02a56c187fe7d34caed242d")
TEST_KEY: Final = bytes.fromhex("40055058a4ee38156a06562e52eece92a771bcd8346a8c4615cb7376eddf72ec")
"""Of Telegram's test environment, where user ids mean other people."""

MAX_AGE: Final = timedelta(hours=1)

_MAX_FIELDS: Final = 32
# A line's end would let two fields pass for one.
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f]")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
# 64 bytes: of the last letter two bits count, so that it is one of four.
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9_-]{85}[AQgw](==)?")


class InitDataInvalid(Unauthenticated):
    """The launch data is malformed, or Telegram did not sign it for this bot."""

    code = "init_data_invalid"
    title = "Launch data invalid"


class InitDataExpired(Unauthenticated):
    """The launch data is older than an hour."""

    code = "init_data_expired"
    title = "Launch data expired"


class Launch(msgspec.Struct, frozen=True):
    """A Mini App that was opened. `fingerprint`, 32 bytes, is the same however the data is spelt; after `expires_at` the data is too old anyway."""

    telegram_user_id: int
    fingerprint: bytes
    expires_at: datetime


class _User(msgspec.Struct, frozen=True):
    id: TelegramUserId


class _Fields(msgspec.Struct, frozen=True):
    user: str
    auth_date: Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,11}\Z")]


class InitDataVerifier:
    """Checks the launch data of one bot.

    Args:
        bot_token: if there is one, the data's `hash` is checked with it; otherwise its `signature`, with the public keys.
        public_keys: Ed25519, 32 bytes each; one of them has to have signed.
    """

    def __init__(self, bot_id: int, bot_token: Secret | None = None, public_keys: Sequence[bytes] = (PRODUCTION_KEY,)) -> None:
        self._bot_id = bot_id
        self._secret = None if bot_token is None else hmac.digest(b"WebAppData", bot_token.reveal().encode(), "sha256")
        self._public_keys = [Ed25519PublicKey.from_public_bytes(key) for key in public_keys]

    def verify(self, init_data: Secret, now: datetime) -> Launch:
        """Who opened the Mini App.

        Raises:
            InitDataInvalid: it isn't launch data, it has no user, or it wasn't signed for this bot.
            InitDataExpired: it is more than an hour old.
        """
        fields = _parse(init_data.reveal())
        if not (self._has_hash(fields) if self._secret else self._has_signature(fields)):
            raise InitDataInvalid("The launch data was not signed by Telegram for this service's bot.")
        try:
            known = msgspec.convert(fields, _Fields)
            user = msgspec.json.decode(known.user, type=_User)
        except msgspec.MsgspecError:
            raise InitDataInvalid("The launch data names no user or no time.") from None
        signed_at = datetime.fromtimestamp(int(known.auth_date), UTC)
        if signed_at > now + LEEWAY:
            raise InitDataInvalid("The launch data is from the future.")
        if signed_at < now - MAX_AGE:
            raise InitDataExpired("The launch data is more than an hour old; open the Mini App again.")
        return Launch(user.id, hashlib.sha256(_lines(fields, {"hash", "signature"})).digest(), signed_at + MAX_AGE)

    def _has_hash(self, fields: dict[str, str]) -> bool:
        given = fields.get("hash", "")
        if self._secret is None or not _HASH.fullmatch(given):
            return False
        return hmac.compare_digest(hmac.digest(self._secret, _lines(fields, {"hash"}), "sha256"), bytes.fromhex(given))

    def _has_signature(self, fields: dict[str, str]) -> bool:
        given = fields.get("signature", "")
        if not _SIGNATURE.fullmatch(given):
            return False
        signature = base64.urlsafe_b64decode(given.rstrip("=") + "==")
        signed = f"{self._bot_id}:WebAppData\n".encode() + _lines(fields, {"hash", "signature"})
        return any(_signed(key, signature, signed) for key in self._public_keys)


def _parse(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise InitDataInvalid("This is not the launch data of a Mini App.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InitDataInvalid("A field of the launch data stands there twice.")
    if any("=" in name or _UNFIT.search(name + value) for name, value in pairs):
        raise InitDataInvalid("The launch data has characters that Telegram doesn't send.")
    return fields


def _lines(fields: dict[str, str], without: set[str]) -> bytes:
    """Telegram's "data-check-string"."""
    return "\n".join(f"{name}={fields[name]}" for name in sorted(fields.keys() - without)).encode()


def _signed(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
