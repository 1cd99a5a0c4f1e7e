"""`stock-tracker service-keys`, beside an application that serves."""

import json
import re

import httpx
import pytest

from app.auth.service_keys import create_service_key, revoke_service_key
from app.secret import Secret
from tests.auth.application import Bot, client, redis, settings
from tests.cli.commands import run

__all__ = ["client", "redis", "settings"]

pytestmark = pytest.mark.anyio

KEY = re.compile(r"stk_[0-9a-f]{32}_[0-9a-f]{64}\n")


async def test_a_key_is_all_that_is_printed_and_works(client: httpx.AsyncClient, environment: dict[str, str]):
    made = run(environment, "service-keys", "create", "shop-bot")

    assert made.returncode == 0, made.stderr
    assert KEY.fullmatch(made.stdout)
    assert made.stdout.strip() not in made.stderr
    assert "this once" in made.stderr
    await bot_of(client, made.stdout).bring()


async def test_a_revocation_by_another_process_counts_at_once(client: httpx.AsyncClient, environment: dict[str, str]):
    bot = await Bot.make(client)
    seller = await bot.bring()
    # The application has seen both alive.
    assert (await seller.get("/auth/me")).status_code == 200

    revoked = run(environment, "service-keys", "revoke", "shop-bot")

    assert (revoked.returncode, revoked.stdout) == (0, "Revoked, with 1 login sessions that it had opened.\n")
    assert [(await seller.get("/auth/me")).status_code, (await bot.ask(12345)).status_code, (await seller.refresh()).status_code] == [
        401
    ] * 3


async def test_a_rotated_key_replaces_the_former_one(client: httpx.AsyncClient, environment: dict[str, str]):
    first = await Bot.make(client)
    await first.bring()

    second = run(environment, "service-keys", "rotate", "shop-bot")
    assert [(await bot.ask(12345)).status_code for bot in (first, bot_of(client, second.stdout))] == [200, 200]
    third = run(environment, "service-keys", "rotate", "shop-bot", "--now")

    assert "24 h" in second.stderr
    assert [(await bot_of(client, each.stdout).ask(12345)).status_code for each in (second, third)] == [401, 200]


async def test_the_list_shows_no_secret(client: httpx.AsyncClient, environment: dict[str, str]):
    bot = await Bot.make(client)
    await bot.bring()
    await create_service_key("other-bot")
    await revoke_service_key("other-bot")

    table, machine = run(environment, "service-keys", "list"), run(environment, "service-keys", "list", "--json")

    assert re.search(r"other-bot +revoked .*\n.*shop-bot +works +1 ", table.stdout), table.stdout
    assert [(key["name"], key["tenants"]) for key in json.loads(machine.stdout)] == [("other-bot", 0), ("shop-bot", 1)]
    assert bot.key.reveal().rpartition("_")[2] not in table.stdout + machine.stdout


async def test_what_can_not_be_done_is_one_line(clean_database: str, environment: dict[str, str]):
    await create_service_key("shop-bot")

    refused = [
        run(environment, "service-keys", *words) for words in (("create", "shop-bot"), ("create", "a b"), ("revoke", "x"), ("rotate", "x"))
    ]

    assert [(each.returncode, each.stdout, each.stderr.count("\n")) for each in refused] == [(2, "", 1)] * 4
    assert all(each.stderr.startswith("stock-tracker: ") for each in refused)


async def test_a_seller_without_an_address_is_shown_by_the_telegram_id(client: httpx.AsyncClient, environment: dict[str, str]):
    await (await Bot.make(client)).bring(12345)

    shown = run(environment, "tenants", "list")

    assert "telegram:12345" in shown.stdout, shown.stderr


def bot_of(client: httpx.AsyncClient, printed: str) -> Bot:
    return Bot(client, Secret(printed.strip()))
