"""One deed for a key: of many at once, of one that was killed, of one that was too slow."""

import asyncio
from datetime import timedelta

import pytest

from app.api.roles import Caller, Role
from app.auth.tokens import read_access_token
from app.credentials.rotation import rotate
from app.database import system_scope
from app.errors import Unauthenticated
from app.idempotency.reservations import KEPT_FOR, RESERVED_FOR, keep_answer, reserve
from app.ids import new_id
from app.secret import Secret
from app.settings import get_settings, new_master_key
from app.vault import Vault
from tests.application import Shop
from tests.idempotency.asking import HOOK, ask, changes_held_up, code, is_replay, kept, let_pass, said, webhooks

pytestmark = pytest.mark.anyio


async def test_of_twenty_at_once_one_does_it(shop: Shop) -> None:
    answers = await asyncio.gather(*(ask(shop) for _ in range(20)))

    made = [answer for answer in answers if answer.status_code == 201]
    assert await webhooks(shop) == 1
    assert len({answer.content for answer in made}) == 1
    assert len([answer for answer in made if not is_replay(answer)]) == 1
    assert {code(answer) for answer in answers if answer not in made} <= {(409, "idempotency_request_in_progress")}


async def test_who_was_killed_keeps_the_key_for_a_minute(shop: Shop) -> None:
    async with changes_held_up(shop) as held:
        killed = await held.begin(ask(shop))
        killed.cancel()
    await asyncio.wait([killed])

    await let_pass(shop, RESERVED_FOR - timedelta(seconds=10))
    too_early = await ask(shop)
    await let_pass(shop, timedelta(seconds=10))
    later = await ask(shop)

    assert code(too_early) == (409, "idempotency_request_in_progress")
    assert (later.status_code, is_replay(later)) == (201, False)
    assert await webhooks(shop) == 1


async def test_who_was_only_slow_finds_the_key_taken_and_does_nothing(shop: Shop) -> None:
    async with changes_held_up(shop) as held:
        slow = await held.begin(ask(shop))
        await held.beside(let_pass(shop, RESERVED_FOR))
        second = await held.begin(ask(shop))

    assert code(await slow) == (409, "idempotency_request_in_progress")
    assert (await second).status_code == 201
    assert await webhooks(shop) == 1
    assert said(await ask(shop)) == said(await second)


async def test_a_key_is_as_good_as_new_after_a_day(shop: Shop) -> None:
    first = await ask(shop)

    await let_pass(shop, KEPT_FOR - timedelta(minutes=1))
    within = await ask(shop)
    await let_pass(shop, timedelta(minutes=1))
    after = await ask(shop, body=HOOK | {"description": "another"})

    assert said(within) == said(first)
    assert (after.status_code, is_replay(after)) == (201, False)
    assert await webhooks(shop) == 2
    assert len(await kept(shop)) == 1


async def test_what_is_kept_goes_with_its_tenant(shop: Shop, other_shop: Shop) -> None:
    await ask(shop)
    await ask(other_shop)

    async with system_scope() as connection:
        await connection.execute("DELETE FROM tenants WHERE id = $1", shop.tenant_id)

    assert (await kept(shop), len(await kept(other_shop))) == ([], 1)


async def test_in_a_tenant_that_is_being_erased_no_key_is_taken(shop: Shop) -> None:
    caller = read_access_token(shop.access_token, get_settings().jwt_secrets).caller
    erased = Caller(caller.user_id, new_id(), caller.session_id, Role.OWNER)

    with pytest.raises(Unauthenticated):
        await reserve(erased, b"k", b"hash", 201)


async def test_outside_of_a_request_with_a_key_nothing_is_kept(shop: Shop) -> None:
    async with system_scope() as connection:
        await keep_answer(connection, {"id": 1})

    assert await kept(shop) == []


async def test_a_rotation_of_the_master_key_seals_answers_anew(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await ask(shop)
    new = Secret(new_master_key())

    async for _ in rotate(Vault([new, *get_settings().encryption_master_keys])):
        pass
    monkeypatch.setattr("app.idempotency.reservations.get_vault", lambda: Vault([new]))

    assert said(await ask(shop)) == said(first)
    assert code(await ask(shop, body=HOOK | {"description": "another"})) == (409, "idempotency_key_reused")


async def test_an_answer_opens_for_its_own_tenant_only(shop: Shop, other_shop: Shop) -> None:
    await ask(shop)
    await ask(other_shop)
    [(_, sealed)] = await kept(shop)
    async with system_scope() as connection:
        await connection.execute("UPDATE idempotent_requests SET answer_encrypted = $1 WHERE tenant_id = $2", sealed, other_shop.tenant_id)

    moved = await ask(other_shop)

    assert code(moved) == (500, "credentials_unreadable")
