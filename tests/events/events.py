"""Events for tests, small and as large as they may be."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from app.database import tenant_scope
from app.events.outbox import record
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
from app.ids import new_id
from app.marketplaces.contract import Fulfilment, Marketplace


def sync_completed(tenant_id: UUID, message: str = "Готово", low_stock: tuple[LowStockItem, ...] = ()) -> SyncCompleted:
    return SyncCompleted(
        tenant_id=tenant_id,
        telegram_user_ids=[],
        sync_id=new_id(),
        marketplace=Marketplace.WILDBERRIES,
        status="succeeded",
        trigger="manual",
        duration_s=1.25,
        counts=SyncCounts(
            products=ProductCounts(created=1, updated=2, archived=3, total=4),
            stocks=StockCounts(changed=5, total_units=6),
            orders=OrderCounts(new=0),
        ),
        low_stock=list(low_stock),
        low_stock_total=len(low_stock),
        message=message,
    )


def sync_failed(tenant_id: UUID, message: str = "Не вышло") -> SyncFailed:
    return SyncFailed(
        tenant_id=tenant_id,
        telegram_user_ids=[],
        sync_id=new_id(),
        marketplace=Marketplace.WILDBERRIES,
        trigger="schedule",
        error=EventError(code="marketplace_unavailable", detail="The marketplace does not answer."),
        message=message,
    )


def largest_events(letter: str) -> list[Payload]:
    """One of each type, with every text made of `letter` and as long as it may be."""
    tenant_id, sentence, code = new_id(), letter * 1000, letter * 50
    users = [10**18 + n for n in range(20)]
    item = LowStockItem(product_id=new_id(), article=letter * 200, title=letter * 500, stock=-(2**31))
    completed = SyncCompleted(
        tenant_id=tenant_id,
        telegram_user_ids=users,
        sync_id=new_id(),
        marketplace=Marketplace.WILDBERRIES,
        status="succeeded",
        trigger=code,
        duration_s=1e9 / 7,
        counts=SyncCounts(
            products=ProductCounts(created=2**31, updated=2**31, archived=2**31, total=2**31),
            stocks=StockCounts(changed=2**31, total_units=2**63),
            orders=OrderCounts(new=2**31),
        ),
        low_stock=[item] * 10,
        low_stock_total=2**31,
        message=sentence,
    )
    failed = SyncFailed(
        tenant_id=tenant_id,
        telegram_user_ids=users,
        sync_id=new_id(),
        marketplace=Marketplace.WILDBERRIES,
        trigger=code,
        error=EventError(code=code, detail=sentence),
        message=sentence,
    )
    moved = ThresholdItem(product_id=new_id(), article=letter * 200, title=letter * 500, stock=-(2**31), threshold=2**31)
    levels = [
        event(
            tenant_id=tenant_id,
            telegram_user_ids=users,
            sync_id=new_id(),
            marketplace=Marketplace.WILDBERRIES,
            products=[moved] * 10,
            total=2**31,
            message=sentence,
        )
        for event in (StockLow, StockOut, StockReplenished)
    ]
    order = NewOrder(
        order_id=new_id(),
        number=letter * 100,
        ordered_at=datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC),
        fulfilment=Fulfilment.MARKETPLACE_WAREHOUSE,
        units=2**31,
        amount=Decimal(10**12 * 2**31).quantize(Decimal("0.01")),
        currency="RUB",
        article=letter * 200,
        title=letter * 500,
    )
    orders = OrdersCreated(
        tenant_id=tenant_id,
        telegram_user_ids=users,
        sync_id=new_id(),
        marketplace=Marketplace.WILDBERRIES,
        orders=[order] * 50,
        total=2**31,
        message=letter * 200,
    )
    invalid = CredentialsInvalid(tenant_id=tenant_id, telegram_user_ids=users, provider=code, detail=sentence, message=sentence)
    expiring = CredentialsExpiring(
        tenant_id=tenant_id,
        telegram_user_ids=users,
        provider=code,
        days_left=30,
        expires_at=datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC),
        message=sentence,
    )
    shared = CredentialsShared(tenant_id=tenant_id, telegram_user_ids=users, provider=code, message=sentence)
    return [completed, failed, *levels, orders, invalid, expiring, shared, WebhookTest(tenant_id=tenant_id, message=sentence)]


async def record_event(tenant_id: UUID, payload: Payload | None = None) -> UUID:
    """In a transaction of its own; `sync.completed` unless told otherwise."""
    async with tenant_scope(tenant_id) as connection:
        return await record(connection, tenant_id, payload or sync_completed(tenant_id))


async def record_events(tenant_id: UUID, number: int) -> None:
    """Many that say the same, at once."""
    payload = sync_completed(tenant_id)
    async with tenant_scope(tenant_id) as connection:
        for _ in range(number):
            await record(connection, tenant_id, payload)
