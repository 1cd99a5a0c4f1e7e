"""What a full pass that was given up had met goes; what a run that waits will go on with stays."""

from datetime import timedelta

import pytest

from app.database import system_scope, tenant_scope
from app.marketplaces.contract import Marketplace
from app.products.retention import remove_old_sightings
from app.products.store import note_sightings
from tests.ages import add_ended_run, grow_older, id_of_age, walk_through
from tests.factories import create_tenant

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("status", "age", "stay"),
    [("failed", 25, False), ("cancelled", 25, False), ("queued", 25, True), ("running", 25, True), ("failed", 23, True)],
)
async def test_sightings_stay_while_a_run_may_go_on_with_them(clean_database, status: str, age: int, stay: bool):
    tenant = await create_tenant()
    await add_ended_run(tenant, timedelta(days=3), status=status)
    async with tenant_scope(tenant) as connection:
        await note_sightings(connection, tenant, Marketplace.WILDBERRIES, ["1", "2"])
    await grow_older("UPDATE sightings SET id = $1", id_of_age(timedelta(hours=age)))

    await walk_through(remove_old_sightings)

    async with system_scope() as connection:
        assert bool(await connection.fetchval("SELECT count(*) FROM sightings")) is stay
