"""One event of each type, as a bot receives it, for whoever reads about them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from app.events.outbox import encode
from app.events.types import (
    CredentialsExpiring,
    CredentialsInvalid,
    CredentialsShared,
    EventError,
    LowStockItem,
    NewOrder,
    OrderCounts,
    OrdersCreated,
    Payload,
    ProductCounts,
    StockCounts,
    StockLow,
    StockOut,
    StockReplenished,
    SyncCompleted,
    SyncCounts,
    SyncFailed,
    ThresholdItem,
    WebhookTest,
)
from app.marketplaces.contract import Fulfilment, Marketplace

_TENANT_ID = UUID("019aa9a3-6c00-7c1e-9b1d-2f4f5a6b7c8d")
_TELEGRAM_USER_ID = 123456789
_SYNC_ID = UUID("019aaa10-8a40-7d2f-8c3e-4a5b6c7d8e9f")

_MUG_ID = UUID("019aa9b0-1111-7aaa-8bbb-0123456789ab")

_PAYLOADS: tuple[Payload, ...] = (
    SyncCompleted(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[_TELEGRAM_USER_ID],
        sync_id=_SYNC_ID,
        marketplace=Marketplace.WILDBERRIES,
        status="succeeded",
        trigger="schedule",
        duration_s=2.417,
        counts=SyncCounts(
            products=ProductCounts(created=3, updated=14, archived=1, total=812),
            stocks=StockCounts(changed=96, total_units=15_230),
            orders=OrderCounts(new=0),
        ),
        low_stock=[LowStockItem(product_id=_MUG_ID, article="MUG-350-BLUE", title="Кружка 350 мл", stock=2)],
        low_stock_total=1,
        message="Wildberries: синхронизация завершена. Товаров: 812 (новых: 3, изменено: 14, в архиве: 1). Остаток, шт.: 15 230. Заканчиваются: 1.",
    ),
    SyncFailed(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[_TELEGRAM_USER_ID],
        sync_id=_SYNC_ID,
        marketplace=Marketplace.WILDBERRIES,
        trigger="manual",
        error=EventError(code="marketplace_unavailable", detail="The marketplace does not answer."),
        message="Wildberries: синхронизация не удалась. The marketplace does not answer.",
    ),
    StockLow(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[_TELEGRAM_USER_ID],
        sync_id=_SYNC_ID,
        marketplace=Marketplace.WILDBERRIES,
        products=[ThresholdItem(product_id=_MUG_ID, article="MUG-350-BLUE", title="Кружка 350 мл", stock=2, threshold=5)],
        total=1,
        message="Wildberries: заканчиваются: «Кружка 350 мл» (остаток: 2).",
    ),
    StockOut(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[_TELEGRAM_USER_ID],
        sync_id=_SYNC_ID,
        marketplace=Marketplace.WILDBERRIES,
        products=[ThresholdItem(product_id=_MUG_ID, article="MUG-350-BLUE", title="Кружка 350 мл", stock=0, threshold=5)],
        total=1,
        message="Wildberries: закончились: «Кружка 350 мл».",
    ),
    StockReplenished(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[_TELEGRAM_USER_ID],
        sync_id=_SYNC_ID,
        marketplace=Marketplace.WILDBERRIES,
        products=[ThresholdItem(product_id=_MUG_ID, article="MUG-350-BLUE", title="Кружка 350 мл", stock=120, threshold=5)],
        total=1,
        message="Wildberries: запас пополнен: «Кружка 350 мл» (остаток: 120).",
    ),
    OrdersCreated(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[_TELEGRAM_USER_ID],
        sync_id=_SYNC_ID,
        marketplace=Marketplace.WILDBERRIES,
        orders=[
            NewOrder(
                order_id=UUID("019aaa10-2222-7ccc-9ddd-0123456789ab"),
                number="8943219876543",
                ordered_at=datetime(2026, 11, 22, 9, 41, 7, tzinfo=UTC),
                fulfilment=Fulfilment.MARKETPLACE_WAREHOUSE,
                units=1,
                amount=Decimal("1290.00"),
                currency="RUB",
                article="MUG-350-BLUE",
                title="Кружка 350 мл",
            )
        ],
        total=1,
        message="Wildberries: новых заказов: 1. «Кружка 350 мл», 1 шт., 1\u00a0290\u00a0₽",
    ),
    CredentialsInvalid(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[_TELEGRAM_USER_ID],
        provider="wildberries",
        detail="The marketplace rejected the key.",
        message="Wildberries больше не принимает ключ. Создайте новый в личном кабинете и попросите у бота ссылку, чтобы передать его.",
    ),
    CredentialsExpiring(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[_TELEGRAM_USER_ID],
        provider="ozon",
        days_left=7,
        expires_at=datetime(2026, 11, 29, 9, 30, tzinfo=UTC),
        message="Ключ Ozon действует до 29.11.2026, осталось дней: 7. Создайте новый в личном кабинете и попросите у бота ссылку, чтобы передать его.",
    ),
    CredentialsShared(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[_TELEGRAM_USER_ID],
        provider="ozon",
        message=(
            "Этот магазин Ozon подключён ещё в одном месте: у кого-то другого тоже есть его ключ. "
            "Если это не вы, отзовите ключ в личном кабинете и создайте новый."
        ),
    ),
    WebhookTest(tenant_id=_TENANT_ID, message="Проверка: события Stock Tracker доходят до бота."),
)

EXAMPLES: dict[str, dict[str, Any]] = {
    payload.type: msgspec.json.decode(encode(payload, 42 + place, datetime(2026, 11, 22, 10, 0, tzinfo=UTC)))
    for place, payload in enumerate(_PAYLOADS)
}
"""The whole body by type."""
