"""What a bot can forward to a seller as it is, in the seller's language: `ru` or `en`."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from app.credentials.messages import NEW_KEY_RU
from app.errors import StockTrackerError
from app.events.types import NewOrder, SyncCounts, ThresholdItem
from app.marketplaces.contract import Marketplace
from app.marketplaces.errors import MarketplaceError
from app.runs.schemas import ErrorOut

# An event's message has room for the whole of it.
MOST_REASONS = 3
MOST_REASON_LENGTH = 250
MOST_NAMED = 3
MOST_NAME_LENGTH = 80
# The message of fifty orders has to be short: see app.events.types.
MOST_ORDERS_NAMED = 2
MOST_ORDERS_LENGTH = 200

# Where an error has no Russian words of its own. What is not here is for support, in English.
REASONS_RU = {
    "credentials_rejected": f"Маркетплейс не принимает ключ. {NEW_KEY_RU}",
    "credentials_missing": "Ключ не задан: попросите у бота ссылку, чтобы передать его.",
    "credentials_unreadable": "Ключ не удаётся прочитать: попросите у бота ссылку, чтобы передать его ещё раз.",
    "scope_missing": "У ключа нет нужной категории: создайте новый и отметьте её.",
    "marketplace_rate_limited": "Маркетплейс просит подождать. Мы продолжим сами, когда он разрешит.",
    "marketplace_report_not_ready": "Маркетплейс ещё готовит отчёт. Мы заберём его сами.",
    "marketplace_circuit_open": "Маркетплейс сейчас не отвечает никому. Мы продолжим сами, когда он вернётся.",
    "marketplace_unavailable": "Маркетплейс не отвечает. Мы попробуем ещё раз по расписанию.",
    "marketplace_method_gone": "Маркетплейс отключил нужный метод. Мы уже знаем об этом.",
    "unexpected_response": "Маркетплейс ответил непонятно. Мы попробуем ещё раз по расписанию.",
}

# What no error says, since we notice it ourselves.
OWN_REASONS = {
    "crashed": {
        "ru": "Синхронизация трижды прервалась. Попробуйте ещё раз; если не поможет, напишите в поддержку.",
        "en": "The sync was interrupted three times. Please try again; if that fails, tell support.",
    },
    "internal_error": {
        "ru": "Ошибка на нашей стороне. Мы уже знаем об этом.",
        "en": "Something went wrong on our side; we have been told.",
    },
}


def reason(language: str, error: StockTrackerError) -> ErrorOut:
    """What went wrong, in the error's own words where it has them in that language."""
    if language == "ru":
        own = error.detail_ru if isinstance(error, MarketplaceError) else ""
        return ErrorOut(error.code, own or REASONS_RU.get(error.code, error.detail))
    return ErrorOut(error.code, error.detail)


def own_reason(language: str, code: Literal["crashed", "internal_error"]) -> ErrorOut:
    """What went wrong where no error says it."""
    return ErrorOut(code, OWN_REASONS[code][language])


def sync_completed(language: str, marketplace: Marketplace, counts: SyncCounts, low_stock: int, *, shortcomings: Sequence[ErrorOut]) -> str:
    """Numbers after colons, so that no word has to agree with them. `shortcomings` are what kept parts of the sync from working."""
    name = marketplace.value.capitalize()
    products, units, orders = counts.products, _number(counts.stocks.total_units), counts.orders.new
    total, created, updated, archived = (_number(n) for n in (products.total, products.created, products.updated, products.archived))
    if language == "en":
        sentences = [
            f"{name}: sync finished" + (", though not all of it worked." if shortcomings else "."),
            f"Products: {total} (new: {created}, changed: {updated}, archived: {archived}).",
            f"Units: {units}.",
            f"New orders: {_number(orders)}." if orders else "",
            f"Low in stock: {_number(low_stock)}." if low_stock else "",
        ]
    else:
        sentences = [
            f"{name}: синхронизация завершена" + (", но не полностью." if shortcomings else "."),
            f"Товаров: {total} (новых: {created}, изменено: {updated}, в архиве: {archived}).",
            f"Остаток, шт.: {units}.",
            f"Новых заказов: {_number(orders)}." if orders else "",
            f"Заканчиваются: {_number(low_stock)}." if low_stock else "",
        ]
    # One cause may have kept several stages from working.
    reasons = list(dict.fromkeys(error.detail[:MOST_REASON_LENGTH] for error in shortcomings))[:MOST_REASONS]
    return " ".join(filter(None, [*sentences, *reasons]))


def sync_failed(language: str, marketplace: Marketplace, error: ErrorOut) -> str:
    """What happened, and what the seller can do."""
    name = marketplace.value.capitalize()
    return f"{name}: the sync failed. {error.detail}" if language == "en" else f"{name}: синхронизация не удалась. {error.detail}"


def stock_low(language: str, marketplace: Marketplace, products: Sequence[ThresholdItem], total: int) -> str:
    """`products` are the first of `total`, and at least one."""
    head = "running low" if language == "en" else "заканчиваются"
    return _products(language, marketplace, head, [_with_stock(language, product) for product in products], total)


def stock_out(language: str, marketplace: Marketplace, products: Sequence[ThresholdItem], total: int) -> str:
    """Likewise."""
    head = "out of stock" if language == "en" else "закончились"
    return _products(language, marketplace, head, [_name(product.title, product.article) for product in products], total)


def stock_replenished(language: str, marketplace: Marketplace, products: Sequence[ThresholdItem], total: int) -> str:
    """Likewise."""
    head = "replenished" if language == "en" else "запас пополнен"
    return _products(language, marketplace, head, [_with_stock(language, product) for product in products], total)


def orders_created(language: str, marketplace: Marketplace, orders: Sequence[NewOrder], total: int) -> str:
    """Likewise."""
    head = "new orders" if language == "en" else "новых заказов"
    named = "; ".join(_order(language, order) for order in orders[:MOST_ORDERS_NAMED])
    more = "" if total <= MOST_ORDERS_NAMED else "; …"
    sentence = f"{marketplace.value.capitalize()}: {head}: {_number(total)}. {named}{more}"
    return sentence if len(sentence) <= MOST_ORDERS_LENGTH else sentence[: MOST_ORDERS_LENGTH - 1] + "…"


def _products(language: str, marketplace: Marketplace, head: str, named: Sequence[str], total: int) -> str:
    sentence = f"{marketplace.value.capitalize()}: {head}: {', '.join(named[:MOST_NAMED])}."
    if total <= MOST_NAMED:
        return sentence
    return f"{sentence} {'Products in all' if language == 'en' else 'Всего товаров'}: {_number(total)}."


def _with_stock(language: str, product: ThresholdItem) -> str:
    return f"{_name(product.title, product.article)} ({'left' if language == 'en' else 'остаток'}: {_number(product.stock)})"


def _order(language: str, order: NewOrder) -> str:
    units = f"{_number(order.units)} {'pcs' if language == 'en' else 'шт.'}"
    name = _name(order.title, order.article) if order.title or order.article else order.number
    return ", ".join(filter(None, [name, units, _money(language, order.amount, order.currency)]))


def _money(language: str, amount: Decimal | None, currency: str) -> str:
    if amount is None:
        return ""
    text = f"{amount:,.2f}".removesuffix(".00")
    if language == "ru":
        text = text.replace(",", "\u00a0").replace(".", ",")
    return f"{text}\u00a0{'₽' if currency == 'RUB' else currency}"


def _name(title: str, article: str) -> str:
    name = title or article
    return f"«{name if len(name) <= MOST_NAME_LENGTH else name[: MOST_NAME_LENGTH - 1] + '…'}»"


def _number(count: int) -> str:
    return f"{count:,}".replace(",", "\u00a0")
