"""A bot's own key, from the operator who makes it to the one who ends it."""

import asyncio
import hashlib
import re
from datetime import timedelta

import httpx
import pytest

from app.api.roles import ServiceCaller
from app.auth import service_keys
from app.auth.schemas import TelegramSignInIn
from app.auth.service_keys import (
    ServiceKey,
    ServiceKeyExists,
    create_service_key,
    list_service_keys,
    revoke_service_key,
    rotate_service_key,
    verify_service_key,
)
from app.auth.sessions import Device
from app.auth.telegram import sign_in_by_service
from app.database import system_scope
from app.errors import InvalidInput, NotFound, Unauthenticated
from app.ids import new_id
from app.secret import Secret
from tests.auth.application import Bot, Seller, held_sign_ins, waiting_for_locks

pytestmark = pytest.mark.anyio


async def stored() -> dict[str, object]:
    async with system_scope() as connection:
        return dict(await connection.fetchrow("SELECT * FROM service_keys"))


async def change(assignment: str) -> None:
    async with system_scope() as connection:
        await connection.execute(f"UPDATE service_keys SET {assignment}")


async def test_a_key_has_256_bits_of_which_only_a_hash_is_stored(clean_database: str):
    key = (await create_service_key("shop-bot")).reveal()

    form = re.fullmatch(r"stk_([0-9a-f]{32})_([0-9a-f]{64})", key)
    row = await stored()
    assert form is not None
    assert row["secret_hash"] == hashlib.sha256(bytes.fromhex(form[2])).digest()
    assert form[2] not in str(row)
    assert form[2] not in repr(ServiceKey.parse(key))


async def test_a_key_names_its_service(clean_database: str):
    await create_service_key("other-bot")
    key = await create_service_key("shop-bot")

    parsed = ServiceKey.parse(key.reveal())

    assert parsed is not None
    assert await verify_service_key(key.reveal()) == ServiceCaller(parsed.id, parsed.hash())


@pytest.mark.parametrize(
    "altered",
    [
        lambda key: key[:-1] + ("0" if key[-1] != "0" else "1"),
        lambda key: key[:-1],
        lambda key: key + "0",
        lambda key: key + "\n",
        lambda key: key.upper(),
        lambda key: "stk_" + key.split("_")[1],
        lambda key: ServiceKey(new_id(), bytes.fromhex(key.split("_")[2])).text().reveal(),
        lambda key: f"stk_{key.split('_')[1]}_{'0' * 64}",
        lambda key: "stk_",
        lambda key: "stk_é",
    ],
    ids=["another secret", "shorter", "longer", "a line's end", "upper case", "no secret", "another id", "zeros", "nothing", "no ASCII"],
)
async def test_nothing_but_the_key_is_the_key(clean_database: str, altered):
    key = (await create_service_key("shop-bot")).reveal()

    with pytest.raises(Unauthenticated, match="not valid"):
        await verify_service_key(altered(key))


async def test_an_unknown_id_costs_the_same_comparisons(clean_database: str, monkeypatch: pytest.MonkeyPatch):
    key = await create_service_key("shop-bot")
    compared: list[tuple[int, int]] = []
    compare = service_keys.hmac.compare_digest
    monkeypatch.setattr(service_keys.hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or compare(a, b))

    with pytest.raises(Unauthenticated):
        await verify_service_key(ServiceKey(new_id(), bytes(32)).text().reveal())
    unknown, compared[:] = list(compared), []
    await verify_service_key(key.reveal())

    assert unknown == compared == [(32, 32), (32, 32)]


async def test_the_last_use_is_written_once_a_minute(clean_database: str):
    key = (await create_service_key("shop-bot")).reveal()
    assert (await stored())["last_used_at"] is None

    await verify_service_key(key)
    first = (await stored())["last_used_at"]
    await verify_service_key(key)
    second = (await stored())["last_used_at"]
    await change("last_used_at = now() - interval '61 seconds'")
    await verify_service_key(key)
    third = (await stored())["last_used_at"]

    assert first == second
    assert third > first


async def test_a_rotated_key_works_with_both_secrets_for_a_day(bot: Bot):
    seller = await bot.bring()

    new = (await rotate_service_key("shop-bot", timedelta(hours=24))).reveal()

    assert new != bot.key.reveal()
    assert [(await verify_service_key(key)).service_key_id for key in (new, bot.key.reveal())] == [bot.id, bot.id]
    assert (await seller.get("/auth/me")).status_code == 200
    await change("previous_until = now()")
    await verify_service_key(new)
    with pytest.raises(Unauthenticated):
        await verify_service_key(bot.key.reveal())


async def test_rotating_twice_leaves_the_last_two_secrets(clean_database: str):
    keys = [await create_service_key("shop-bot")]

    keys += [await rotate_service_key("shop-bot", timedelta(hours=24)) for _ in range(2)]

    with pytest.raises(Unauthenticated):
        await verify_service_key(keys[0].reveal())
    assert await verify_service_key(keys[1].reveal()) != await verify_service_key(keys[2].reveal())


async def test_a_key_that_is_rotated_now_ends_what_the_stolen_secret_opened(bot: Bot):
    seller = await bot.bring()

    new = await rotate_service_key("shop-bot", timedelta())

    with pytest.raises(Unauthenticated):
        await verify_service_key(bot.key.reveal())
    assert (await seller.get("/auth/me")).status_code == 401
    assert (await seller.refresh()).json()["code"] == "refresh_token_invalid"
    await Bot(bot.client, new).bring(status=200)


async def test_a_revoked_key_ends_at_once_with_all_that_it_opened_and_nothing_else(client: httpx.AsyncClient, bot: Bot, seller: Seller):
    other = await Bot.make(client, "other-bot")
    sellers = [await bot.bring(number) for number in (1, 2)]
    kept = await other.bring(1)

    ended = await revoke_service_key("shop-bot")

    assert ended == 2
    assert (await bot.ask(1)).status_code == 401
    for gone in sellers:
        assert (await gone.get("/auth/me")).status_code == 401
        assert (await gone.refresh()).json()["code"] == "refresh_token_invalid"
    assert [(await one.get("/auth/me")).status_code for one in (kept, seller)] == [200, 200]


async def test_a_secret_that_is_replaced_in_the_middle_of_a_sign_in_opens_nothing(bot: Bot):
    await bot.bring()
    looked_at = await verify_service_key(bot.key.reveal())

    await rotate_service_key("shop-bot", timedelta())

    with pytest.raises(Unauthenticated):
        await sign_in_by_service(looked_at, TelegramSignInIn(telegram_user_id=12345), Device(None, None))


async def test_nothing_is_opened_behind_the_back_of_a_revocation(bot: Bot, clean_database: str):
    async with held_sign_ins(clean_database) as go_on:
        opening = asyncio.create_task(bot.bring())
        await waiting_for_locks(1)
        revoking = asyncio.create_task(revoke_service_key("shop-bot"))
        await waiting_for_locks(2)
        await go_on()
        seller, ended = await opening, await revoking

    assert ended == 1
    assert (await seller.get("/auth/me")).status_code == 401


async def test_a_name_is_taken_for_good(clean_database: str):
    await create_service_key("shop-bot")
    with pytest.raises(ServiceKeyExists):
        await create_service_key("shop-bot")

    await revoke_service_key("shop-bot")

    with pytest.raises(ServiceKeyExists):
        await create_service_key("shop-bot")
    for again in (revoke_service_key("shop-bot"), rotate_service_key("shop-bot", timedelta()), revoke_service_key("nobody")):
        with pytest.raises(NotFound):
            await again


@pytest.mark.parametrize("name", ["", " ", "-bot", "shop bot", "бот", "a\nb", "x" * 101, "<b>"])
async def test_a_name_that_would_confuse_is_refused(clean_database: str, name: str):
    with pytest.raises(InvalidInput):
        await create_service_key(name)


async def test_all_that_is_done_to_a_key_is_logged_for_no_tenant(bot: Bot):
    # As a request of its own: the commands know of none.
    await asyncio.create_task(bot.bring())
    await rotate_service_key("shop-bot", timedelta(hours=24))
    await revoke_service_key("shop-bot")

    async with system_scope() as connection:
        rows = await connection.fetch("SELECT * FROM audit_log WHERE facts ->> 'service_key_id' = $1 ORDER BY id", str(bot.id))
    assert [row["action"] for row in rows] == ["service_key.created", "service_key.rotated", "service_key.revoked"]
    assert {(row["tenant_id"], row["actor"], row["on_behalf_of"]) for row in rows} == {(None, "operator", None)}
    assert not any(secret in str(row) for row in rows for secret in bot.key.reveal().split("_")[2:])


async def test_the_list_says_what_an_operator_asks(bot: Bot):
    await bot.bring(1)
    await bot.bring(2)
    await create_service_key("a-bot")

    first, second = await list_service_keys()

    assert (first.name, first.tenants, first.last_used_at, first.revoked_at) == ("a-bot", 0, None, None)
    assert (second.name, second.tenants, second.id) == ("shop-bot", 2, bot.id)
    assert second.last_used_at is not None


async def test_a_service_key_opens_no_door_of_users_and_a_users_token_none_of_services(bot: Bot, seller: Seller):
    key = {"Authorization": f"Bearer {bot.key.reveal()}"}

    for path in ("/viewers", "/owners", "/closed", "/auth/me", "/tenants/me"):
        answer = await bot.client.get(path, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
    users = await Bot(bot.client, Secret(seller.access_token)).ask(1)
    nobodys = await bot.client.post("/auth/telegram", json={"telegram_user_id": 1})

    assert (users.status_code, nobodys.status_code) == (403, 401)
