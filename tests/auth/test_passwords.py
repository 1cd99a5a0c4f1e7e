"""Passwords: right, wrong, of nobody, and too many."""

import asyncio
import statistics
import time

import pytest
from argon2 import PasswordHasher

from app.auth.passwords import MAX_IN_HAND, TooManySignIns, hash_password, needs_rehash, verify_password
from app.secret import Secret

pytestmark = pytest.mark.anyio

PASSWORD = Secret("correct horse battery staple")


async def test_a_password_fits_its_own_hash_and_no_other() -> None:
    stored = await hash_password(PASSWORD)

    assert await verify_password(PASSWORD, stored)
    assert not await verify_password(Secret("correct horse battery stapl"), stored)
    assert not await verify_password(Secret(""), stored)


async def test_two_hashes_of_one_password_differ_and_have_owasps_profile() -> None:
    one, other = await hash_password(PASSWORD), await hash_password(PASSWORD)

    assert one != other
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert len(one) <= 200


async def test_a_letter_is_the_same_however_the_keyboard_composes_it() -> None:
    stored = await hash_password(Secret("й-composed"))

    assert await verify_password(Secret("и\u0306-composed"), stored)
    assert not await verify_password(Secret("и-composed"), stored)


async def test_the_password_of_nobody_is_never_right() -> None:
    assert not await verify_password(PASSWORD, None)
    assert not await verify_password(Secret(""), None)


async def test_to_find_that_there_is_no_user_takes_as_long_as_a_wrong_password() -> None:
    stored = await hash_password(PASSWORD)
    wrong = Secret("a wrong password")

    durations_s: dict[str | None, list[float]] = {stored: [], None: []}
    for _ in range(9):
        for stored_hash, measured in durations_s.items():
            begun_at = time.perf_counter()
            await verify_password(wrong, stored_hash)
            measured.append(time.perf_counter() - begun_at)
    known, unknown = statistics.median(durations_s[stored]), statistics.median(durations_s[None])

    # Without the check against nobody's hash it would be a hundredth.
    assert 0.4 < unknown / known < 2.5


async def test_a_hash_with_other_parameters_is_to_be_made_anew() -> None:
    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD.reveal())

    assert needs_rehash(old)
    assert await verify_password(PASSWORD, old)
    assert not needs_rehash(await hash_password(PASSWORD))


async def test_the_loop_goes_on_while_a_password_is_hashed() -> None:
    hashing = asyncio.create_task(hash_password(PASSWORD))

    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns > 50


async def test_what_would_wait_too_long_is_refused_at_once_and_the_rest_is_done() -> None:
    stored = await hash_password(PASSWORD)

    outcomes = await asyncio.gather(*(verify_password(PASSWORD, stored) for _ in range(MAX_IN_HAND + 3)), return_exceptions=True)

    assert outcomes.count(True) == MAX_IN_HAND
    refused = [outcome for outcome in outcomes if isinstance(outcome, TooManySignIns)]
    assert len(refused) == 3
    assert refused[0].status == 503
    assert refused[0].retry_after.total_seconds() == 1
    assert await verify_password(PASSWORD, stored)
