"""What is kept for keys goes after a day, in batches."""

from datetime import timedelta
from uuid import UUID

import pytest

from app import retention
from app.database import tenant_scope
from app.idempotency.retention import remove_old_answers
from tests.ages import id_of_age, walk_through
from tests.factories import create_tenant

pytestmark = pytest.mark.anyio


async def add(tenant_id: UUID, age: timedelta, status: int | None = 201) -> UUID:
    request_id = id_of_age(age)
    async with tenant_scope(tenant_id) as connection:
        await connection.execute(
            "INSERT INTO idempotent_requests (id, tenant_id, key, status, answer_encrypted, created_at) VALUES ($1, $2, gen_random_uuid(), $3, '', now() - $4::interval)",
            request_id, tenant_id, status, age,
        )  # fmt: skip
    return request_id


async def left(tenant_id: UUID) -> set[UUID]:
    async with tenant_scope(tenant_id) as connection:
        return {row["id"] for row in await connection.fetch("SELECT id FROM idempotent_requests")}


async def test_what_is_older_than_a_day_goes_whether_it_was_answered_or_not(clean_database: str) -> None:
    tenant = await create_tenant()
    young = {await add(tenant, timedelta(hours=23)), await add(tenant, timedelta(seconds=90), None)}
    for status in (201, None):
        await add(tenant, timedelta(hours=25), status)

    batches = await walk_through(remove_old_answers)

    assert sum(batch.removed for batch in batches) == 2
    assert await left(tenant) == young


async def test_a_batch_is_bounded(clean_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    tenant = await create_tenant()
    for hours in range(25, 30):
        await add(tenant, timedelta(hours=hours))

    batches = await walk_through(remove_old_answers)

    assert [batch.removed for batch in batches] == [2, 2, 1]
    assert await left(tenant) == set()
