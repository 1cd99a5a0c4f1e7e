"""Both example bots as processes, against the whole product: only Telegram and the marketplace are stood in for."""

import secrets
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.sandbox.tokens import issue_token
from app.webhooks.signing import new_secret, sign
from tests.examples.conftest import ExampleBot

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("product")]

PATIENCE_S = 30.0


def new_seller() -> int:
    return 10**9 + secrets.randbelow(10**9)


def page_in(message: str) -> str:
    """The address on a line of its own."""
    [page] = [line for line in message.splitlines() if line.startswith("http")]
    return page


def register(bot: ExampleBot) -> tuple[int, str]:
    """Gives the seller, and the address of the page that takes the key."""
    seller = new_seller()
    bot.telegram.write(seller, "/start")
    return seller, page_in(bot.telegram.read(seller))


def give_key(page: str, **token: Any) -> str:
    """What the page says."""
    given = httpx.post(page, data={"wildberries_api_key": issue_token(uuid4(), **token)}, trust_env=False, timeout=20)
    assert given.is_success, given.text
    return given.text


def register_with_key(bot: ExampleBot, products: int = 25) -> int:
    seller, page = register(bot)
    give_key(page, products=products)
    return seller


async def webhooks_of(rows, seller: int) -> list[str]:
    return [row["url"] for row in await rows("SELECT url FROM webhook_endpoints WHERE url LIKE $1", f"%/stock-tracker/{seller}")]


def test_a_seller_registers_gives_a_key_and_hears_that_the_products_are_there(bot: ExampleBot):
    seller, page = register(bot)

    assert "магазин подключён" in give_key(page, products=25)

    assert "синхронизация завершена. Товаров: 25" in bot.telegram.read(seller)
    bot.telegram.write(seller, "/products")
    assert len(bot.telegram.read(seller).splitlines()) == 20
    bot.telegram.write(seller, "/sync")
    assert "Обновляю" in bot.telegram.read(seller)
    assert "синхронизация завершена" in bot.telegram.read(seller)


def test_another_page_takes_another_key(bot: ExampleBot):
    seller, first = register(bot)
    give_key(first, products=1)
    assert "Товаров: 1" in bot.telegram.read(seller)

    bot.telegram.write(seller, "/key")

    second = page_in(bot.telegram.read(seller))
    assert second != first
    assert httpx.get(first, trust_env=False).status_code == 404
    assert httpx.get(second, trust_env=False).status_code == 200


def test_telegram_is_asked_not_to_look_at_the_page(bot: ExampleBot):
    seller, _ = register(bot)

    assert [options["is_disabled"] for options in bot.telegram.previews[seller]] == [True]


@pytest.mark.parametrize("deletable", [True, False])
def test_a_key_in_the_chat_is_deleted_and_not_taken(bot: ExampleBot, deletable: bool):
    seller, _ = register(bot)
    if not deletable:
        bot.telegram.refuse("deleteMessage", seller, 400, "Bad Request: message can't be deleted")

    letter = bot.telegram.write(seller, f"Вот ключ: {issue_token(uuid4(), products=1)} спасибо")

    if not deletable:
        assert "удалите его сами" in bot.telegram.read(seller)
    assert "/key" in bot.telegram.read(seller)
    assert ((seller, letter) in bot.telegram.deleted) is deletable
    bot.telegram.write(seller, "/sync")
    assert "Сначала подключите магазин" in bot.telegram.read(seller)


def test_a_stranger_is_asked_to_register_and_a_key_of_his_is_gone(bot: ExampleBot):
    seller = new_seller()

    letter = bot.telegram.write(seller, issue_token(uuid4()))
    assert "/key" in bot.telegram.read(seller)
    bot.telegram.write(seller, "/key")

    assert bot.telegram.read(seller) == "Сначала нажмите /start."
    assert (seller, letter) in bot.telegram.deleted


def test_a_group_is_not_answered(bot: ExampleBot):
    (seller, _), group = register(bot), -new_seller()
    bot.telegram.write(seller, "/products", chat=group)

    bot.telegram.write(seller, "/products")

    assert bot.telegram.read(seller) == "Товаров пока нет."
    assert bot.telegram.messages_to(group) == []


def test_asking_for_a_sync_without_a_key_is_explained(bot: ExampleBot):
    seller, _ = register(bot)

    bot.telegram.write(seller, "/sync")

    assert bot.telegram.read(seller) == "Сначала подключите магазин: /key"


def test_a_key_can_be_taken_back(bot: ExampleBot):
    seller = register_with_key(bot)
    assert "завершена" in bot.telegram.read(seller)

    bot.telegram.write(seller, "/forget")

    assert "Ключ удалён" in bot.telegram.read(seller)
    bot.telegram.write(seller, "/sync")
    assert "Сначала подключите магазин" in bot.telegram.read(seller)


def test_a_restarted_bot_knows_its_sellers_and_its_files_show_nothing(bot: ExampleBot):
    seller = register_with_key(bot, products=2)
    assert "завершена" in bot.telegram.read(seller)

    assert bot.stop() == 0
    [file] = bot.data.glob(f"{seller}.*")
    sealed = file.read_bytes()
    bot.start()

    assert file.stat().st_mode & 0o077 == 0
    assert not any(word in sealed for word in (b"whsec_", b"webhook", b"delivered"))
    bot.telegram.write(seller, "/products")
    assert len(bot.telegram.read(seller).splitlines()) == 2


async def test_a_bot_that_lost_its_files_signs_its_seller_in_again_and_has_one_webhook(bot: ExampleBot, rows):
    seller = register_with_key(bot, products=2)
    assert "завершена" in bot.telegram.read(seller)
    bot.forget(seller)

    # An impatient seller: a bot that handles both side by side must not make two webhooks.
    bot.telegram.write(seller, "/start")
    bot.telegram.write(seller, "/start")

    assert "Здравствуйте" in bot.telegram.read(seller)
    assert "Здравствуйте" in bot.telegram.read(seller)
    assert len(await webhooks_of(rows, seller)) == 1
    bot.telegram.write(seller, "/products")
    assert len(bot.telegram.read(seller).splitlines()) == 2
    bot.telegram.write(seller, "/sync")
    assert "Обновляю" in bot.telegram.read(seller)
    assert "завершена" in bot.telegram.read(seller)


async def test_the_webhook_of_a_seller_who_blocked_the_bot_is_removed_and_made_again_by_start(bot: ExampleBot, rows):
    seller = register_with_key(bot)
    assert "завершена" in bot.telegram.read(seller)
    bot.telegram.write(seller, "/sync")
    bot.telegram.read(seller)
    before = await webhooks_of(rows, seller)
    assert len(before) == 1
    bot.telegram.read(seller)

    bot.telegram.write(seller, "/sync")
    bot.telegram.read(seller)
    bot.telegram.refuse("sendMessage", seller, 403, "Forbidden: bot was blocked by the user")

    deadline = time.monotonic() + PATIENCE_S
    while await webhooks_of(rows, seller):
        assert time.monotonic() < deadline, "the webhook is still there"
    bot.telegram.write(seller, "/start")
    bot.telegram.read(seller)
    assert len(await webhooks_of(rows, seller)) == 1


def test_a_message_that_telegram_has_no_time_for_comes_again(bot: ExampleBot):
    seller = register_with_key(bot)
    bot.telegram.read(seller)
    bot.telegram.write(seller, "/sync")
    bot.telegram.read(seller)

    bot.telegram.refuse("sendMessage", seller, 429, "Too Many Requests: retry after 1", retry_after=1)

    assert "завершена" in bot.telegram.read(seller)
    assert bot.telegram.refused("sendMessage", seller)


def test_nobody_else_can_speak_through_the_webhook(bot: ExampleBot):
    seller, _ = register(bot)
    body = b'{"type": "sync.failed", "data": {"message": "Send your key to @thief"}}'
    headers = sign("msg_1", datetime.now(UTC), body, [new_secret()])

    def post(path: str, **arguments) -> int:
        return httpx.post(f"{bot.url}{path}", content=body, trust_env=False, **arguments).status_code

    assert post(f"/stock-tracker/{seller}", headers=headers) == 401
    assert post(f"/stock-tracker/{seller}") == 401
    assert post(f"/stock-tracker/{seller}", headers={**headers, "webhook-signature": "v1"}) == 401
    assert post(f"/stock-tracker/{new_seller()}", headers=headers) == 404
    assert post("/", headers=headers) == 404
    assert len(bot.telegram.messages_to(seller)) == 1


def test_a_service_that_is_away_is_explained(bot: ExampleBot):
    seller, _ = register(bot)
    assert bot.stop() == 0
    bot.start(STOCK_TRACKER_URL="http://127.0.0.1:9")

    bot.telegram.write(seller, "/products")

    assert bot.telegram.read(seller) == "Сервис сейчас занят. Попробуйте через минуту."
    assert bot.stop() == 0
    bot.start()
