"""Passwords: hashed with Argon2id, off the event loop.

The profile is the smallest that OWASP's Password Storage Cheat Sheet recommends: 19 MiB, two passes, one lane. One hash takes about 30 ms of a
core, so two threads make them while the loop goes on, and only so many wait: beyond that a caller is better off asking again.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from app.errors import Unavailable
from app.secret import Secret

T = TypeVar("T")

THREADS: Final = 2
MAX_IN_HAND: Final = 32
"""Passwords that are hashed or wait for it: the last of them waits about half a second."""

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16)
_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")  # starts a thread when first used
_in_hand = 0


class TooManySignIns(Unavailable):
    """More passwords are waiting to be checked than we take on at once."""

    retry_after = timedelta(seconds=1)


async def hash_password(password: Secret) -> str:
    """The text to store, in the form of the Argon2 reference implementation: `$argon2id$v=19$…`.

    Raises:
        TooManySignIns: the queue is full.
    """
    return await _in_thread(lambda: _hasher.hash(_prepared(password)))


async def verify_password(password: Secret, stored_hash: str | None) -> bool:
    """Whether it is the password. None stands for a user that doesn't exist: it takes as long, and is never right.

    Raises:
        TooManySignIns: the queue is full.
    """
    return await _in_thread(lambda: _verify(password, stored_hash))


def needs_rehash(stored_hash: str) -> bool:
    """Whether it was made with other parameters than today's; a sign-in is the occasion to make it anew."""
    return _hasher.check_needs_rehash(stored_hash)


def _verify(password: Secret, stored_hash: str | None) -> bool:
    # Asked for in any case, so that the time it takes to make it says nothing about the first user who isn't there.
    nobodys_hash = _nobodys_hash()
    try:
        _hasher.verify(stored_hash or nobodys_hash, _prepared(password))
    except VerifyMismatchError:
        return False
    return stored_hash is not None


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_hex(32))


def _prepared(password: Secret) -> str:
    """Keyboards differ in how they compose `й` or `é`; the same password is the same bytes (RFC 8265, section 4.2.2, rule 4: NFC)."""
    return unicodedata.normalize("NFC", password.reveal())


async def _in_thread(work: Callable[[], T]) -> T:
    global _in_hand
    if _in_hand >= MAX_IN_HAND:
        raise TooManySignIns("Too many sign-ins at this moment; try again in a second.")
    _in_hand += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_executor, work)
    finally:
        _in_hand -= 1
