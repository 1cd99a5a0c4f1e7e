"""The two tokens of a signed-in user.

**Access tokens** are JSON Web Tokens (RFC 7519) signed with HS256. They live 15 minutes and are believed without a look into the database, except
for whether their login session still lives.

**Refresh tokens** are opaque: `rt_` and, in base64url, the login session's id (16 bytes), a secret (32) and a seal (18). Of the secret only the
SHA-256 is stored. The seal is a MAC with our key: it tells a token that we once gave out, and that was replaced since, from one that somebody made
up, so that the theft of an old token shows without keeping all old hashes, and nobody can have a session revoked by knowing its id.

Each refresh token has one successor, whose secret is a MAC of its own: whoever repeats a refresh, because the answer got lost or two tasks of a bot
came at once, gets the same token and no second line of them. Without our key the successor can't be computed.

Both kinds use the secrets of `JWT_SECRET`, newest first: the first signs, all verify.
"""

import base64
import hashlib
import hmac
import os
import re
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Final, Self
from uuid import UUID

import jwt
import msgspec

from app.api.roles import Caller, Role
from app.errors import Unauthenticated
from app.ids import new_id
from app.secret import Secret

ACCESS_TOKEN_LIFETIME: Final = timedelta(minutes=15)
LEEWAY: Final = timedelta(seconds=30)
"""Between the clocks of the machines that sign and verify."""

ISSUER: Final = "stock-tracker"
AUDIENCE: Final = "stock-tracker-api"
CLAIMS: Final = ("sub", "tid", "sid", "role", "jti", "iss", "aud", "iat", "exp")

# `\Z` and not `$`, which lets a line's end pass.
_SERVICE: Final = re.compile(r"^service:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")

_PREFIX: Final = "rt_"
_ID_BYTES, _SECRET_BYTES, _SEAL_BYTES = 16, 32, 18
# 66 bytes make 88 characters with no bit to spare, so a token has one spelling.
_FORM: Final = re.compile(_PREFIX + r"[A-Za-z0-9_-]{88}")


class _Actor(msgspec.Struct, frozen=True):
    sub: Annotated[str, msgspec.Meta(pattern=_SERVICE.pattern)]


class _Claims(msgspec.Struct, frozen=True):
    sub: UUID
    tid: UUID
    sid: UUID
    role: Role
    exp: int
    act: _Actor | None = None


class VerifiedToken(msgspec.Struct, frozen=True):
    """Whom an access token speaks for, and until when: `expires_at` is in seconds since 1970, the leeway included."""

    caller: Caller
    expires_at: float


def issue_access_token(caller: Caller, secrets: Sequence[Secret]) -> str:
    """A token that speaks for the caller during the next 15 minutes. A service that acts for the user stands in `act` (RFC 8693, section 4.1)."""
    now = int(time.time())
    claims: dict[str, object] = {
        "sub": str(caller.user_id),
        "tid": str(caller.tenant_id),
        "sid": str(caller.session_id),
        "role": caller.role.value,
        "jti": str(new_id()),
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + int(ACCESS_TOKEN_LIFETIME.total_seconds()),
    }
    if caller.service_key_id is not None:
        claims["act"] = {"sub": caller.actor}
    return jwt.encode(claims, secrets[0].reveal(), algorithm="HS256")


def read_access_token(token: str, secrets: Sequence[Secret]) -> VerifiedToken:
    """Check the signature, the algorithm, the claims and the time.

    Raises:
        Unauthenticated: the token expired, or is none of ours.
    """
    for secret in secrets:
        try:
            claims = jwt.decode(
                token,
                secret.reveal(),
                algorithms=["HS256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=LEEWAY,
                options={"require": list(CLAIMS), "strict_aud": True},
            )
            verified = msgspec.convert(claims, _Claims)
        except jwt.InvalidSignatureError:
            continue
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The access token has expired; get a new one with POST /api/v1/auth/refresh.") from None
        except (jwt.InvalidTokenError, msgspec.ValidationError):
            break
        service_key_id = None if verified.act is None else UUID(verified.act.sub.removeprefix("service:"))
        caller = Caller(verified.sub, verified.tid, verified.sid, verified.role, service_key_id)
        return VerifiedToken(caller, verified.exp + LEEWAY.total_seconds())
    raise Unauthenticated("The access token is not valid.")


class RefreshToken(msgspec.Struct, frozen=True):
    """A refresh token taken apart. It is only as true as `matches()` or `is_ours()` say."""

    session_id: UUID
    secret: bytes
    seal: bytes

    @classmethod
    def first(cls, session_id: UUID, secrets: Sequence[Secret]) -> Self:
        """The first token of a login session."""
        return cls._sealed(session_id, os.urandom(_SECRET_BYTES), secrets)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None: it has not the form of our tokens."""
        if not _FORM.fullmatch(text):
            return None
        raw = base64.urlsafe_b64decode(text.removeprefix(_PREFIX))
        secret_end = _ID_BYTES + _SECRET_BYTES
        return cls(UUID(bytes=raw[:_ID_BYTES]), raw[_ID_BYTES:secret_end], raw[secret_end:])

    def text(self) -> str:
        return _PREFIX + base64.urlsafe_b64encode(self.session_id.bytes + self.secret + self.seal).decode()

    def hash(self) -> bytes:
        """What is stored of it: 32 bytes."""
        return hashlib.sha256(self.secret).digest()

    def matches(self, stored_hash: bytes | None) -> bool:
        return stored_hash is not None and hmac.compare_digest(self.hash(), stored_hash)

    def is_ours(self, secrets: Sequence[Secret]) -> bool:
        """Whether we made it, with one of these secrets."""
        return any(hmac.compare_digest(self.seal, _seal(secret, self.session_id, self.secret)) for secret in secrets)

    def successor(self, secrets: Sequence[Secret]) -> Self:
        """The token that replaces this one: always the same, as long as the newest secret is."""
        return self._sealed(self.session_id, _mac(secrets[0], b"refresh token: successor", self.session_id, self.secret), secrets)

    @classmethod
    def _sealed(cls, session_id: UUID, secret: bytes, secrets: Sequence[Secret]) -> Self:
        return cls(session_id, secret, _seal(secrets[0], session_id, secret))

    def __repr__(self) -> str:
        return f"RefreshToken(session_id={self.session_id}, {Secret.MASK})"


def _seal(key: Secret, session_id: UUID, secret: bytes) -> bytes:
    return _mac(key, b"refresh token: seal", session_id, secret)[:_SEAL_BYTES]


def _mac(key: Secret, purpose: bytes, session_id: UUID, secret: bytes) -> bytes:
    # The purpose has a space, which nothing has that is signed as a JSON Web Token: no MAC can be taken for one of another use.
    return hmac.digest(key.reveal().encode(), purpose + b"\0" + session_id.bytes + secret, "sha256")
