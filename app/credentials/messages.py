"""What a bot can forward to a seller about keys, in the seller's language: `ru`, or else English."""

from collections.abc import Collection
from datetime import date
from typing import NamedTuple

from app.credentials.tables import Provider
from app.marketplaces.contract import Marketplace
from app.marketplaces.ozon.methods import ROLE
from app.marketplaces.wildberries.rhythm import REFRESH_MINUTES
from app.marketplaces.wildberries.token import Category


class Boxes(NamedTuple):
    """What a seller ticks when making a key, in the words of the cabinet in each language."""

    ru: tuple[str, ...]
    en: tuple[str, ...]


BOXES = {
    Marketplace.WILDBERRIES: Boxes(tuple(f"«{category.ru}»" for category in Category), tuple(f"“{category}”" for category in Category)),
    Marketplace.OZON: Boxes((f"«{ROLE}»",), (f"“{ROLE}”",)),
}
STAGES_RU = {"products": "товары", "prices": "цены", "stocks": "остатки", "orders": "заказы"}

NEW_KEY_RU = "Создайте новый в личном кабинете и попросите у бота ссылку, чтобы передать его."
NEW_KEY_EN = "Make a new one in its cabinet and ask the bot for a link to hand it over."


def rejected(language: str, marketplace: Marketplace) -> str:
    """The marketplace no longer takes the key."""
    if language == "ru":
        return f"{_name(marketplace)} больше не принимает ключ. {NEW_KEY_RU}"
    return f"{_name(marketplace)} no longer accepts the key. {NEW_KEY_EN}"


def expired(language: str, marketplace: str, ended_on: date) -> str:
    """The key's own end has come."""
    if language == "ru":
        return f"Срок ключа {_name(marketplace)} истёк {ended_on:%d.%m.%Y}. {NEW_KEY_RU}"
    return f"The key for {_name(marketplace)} ended on {ended_on}. {NEW_KEY_EN}"


def expiring(language: str, marketplace: str, ends_on: date, days_left: int) -> str:
    """The key's own end is near. Numbers after colons, so that no word has to agree with them."""
    if language == "ru":
        return f"Ключ {_name(marketplace)} действует до {ends_on:%d.%m.%Y}, осталось дней: {days_left}. {NEW_KEY_RU}"
    return f"The key for {_name(marketplace)} ends on {ends_on}, days left: {days_left}. {NEW_KEY_EN}"


def shared(language: str, marketplace: Provider | Marketplace) -> str:
    """Another tenant has a key of the same shop."""
    if language == "ru":
        return (
            f"Этот магазин {_name(marketplace)} подключён ещё в одном месте: у кого-то другого тоже есть его ключ. "
            "Если это не вы, отзовите ключ в личном кабинете и создайте новый."
        )
    return (
        f"This {_name(marketplace)} shop is connected in another place too: somebody else has a key of it. "
        "If that isn't you, revoke the key in its cabinet and make a new one."
    )


def advice(language: str, marketplace: Marketplace, missing_scopes: Collection[str]) -> str:
    """What to tick for what the key doesn't allow. What a key may do is chosen when it is made, so this is about a new one, with all that a sync may need."""
    boxes = BOXES[marketplace]
    if language == "ru":
        stages = ", ".join(STAGES_RU.get(stage, stage) for stage in missing_scopes)
        return f"Ключ {_name(marketplace)} не позволяет загружать: {stages}. Создайте новый и отметьте в нём: {', '.join(boxes.ru)}."
    stages = ", ".join(missing_scopes)
    return f"The key for {_name(marketplace)} does not allow: {stages}. Make a new one and tick in it: {', '.join(boxes.en)}."


def spreadsheet_advice(language: str, *, has_sheet: bool, has_account: bool) -> str:
    """What is still to do before tables can be written to the seller's spreadsheet."""
    match language == "ru", has_sheet, has_account:
        case True, True, True:
            return "Откройте таблицу для сервисного аккаунта: «Поделиться» → его адрес (client_email) → «Редактор»."
        case True, False, _:
            return "Не хватает таблицы: укажите её адрес."
        case True, _, _:
            return "Не хватает ключа сервисного аккаунта: нужен файл JSON из Google Cloud."
        case _, True, True:
            return "Share the spreadsheet with the service account: “Share” → its address (client_email) → “Editor”."
        case _, False, _:
            return "The spreadsheet is missing: give its address."
        case _:
            return "The service account's key is missing: give the JSON file from Google Cloud."


def interval_note(language: str, marketplace: Marketplace, least_minutes: int) -> str:
    """Why an account is not synced as often as the tenant wishes. The minutes are multiples of five, so that no word has to agree with them."""
    name = _name(marketplace)
    if marketplace is Marketplace.WILDBERRIES and least_minutes != REFRESH_MINUTES:
        if language == "ru":
            return f"С ключом этого типа {name} отдаёт часть данных раз в {least_minutes} минут: чаще загружать нечего."
        return f"With a key of this type {name} gives some of the data once in {least_minutes} minutes, so there is nothing to load more often."
    if language == "ru":
        return f"{name} обновляет отчёты раз в {least_minutes} минут: чаще загружать нечего."
    return f"{name} renews its reports once in {least_minutes} minutes, so there is nothing to load more often."


def _name(marketplace: str) -> str:
    return str(marketplace).capitalize()
