import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from app.database import Connection, system_scope, tenant_scope
from app.events.outbox import record
from app.events.types import LowStockItem
from app.ids import new_id
from tests.events.events import record_event, sync_completed
from tests.factories import create_tenant

pytestmark = pytest.mark.anyio


async def _events(tenant_id):
    async with tenant_scope(tenant_id) as connection:
        return await connection.fetch("SELECT * FROM events ORDER BY sequence")


async def add_member(connection: Connection, tenant_id: UUID, telegram_user_id: int | None) -> None:
    user_id = new_id()
    await connection.execute("INSERT INTO users (id, telegram_user_id, created_at) VALUES ($1, $2, now())", user_id, telegram_user_id)
    await connection.execute(
        "INSERT INTO memberships (id, tenant_id, user_id, role, created_at) VALUES ($1, $2, $3, 'viewer', now())",
        new_id(),
        tenant_id,
        user_id,
    )


async def test_the_body_is_what_was_promised_to_bots(clean_database):
    tenant = await create_tenant()
    item = LowStockItem(product_id=new_id(), article="MUG-1", title="Кружка", stock=2)
    payload = sync_completed(tenant, "Готово", (item,))

    event_id = await record_event(tenant, payload)

    [event] = await _events(tenant)
    body = msgspec.json.decode(event["body"])
    timestamp = body.pop("timestamp")
    assert event["id"] == event_id
    assert event["dispatched_at"] is None
    assert datetime.fromisoformat(timestamp) == event["occurred_at"]
    assert timestamp.endswith("Z")
    assert abs(event["occurred_at"] - datetime.now(UTC)) < timedelta(minutes=1)
    assert body == {
        "type": "sync.completed",
        "sequence": 1,
        "data": {
            "tenant_id": str(tenant),
            "telegram_user_ids": [],
            "sync_id": str(payload.sync_id),
            "marketplace": "wildberries",
            "status": "succeeded",
            "trigger": "manual",
            "duration_s": 1.25,
            "counts": {
                "products": {"created": 1, "updated": 2, "archived": 3, "total": 4},
                "stocks": {"changed": 5, "total_units": 6},
                "orders": {"new": 0},
            },
            "low_stock": [{"product_id": str(item.product_id), "article": "MUG-1", "title": "Кружка", "stock": 2}],
            "low_stock_total": 1,
            "message": "Готово",
        },
    }


async def test_an_event_is_stored_exactly_if_its_fact_is(clean_database):
    tenant = await create_tenant()

    async with tenant_scope(tenant) as connection:
        await record(connection, tenant, sync_completed(tenant))
        await connection.execute("UPDATE tenants SET name = 'changed'")
    with pytest.raises(ZeroDivisionError):
        async with tenant_scope(tenant) as connection:
            await record(connection, tenant, sync_completed(tenant))
            await connection.execute("UPDATE tenants SET name = 'never'")
            raise ZeroDivisionError

    async with tenant_scope(tenant) as connection:
        assert await connection.fetchval("SELECT name FROM tenants") == "changed"
    assert [event["sequence"] for event in await _events(tenant)] == [1]


async def test_the_sequence_has_no_gaps_and_the_order_of_time_when_many_record_at_once(clean_database):
    tenant, other = await create_tenant(), await create_tenant()

    async def record_or_fail(n: int) -> None:
        async with tenant_scope(tenant) as connection:
            await connection.execute("SELECT 1")
            await record(connection, tenant, sync_completed(tenant, f"{n}"))
            if n % 4 == 0:
                raise ZeroDivisionError

    await asyncio.gather(*(record_or_fail(n) for n in range(40)), *(record_event(other) for _ in range(5)), return_exceptions=True)

    events = await _events(tenant)
    assert [event["sequence"] for event in events] == list(range(1, 31))
    assert [msgspec.json.decode(event["body"])["sequence"] for event in events] == list(range(1, 31))
    assert [event["occurred_at"] for event in events] == sorted(event["occurred_at"] for event in events)
    assert [event["sequence"] for event in await _events(other)] == [1, 2, 3, 4, 5]


async def test_an_event_of_a_tenant_that_is_not_there_is_our_mistake(clean_database):
    tenant, rival = await create_tenant(), await create_tenant()

    for absent in (uuid4(), rival):
        with pytest.raises(ValueError, match="no tenant"):
            async with tenant_scope(tenant) as connection:
                await record(connection, absent, sync_completed(absent))


@pytest.mark.parametrize("scope", ["the tenant's", "all tenants'"])
async def test_an_event_names_the_telegram_users_of_its_tenant_and_of_no_other(clean_database, scope: str):
    mine, other = await create_tenant(), await create_tenant()
    async with system_scope() as connection:
        for tenant, telegram_user_id in ((mine, 70), (other, 60), (mine, None), (mine, 50)):
            await add_member(connection, tenant, telegram_user_id)

    async with tenant_scope(mine) if scope == "the tenant's" else system_scope() as connection:
        await record(connection, mine, sync_completed(mine))

    [event] = await _events(mine)
    assert msgspec.json.decode(event["body"])["data"]["telegram_user_ids"] == [70, 50]


async def test_an_event_names_twenty_telegram_users_at_most(clean_database):
    tenant = await create_tenant()
    async with system_scope() as connection:
        for number in range(25):
            await add_member(connection, tenant, 100 + number)

    await record_event(tenant, sync_completed(tenant))

    [event] = await _events(tenant)
    assert msgspec.json.decode(event["body"])["data"]["telegram_user_ids"] == list(range(100, 120))
