"""Sellers who come by Telegram."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import jwt
import pytest

from app.auth.init_data import InitDataInvalid, InitDataVerifier
from app.auth.retention import remove_used_launches
from app.auth.schemas import InitData, WebAppSignInIn
from app.auth.service_keys import revoke_service_key
from app.auth.sessions import Device
from app.auth.tables import User, WebAppSignIn
from app.auth.telegram import InitDataUsed, sign_in_by_web_app
from app.database import system_scope
from app.ids import new_id
from app.settings import get_settings
from app.tenants.tables import Tenant
from tests.ages import walk_through
from tests.auth import test_init_data as launches
from tests.auth.application import Bot, Seller

pytestmark = pytest.mark.anyio

NEW = {"company_name": "Romashka", "marketplace_type": "wildberries"}


async def counts() -> tuple[int, int]:
    async with system_scope():
        return await Tenant.count(), await User.count()


async def audit() -> list[tuple[Any, ...]]:
    async with system_scope() as connection:
        rows = await connection.fetch(
            "SELECT action, actor, on_behalf_of, tenant_id FROM audit_log WHERE tenant_id IS NOT NULL ORDER BY id"
        )
        return [tuple(row) for row in rows]


async def test_the_first_time_makes_a_tenant_and_the_next_time_finds_it(bot: Bot):
    first = await bot.ask(12345, **NEW)
    second = await bot.ask(12345)

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json().keys() == {"access_token", "refresh_token", "token_type", "expires_in", "tenant", "user"}
    assert (first.json()["user"]["telegram_user_id"], first.json()["user"]["email"]) == (12345, None)
    assert first.json()["tenant"]["name"] == "Romashka"
    assert second.json()["tenant"] == first.json()["tenant"]
    assert second.json()["user"] == first.json()["user"]
    assert await counts() == (1, 1)


async def test_the_tokens_are_the_owners_and_name_the_bot(bot: Bot):
    seller = await bot.bring()

    me = await seller.get("/auth/me")
    refreshed = await seller.refresh()

    assert me.json()["role"] == "owner"
    for token in (seller.access_token, refreshed.json()["access_token"]):
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["sub"] == str(seller.user_id)
        assert claims["act"] == {"sub": f"service:{bot.id}"}


async def test_the_log_names_who_acted_and_for_whom(bot: Bot, seller: Seller):
    brought = await bot.bring()
    refreshed = (await brought.refresh()).json()
    await Seller(bot.client, "", refreshed["access_token"], refreshed["refresh_token"], brought.tenant_id, brought.user_id).patch(
        "/tenants/me", {"name": "Vasilek"}
    )
    await bot.client.post("/auth/logout", json={"refresh_token": refreshed["refresh_token"]})
    await seller.patch("/tenants/me", {"name": "Own"})

    service, user = f"service:{bot.id}", f"user:{brought.user_id}"
    assert [entry[:3] for entry in await audit() if entry[3] == brought.tenant_id] == [
        ("user.registered", service, user),
        ("user.signed_in", service, user),
        ("tenant.updated", service, user),
        ("session.closed", service, user),
    ]
    assert {entry[1:3] for entry in await audit() if entry[3] == seller.tenant_id} == {(f"user:{seller.user_id}", None)}


@pytest.mark.parametrize(
    "given", [{}, {"company_name": "Romashka"}, {"marketplace_type": "ozon"}], ids=["nothing", "the name", "the marketplace"]
)
async def test_of_a_new_seller_what_is_missing_is_named_and_nothing_is_made(bot: Bot, given: dict[str, str]):
    answer = await bot.ask(12345, **given)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert {error["field"] for error in answer.json()["errors"]} == NEW.keys() - given.keys()
    assert await counts() == (0, 0)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"telegram_user_id": wrong}, "telegram_user_id") for wrong in (0, -5, 2**52, "12345", 1.5, None, True)]
    + [({"tenant_id": "x"}, "tenant_id"), ({"company_name": " "}, "company_name"), ({"marketplace_type": "amazon"}, "marketplace_type"), ({"role": "owner"}, "role")],
    ids=str,
)  # fmt: skip
async def test_a_wrong_field_is_named(bot: Bot, change: dict[str, Any], field: str):
    body = {"telegram_user_id": 12345, **NEW, **change}

    answer = await bot.ask(**body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await counts() == (0, 0)


async def test_of_first_calls_at_once_one_makes_the_tenant(bot: Bot):
    answers = await asyncio.gather(*(bot.ask(12345, **NEW) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["tenant"]["id"] for answer in answers}) == 1
    assert await counts() == (1, 1)


async def test_of_two_bots_first_calls_at_once_each_has_its_tenant_of_one_user(client: httpx.AsyncClient, bot: Bot):
    other = await Bot.make(client, "other-bot")

    answers = await asyncio.gather(*(each.ask(12345, **NEW) for _ in range(3) for each in (bot, other)))

    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [201] * 2
    assert len({answer.json()["tenant"]["id"] for answer in answers[::2]}) == len({a.json()["tenant"]["id"] for a in answers[1::2]}) == 1
    assert await counts() == (2, 1)


async def test_another_bots_sellers_are_as_unknown_as_nobody(client: httpx.AsyncClient, bot: Bot, seller: Seller):
    brought = await bot.bring(12345)
    other = await Bot.make(client, "other-bot")

    known, unknown = [(await other.ask(number)).json() for number in (12345, 999)]
    tenants = [(await other.ask(12345, tenant_id=str(tenant_id), **NEW)) for tenant_id in (brought.tenant_id, seller.tenant_id, uuid4())]

    assert without_request(known) == without_request(unknown)
    assert [answer.status_code for answer in tenants] == [404] * 3
    assert len({str(without_request(answer.json())) for answer in tenants}) == 1


def without_request(problem: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in problem.items() if name != "request_id"}


async def test_a_bot_does_not_reach_a_tenant_of_somebody_else(bot: Bot):
    mine, yours = await bot.bring(1), await bot.bring(2)

    answer = await bot.ask(1, tenant_id=str(yours.tenant_id))

    assert answer.status_code == 404
    assert (await bot.ask(1, tenant_id=str(mine.tenant_id))).status_code == 200


async def test_a_bot_that_the_owner_linked_reaches_the_tenant_and_one_that_was_unlinked_does_not(client: httpx.AsyncClient, bot: Bot):
    seller = await bot.bring()
    other = await Bot.make(client, "other-bot")

    linked = await seller.post("/tenants/me/services", {"service_key_id": str(other.id)})
    through_other = Seller.of(client, "", (await other.ask(12345, tenant_id=str(seller.tenant_id))).json())
    unlinked = await seller.delete(f"/tenants/me/services/{other.id}")

    assert (linked.status_code, unlinked.status_code) == (201, 204)
    assert through_other.tenant_id == seller.tenant_id
    assert (await through_other.get("/auth/me")).status_code == 401
    assert (await through_other.refresh()).json()["code"] == "refresh_token_invalid"
    assert (await other.ask(12345, tenant_id=str(seller.tenant_id))).status_code == 404
    assert (await seller.get("/auth/me")).status_code == 200


async def let_in(tenant_id: UUID, telegram_user_id: int) -> None:
    """As an owner adds a member by the Telegram id, whether that one is known or not."""
    async with system_scope() as connection:
        await connection.execute("INSERT INTO users (id, telegram_user_id, created_at) VALUES ($1, $2, now())", new_id(), telegram_user_id)
        await connection.execute(
            "INSERT INTO memberships (id, tenant_id, user_id, role, created_at) SELECT $1, $2, id, 'owner', now() FROM users WHERE telegram_user_id = $3",
            new_id(),
            tenant_id,
            telegram_user_id,
        )


@pytest.mark.usefixtures("telegram_token")
async def test_nobody_is_lured_into_the_tenant_of_somebody_who_added_him(client: httpx.AsyncClient, bot: Bot):
    trap = await bot.bring(666)
    await let_in(trap.tenant_id, 123456789)

    asked, opened = await bot.ask(123456789), await open_mini_app(client, launch())
    brought = await bot.bring(123456789)
    opened_later = await open_mini_app(client, launch(query_id="later"))

    assert (asked.status_code, opened.status_code) == (422, 404)
    assert brought.tenant_id != trap.tenant_id
    assert opened_later.json()["tenant"]["id"] == str(brought.tenant_id)


@pytest.mark.usefixtures("telegram_token")
async def test_who_was_added_gets_there_by_the_tenants_name(client: httpx.AsyncClient, bot: Bot):
    shop = await bot.bring(1)
    await let_in(shop.tenant_id, 123456789)

    asked = await bot.ask(123456789, tenant_id=str(shop.tenant_id))
    opened = await client.post("/auth/telegram/web-app", json={"init_data": launch(), "tenant_id": str(shop.tenant_id)})

    assert [(answer.status_code, answer.json()["tenant"]["id"]) for answer in (asked, opened)] == [(200, str(shop.tenant_id))] * 2


async def test_what_a_revoked_key_brought_stays_for_its_owner(bot: Bot, client: httpx.AsyncClient):
    await bot.bring()

    await revoke_service_key("shop-bot")

    assert await counts() == (1, 1)


@pytest.fixture
def telegram_token(settings: object, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", launches.TOKEN.reveal())
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def launch(age: timedelta = timedelta(0), **changes: str) -> str:
    return urlencode(launches.signed(auth_date=str(int((datetime.now(UTC) - age).timestamp())), **changes))


async def open_mini_app(client: httpx.AsyncClient, init_data: str) -> httpx.Response:
    return await client.post("/auth/telegram/web-app", json={"init_data": init_data})


@pytest.mark.usefixtures("telegram_token")
async def test_a_mini_app_signs_its_user_in_as_the_user(client: httpx.AsyncClient, bot: Bot):
    brought = await bot.bring(123456789)

    answer = await open_mini_app(client, launch())

    assert answer.status_code == 200
    assert answer.json()["tenant"]["id"] == str(brought.tenant_id)
    assert "act" not in jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert (await Seller.of(client, "", answer.json()).get("/auth/me")).json()["role"] == "owner"
    assert [entry[1:3] for entry in await audit()][-1] == (f"user:{brought.user_id}", None)


@pytest.mark.usefixtures("telegram_token")
async def test_launch_data_works_once_however_it_is_spelt_and_however_many_try_at_once(client: httpx.AsyncClient, bot: Bot):
    await bot.bring(123456789)
    init_data = launch()
    spellings = [init_data, "&".join(reversed(init_data.split("&"))), init_data.replace("%7B", "%7b")] * 2

    answers = await asyncio.gather(*(open_mini_app(client, spelling) for spelling in spellings))

    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 5
    assert {answer.json().get("code") for answer in answers} == {None, "init_data_used"}


@pytest.mark.usefixtures("telegram_token")
@pytest.mark.parametrize(
    ("make", "status", "code"),
    [
        (lambda: launch(timedelta(hours=2)), 401, "init_data_expired"),
        (lambda: launch(timedelta(minutes=-5)), 401, "init_data_invalid"),
        (lambda: launch().replace("123456789", "123456780"), 401, "init_data_invalid"),
        (lambda: launch() + "&user=x", 401, "init_data_invalid"),
        (lambda: "x", 401, "init_data_invalid"),
        (lambda: "", 422, "validation_failed"),
        (lambda: "x" * 4097, 422, "validation_failed"),
        (lambda: launch(user='{"id":5}'), 404, "telegram_user_unknown"),
    ],
    ids=["old", "future", "altered", "twice", "nonsense", "nothing", "huge", "nobody"],
)
async def test_other_launch_data_is_refused(client: httpx.AsyncClient, bot: Bot, make: Callable[[], str], status: int, code: str):
    await bot.bring(123456789)

    answer = await open_mini_app(client, make())

    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.usefixtures("telegram_token")
async def test_who_is_no_seller_yet_may_use_the_launch_after_becoming_one(client: httpx.AsyncClient, bot: Bot):
    init_data = launch()

    before = await open_mini_app(client, init_data)
    await bot.bring(123456789)
    after = await open_mini_app(client, init_data)

    assert (before.status_code, after.status_code) == (404, 200)


async def test_without_a_bot_of_the_operators_the_answer_says_what_is_to_be_set(client: httpx.AsyncClient):
    answer = await open_mini_app(client, launch())

    assert (answer.status_code, answer.json()["code"]) == (409, "telegram_not_configured")
    assert "TELEGRAM_BOT_ID" in answer.json()["detail"]


async def test_telegrams_key_alone_is_enough(bot: Bot):
    brought = await bot.bring(123456789)
    opened = WebAppSignInIn(init_data=InitData(launch()))

    signed_in = await sign_in_by_web_app(launches.BY_KEY, opened, Device(None, None))

    assert signed_in.tenant.id == brought.tenant_id
    with pytest.raises(InitDataUsed):
        await sign_in_by_web_app(launches.BY_KEY, opened, Device(None, None))
    with pytest.raises(InitDataInvalid):
        await sign_in_by_web_app(InitDataVerifier(launches.BOT_ID), WebAppSignInIn(init_data=InitData(launch())), Device(None, None))


async def test_used_launch_data_is_forgotten_when_it_is_too_old_anyway(clean_database: str):
    now = datetime.now(UTC)
    async with system_scope():
        for number, age in enumerate([timedelta(hours=3), timedelta(hours=2), timedelta(minutes=59), timedelta(hours=-1)]):
            await WebAppSignIn(hash=bytes([number]) * 32, expires_at=now - age).save()

    await walk_through(remove_used_launches)

    async with system_scope() as connection:
        left = [row["hash"][0] for row in await connection.fetch("SELECT hash FROM web_app_sign_ins ORDER BY hash")]
    assert left == [2, 3]
