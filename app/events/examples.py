"""One event of each type, as a bot receives it, for whoever reads about them."""

from datetime import UTC, datetime
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
    OrderCounts,
    Payload,
    ProductCounts,
    StockCounts,
    SyncCompleted,
    SyncCounts,
    SyncFailed,
    WebhookTest,
)
from app.marketplaces.contract import Marketplace

_TENANT_ID = UUID("019aa9a3-6c00-7c1e-9b1d-2f4f5a6b7c8d")
_SYNC_ID = UUID("019aaa10-8a40-7d2f-8c3e-4a5b6c7d8e9f")

_PAYLOADS: tuple[Payload, ...] = (
    SyncCompleted(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[],
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
        low_stock=[
            LowStockItem(product_id=UUID("019aa9b0-1111-7aaa-8bbb-0123456789ab"), article="MUG-350-BLUE", title="Кружка 350 мл", stock=2)
        ],
        low_stock_total=1,
        message="Wildberries: синхронизация завершена. Товаров: 812 (новых: 3, изменено: 14, в архиве: 1). Остаток, шт.: 15 230. Заканчиваются: 1.",
    ),
    SyncFailed(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[],
        sync_id=_SYNC_ID,
        marketplace=Marketplace.WILDBERRIES,
        trigger="manual",
        error=EventError(code="marketplace_unavailable", detail="The marketplace does not answer."),
        message="Wildberries: синхронизация не удалась. The marketplace does not answer.",
    ),
    CredentialsInvalid(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[],
        provider="wildberries",
        detail="The marketplace rejected the key.",
        message="Wildberries больше не принимает ключ. Создайте новый в личном кабинете и отправьте его боту.",
    ),
    CredentialsExpiring(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[],
        provider="ozon",
        days_left=7,
        expires_at=datetime(2026, 11, 29, 9, 30, tzinfo=UTC),
        message="Ключ Ozon действует до 29.11.2026, осталось дней: 7. Создайте новый в личном кабинете и отправьте его боту.",
    ),
    CredentialsShared(
        tenant_id=_TENANT_ID,
        telegram_user_ids=[],
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
