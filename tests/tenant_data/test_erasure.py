"""An erased tenant leaves nothing behind, and no other is touched; whatever goes on meanwhile, and whatever is killed."""

import asyncio
from uuid import UUID

import pytest

from app.audit.service import caller_address
from app.database import system_scope
from app.tenant_data.erasure import begin_erasure, erase, pending_erasures
from app.tenant_data.rows import WALK
from tests.application import Shop
from tests.auth.application import PASSWORD
from tests.tenant_data.everything import TABLES_OF_TENANTS, found_anywhere, rows_of, use_everything

pytestmark = pytest.mark.anyio

# These do not go in batches: app.tenant_data.erasure says when.
OTHERWISE = {"memberships", "sync_pauses", "audit_log"}


async def erase_now(tenant_id: UUID) -> None:
    """As a scheduler does, where no request is under way."""
    caller_address.set(None)
    assert tenant_id in await pending_erasures()
    async for _ in erase(tenant_id):
        pass


async def test_every_table_of_tenants_is_erased(clean_database: str):
    async with system_scope() as connection:
        tables = {row[0] for row in await connection.fetch(TABLES_OF_TENANTS)}

    walked = {name for rows in WALK for name in (rows.table, *(table for table, _ in rows.along_with))}

    assert walked | OTHERWISE == tables


async def test_of_two_tenants_with_everything_one_is_erased_and_the_other_is_unchanged(shop: Shop, other_shop: Shop, sender: None):
    marks, rivals_marks = await use_everything(shop, "acme7f3a"), await use_everything(other_shop, "rival9c2e")
    before, rivals_before = await rows_of(shop.tenant_id), await rows_of(other_shop.tenant_id)
    assert [table for table, rows in (before | rivals_before).items() if not rows] == []

    assert (await shop.call("DELETE", "/tenants/me", json={"password": PASSWORD})).status_code == 204
    await erase_now(shop.tenant_id)

    assert await found_anywhere(marks) == set()
    assert await rows_of(other_shop.tenant_id) == rivals_before
    assert {mark for _, mark in await found_anywhere(rivals_marks)} >= {str(other_shop.tenant_id), "rival9c2e"}
