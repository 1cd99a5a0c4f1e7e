"""A Telegram bot on Stock Tracker, with aiogram 3. It polls Telegram; its only open port is for Stock Tracker's webhooks."""

import asyncio
import contextlib
import logging
import os
import re
from pathlib import Path
from typing import Any

import httpx
from aiogram import Bot, Dispatcher, F
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.enums import ChatType
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError, TelegramRetryAfter
from aiogram.filters import Command, CommandStart, ExceptionTypeFilter
from aiogram.types import ErrorEvent, LinkPreviewOptions, Message
from aiohttp import web
from magic_filter import RegexpMode
from sellers import Seller, Sellers
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from stock_tracker import ApiError

EVENT_TYPES = [
    "sync.completed",
    "sync.failed",
    "stock.low",
    "stock.out",
    "stock.replenished",
    "orders.created",
    "credentials.invalid",
    "credentials.expiring",
    "credentials.shared",
]
# A Wildberries key is a JWT. It is looked for anywhere in a message, so that "my key: eyJ…" is deleted too.
KEY = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")

WELCOME = (
    "Здравствуйте! Чтобы подключить магазин Wildberries, откройте страницу: она скажет, где взять ключ API, и примет его. В чат ключ не присылайте.\n\n{}\n\n"
    "Страница работает 15 минут.\n/key — новая страница\n/products — товары и остатки\n/sync — обновить сейчас\n/forget — забыть ключ"
)
EXPLANATIONS = {"credentials_missing": "Сначала подключите магазин: /key", "validation_failed": "Сначала нажмите /start."}
# Telegram would open the page to show what is on it.
NO_PREVIEW = LinkPreviewOptions(is_disabled=True)

log = logging.getLogger("bot")
dispatcher = Dispatcher()
# In a group others would see the key, and the seller's stock.
dispatcher.message.filter(F.chat.type == ChatType.PRIVATE)


# First of all: nothing with a key in it may go another way.
@dispatcher.message(F.text.regexp(KEY, mode=RegexpMode.SEARCH))
async def refuse_key(message: Message) -> None:
    try:
        await message.delete()
    except TelegramBadRequest:
        await message.answer("Не могу удалить сообщение с ключом. Пожалуйста, удалите его сами.")
    await message.answer("Ключу не место в чате. Лучше сделайте новый и введите его на странице: /key")


@dispatcher.message(CommandStart())
async def start(message: Message, sellers: Sellers, webhook_url: str) -> None:
    seller = sellers.get(message.chat.id)
    # aiogram handles messages side by side: /start pressed twice would make two webhooks.
    async with seller.starting:
        await seller.api.register(company_name=message.chat.full_name)
        if seller.webhook is None:
            seller.webhook = await seller.api.create_webhook(f"{webhook_url}/{seller.telegram_user_id}", EVENT_TYPES)
            seller.save()
    await message.answer(WELCOME.format(await seller.api.key_page()), link_preview_options=NO_PREVIEW)


@dispatcher.message(Command("key"))
async def give_key(message: Message, sellers: Sellers) -> None:
    page = await sellers.get(message.chat.id).api.key_page()
    await message.answer(f"Введите ключ здесь, в ближайшие 15 минут:\n{page}", link_preview_options=NO_PREVIEW)


@dispatcher.message(Command("products"))
async def list_products(message: Message, sellers: Sellers) -> None:
    products = await sellers.get(message.chat.id).api.products(limit=20, sort="stock")
    lines = [f"{product['stock_total']} шт. · {product['article']} · {product['title']}" for product in products]
    await message.answer("\n".join(lines)[:4096] or "Товаров пока нет.")


@dispatcher.message(Command("sync"))
async def sync(message: Message, sellers: Sellers) -> None:
    await sellers.get(message.chat.id).api.sync()
    await message.answer("Обновляю, напишу, когда закончу.")


@dispatcher.message(Command("forget"))
async def forget(message: Message, sellers: Sellers) -> None:
    await sellers.get(message.chat.id).api.delete_credentials()
    await message.answer("Ключ удалён. Отзовите его и в кабинете Wildberries.")


@dispatcher.errors(ExceptionTypeFilter(ApiError), F.update.message.as_("message"))
async def explain(event: ErrorEvent, message: Message) -> None:
    """What the seller can do about it; the rest is for the operator, who finds it by the request's id."""
    error = event.exception
    assert isinstance(error, ApiError)
    if error.code in EXPLANATIONS:
        text = EXPLANATIONS[error.code]
    elif error.status in {429, 502, 503}:
        text = "Сервис сейчас занят. Попробуйте через минуту."
    else:
        text = f"Что-то пошло не так. Номер для поддержки: {error.request_id or 'нет'}"
    log.warning("%s (request %s)", error, error.request_id)
    await message.answer(text)


# region: webhook
def webhook_receiver(bot: Bot, sellers: Sellers) -> web.Application:
    """The bot's end of the webhooks. What is not answered with 2xx comes again, for three days."""

    async def receive(request: web.Request) -> web.Response:
        seller = sellers.find(int(request.match_info["telegram_user_id"]))
        if seller is None or seller.webhook is None:
            raise web.HTTPNotFound
        body = await request.read()  # the very bytes that were signed
        try:
            event = Webhook(seller.webhook.secret).verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError):
            raise web.HTTPUnauthorized from None
        message_id = request.headers["webhook-id"]
        if message_id not in seller.delivered:
            try:
                await tell(bot, seller, event)
            except TelegramRetryAfter as busy:
                return web.Response(status=503, headers={"Retry-After": str(busy.retry_after)})
            except TelegramForbiddenError:  # the seller blocked the bot; /start makes a new webhook
                await seller.api.delete_webhook(seller.webhook.id)
                seller.webhook = None
                seller.save()
                return web.Response(status=410)
            seller.delivered.append(message_id)
            seller.save()
        return web.Response(status=204)

    receiver = web.Application()
    receiver.router.add_post(r"/stock-tracker/{telegram_user_id:\d{1,16}}", receive)
    return receiver


async def tell(bot: Bot, seller: Seller, event: dict[str, Any]) -> None:
    # A scheduled sync that went well is no news: it comes every half hour.
    if event["type"] != "sync.completed" or event["data"]["trigger"] != "schedule":
        await bot.send_message(seller.telegram_user_id, event["data"]["message"])


# endregion


async def main() -> None:
    logging.basicConfig(level=logging.INFO)
    # httpx logs each URL; ours hold no secret, Telegram's hold the bot's token.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    environment = os.environ
    telegram = TelegramAPIServer.from_base(environment.get("TELEGRAM_API_ROOT", "https://api.telegram.org"))
    webhook_port = int(environment.get("WEBHOOK_PORT", "8080"))
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=f"{environment['STOCK_TRACKER_URL']}/api/v1", timeout=20))
        bot = await stack.enter_async_context(Bot(environment["BOT_TOKEN"], session=AiohttpSession(api=telegram)))
        sellers = Sellers(http, environment["SERVICE_KEY"], environment["BOT_SECRET"], Path(environment.get("BOT_DATA_DIR", "data")))
        runner = web.AppRunner(webhook_receiver(bot, sellers), access_log=None)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, environment.get("WEBHOOK_HOST", "127.0.0.1"), webhook_port).start()
        base_url = environment.get("WEBHOOK_BASE_URL", f"http://127.0.0.1:{webhook_port}")
        # The session stays open until the receiver has passed on what it is passing on.
        await dispatcher.start_polling(bot, close_bot_session=False, sellers=sellers, webhook_url=f"{base_url}/stock-tracker")


if __name__ == "__main__":
    asyncio.run(main())
