"""What a bot can forward to a seller as it is, in the seller's language."""

from typing import Literal

from app.events.types import SyncCounts
from app.marketplaces.contract import Marketplace
from app.runs.schemas import ErrorOut

Language = Literal["ru", "en"]


def sync_completed(language: Language, marketplace: Marketplace, counts: SyncCounts, low_stock: int, *, partial: bool) -> str:
    """Numbers after colons, so that no word has to agree with them."""
    name = marketplace.value.capitalize()
    products, units = counts.products, f"{counts.stocks.total_units:,}".replace(",", "\u00a0")
    if language == "en":
        head = f"{name}: sync finished" + (", though not all of it worked." if partial else ".")
        body = f"Products: {products.total} (new: {products.created}, changed: {products.updated}, archived: {products.archived}). Units: {units}."
        return f"{head} {body}" + (f" Low in stock: {low_stock}." if low_stock else "")
    head = f"{name}: синхронизация завершена" + (", но не полностью." if partial else ".")
    body = f"Товаров: {products.total} (новых: {products.created}, изменено: {products.updated}, в архиве: {products.archived}). Остаток, шт.: {units}."
    return f"{head} {body}" + (f" Заканчиваются: {low_stock}." if low_stock else "")


# Of the errors that a seller meets. What is not here is for support, in English.
REASONS_RU = {
    "credentials_rejected": "Маркетплейс не принимает ключ. Создайте новый в личном кабинете и отправьте его боту.",
    "credentials_missing": "Ключ не задан: отправьте его боту.",
    "credentials_unreadable": "Ключ не удаётся прочитать: отправьте его боту ещё раз.",
    "scope_missing": "У ключа нет нужной категории: создайте новый и отметьте её.",
    "marketplace_unavailable": "Маркетплейс не отвечает. Мы попробуем ещё раз по расписанию.",
    "marketplace_method_gone": "Маркетплейс отключил нужный метод. Мы уже знаем об этом.",
    "unexpected_response": "Маркетплейс ответил непонятно. Мы попробуем ещё раз по расписанию.",
    "crashed": "Синхронизация трижды прервалась. Попробуйте ещё раз.",
    "internal_error": "Ошибка на нашей стороне. Мы уже знаем об этом.",
}


def sync_failed(language: Language, marketplace: Marketplace, error: ErrorOut) -> str:
    """What happened, and what the seller can do."""
    name = marketplace.value.capitalize()
    if language == "en":
        return f"{name}: the sync failed. {error.detail}"
    return f"{name}: синхронизация не удалась. {REASONS_RU.get(error.code, error.detail)}"
