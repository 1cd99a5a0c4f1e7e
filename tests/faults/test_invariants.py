"""Each invariant of the fault programme notices what it is there for: planted into a shop in which all of them hold.

What the schema forbids by a unique index can't be planted. What needs the whole fleet, the marketplaces' figures and the processes' logs, shows in the programme itself.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import httpx
import pytest

from app.database import system_scope
from app.runs.tables import Trigger
from tests.application import Shop, client, redis, sandbox, sandbox_url, settings, shop
from tests.factories import create_run
from tests.faults import invariants
from tests.faults.fleet import Fleet
from tests.faults.invariants import INVARIANTS, Invariant, changes_of, recent_changes, sentence

pytestmark = pytest.mark.anyio

__all__ = ["client", "redis", "sandbox", "sandbox_url", "settings", "shop"]

A_RUN = "id = (SELECT id FROM sync_runs WHERE status = 'succeeded' ORDER BY id DESC LIMIT 1)"
ENDED = f"UPDATE sync_runs SET status = 'running', finished_at = NULL, lease_until = now() {{}} WHERE {A_RUN}"
BY_THE_SCHEMA = {
    invariants.no_account_has_two_active_runs,
    invariants.no_product_is_there_twice,
    invariants.no_shelf_is_there_twice,
    invariants.no_order_is_there_twice,
}
BY_THE_FLEET = {
    invariants.what_is_stored_is_what_the_marketplaces_have,
    invariants.redis_holds_nothing_that_grows,
    invariants.no_process_ended_by_itself,
    invariants.no_fault_of_our_own_stands_in_the_logs,
}
PLANTED: list[tuple[Invariant, str]] = [
    (invariants.every_run_that_was_promised_is_there_and_has_ended, f"DELETE FROM sync_runs WHERE {A_RUN}"),
    (invariants.every_run_that_was_promised_is_there_and_has_ended, ENDED.format("+ interval '1 minute'")),
    (invariants.a_run_that_was_called_off_stays_so, "UPDATE sync_runs SET status = 'succeeded' WHERE status = 'cancelled'"),
    (invariants.no_run_is_running_without_a_live_lease, ENDED.format("- interval '1 s'")),
    (
        invariants.no_run_waits_that_is_due_for_long,
        f"UPDATE sync_runs SET status = 'queued', finished_at = NULL, not_before = now() - interval '1 minute' WHERE {A_RUN}",
    ),
    (invariants.a_run_that_ended_says_so_and_has_let_go, f"UPDATE sync_runs SET finished_at = NULL WHERE {A_RUN}"),
    (invariants.a_run_that_ended_says_so_and_has_let_go, f"UPDATE sync_runs SET lease_until = now() WHERE {A_RUN}"),
    (invariants.a_run_that_ended_says_so_and_has_let_go, f"UPDATE sync_runs SET status = 'failed' WHERE {A_RUN}"),
    (
        invariants.no_run_and_no_stage_ended_for_a_reason_of_our_own,
        f"UPDATE sync_runs SET status = 'failed', error_code = 'crashed', crashes = 2 WHERE {A_RUN}",
    ),
    (
        invariants.no_run_and_no_stage_ended_for_a_reason_of_our_own,
        f"""UPDATE sync_runs SET stages = jsonb_set(stages, '{{0,error}}', '{{"code": "internal_error", "detail": ""}}') WHERE {A_RUN}""",
    ),
    (
        invariants.every_run_that_ended_has_one_event_and_cancelled_ones_have_none,
        f"UPDATE sync_runs SET status = 'cancelled' WHERE {A_RUN}",
    ),
    (
        invariants.every_run_that_ended_has_one_event_and_cancelled_ones_have_none,
        "UPDATE sync_runs SET status = 'succeeded' WHERE status = 'cancelled'",
    ),
    (
        invariants.every_run_that_ended_has_one_event_and_cancelled_ones_have_none,
        """INSERT INTO events (id, tenant_id, sequence, type, body, occurred_at)
           SELECT gen_random_uuid(), tenant_id, 1000, type, body, now() FROM events WHERE type = 'sync.completed' ORDER BY id LIMIT 1""",
    ),
    (invariants.the_events_of_a_tenant_are_numbered_without_gaps, "UPDATE tenants SET event_sequence = event_sequence + 1"),
    (invariants.the_events_of_a_tenant_are_numbered_without_gaps, "DELETE FROM events WHERE sequence = 1"),
    (invariants.a_product_has_as_much_stock_as_its_shelves, "UPDATE products SET stock_total = stock_total + 1"),
    (
        invariants.the_history_of_stock_has_a_row_for_each_change_and_ends_at_the_stock,
        """INSERT INTO stock_history SELECT (json_populate_record(
           entry, json_build_object('id', gen_random_uuid(), 'changed_at', changed_at + interval '1 s'))).* FROM stock_history AS entry""",
    ),
    (
        invariants.the_history_of_stock_has_a_row_for_each_change_and_ends_at_the_stock,
        "UPDATE stock_history SET seller_quantity = seller_quantity + 1",
    ),
    (invariants.no_full_pass_is_left_half_open, "UPDATE checkpoints SET full_pass_run = gen_random_uuid()"),
    (
        invariants.no_full_pass_is_left_half_open,
        "INSERT INTO sightings (id, tenant_id, marketplace, external_ids) SELECT gen_random_uuid(), id, 'wildberries', '{}' FROM tenants",
    ),
]


class Rows:
    """The installation's database, as the invariants ask it."""

    async def rows(self, statement: str, *arguments: Any) -> list[Any]:
        async with system_scope() as connection:
            return await connection.fetch(statement, *arguments)


@pytest.fixture
async def fleet(shop: Shop, sandbox: httpx.AsyncClient) -> Fleet:
    """One seller: a first sync, a second one, and one that was called off; a receiver that heard everything."""
    await shop.give_key(shop.key(products=5))
    await shop.sync()
    await shop.sync()
    called_off = await create_run(shop.tenant_id, Trigger.MANUAL)
    await shop.expect(202, "POST", f"/sync/{called_off}/cancel")
    database = Rows()
    asked = [run_id for [run_id] in await database.rows("SELECT id FROM sync_runs")]
    heard = Counter((str(shop.tenant_id), f"msg_{event_id.hex}") for [event_id] in await database.rows("SELECT id FROM events"))
    seller = SimpleNamespace(tenant_id=str(shop.tenant_id), asked=asked, cancelled=[called_off], accounts=[])
    receiver = SimpleNamespace(heard=heard, refused=list[str]())
    return cast(
        "Fleet",
        SimpleNamespace(
            installation=SimpleNamespace(database=database),
            sellers=[seller],
            receiver=receiver,
            stopped_at=datetime.now(UTC) + timedelta(hours=1),
        ),
    )


def test_each_invariant_is_tried():
    tried = {holds for holds, _ in PLANTED} | {
        invariants.every_event_was_heard_by_its_receiver,
        invariants.every_webhook_was_signed_for_its_receiver,
    }

    assert tried | BY_THE_SCHEMA | BY_THE_FLEET == set(INVARIANTS)


@pytest.mark.parametrize(("holds", "planted"), PLANTED, ids=[f"{number} {sentence(holds)}" for number, (holds, _) in enumerate(PLANTED)])
async def test_what_is_planted_is_noticed(fleet: Fleet, holds: Invariant, planted: str):
    before = await holds(fleet)

    await fleet.installation.database.rows(planted)

    assert before == []
    assert await holds(fleet) != []


async def test_an_event_that_nobody_heard_and_a_webhook_that_nobody_signed_are_noticed(fleet: Fleet):
    heard, signed = invariants.every_event_was_heard_by_its_receiver, invariants.every_webhook_was_signed_for_its_receiver
    before = [await heard(fleet), list(await signed(fleet))]

    fleet.receiver.heard.popitem()
    fleet.receiver.refused.append("a body with a wrong signature")

    assert before == [[], []]
    assert len(await heard(fleet)) == len(await signed(fleet)) == 1


CHANGES: list[tuple[Callable[[Fleet, datetime, list[UUID]], Any], str]] = [
    (lambda fleet, since, runs: recent_changes(fleet, since), "UPDATE products SET updated_at = now()"),
    (lambda fleet, since, runs: recent_changes(fleet, since), "UPDATE stocks SET changed_at = now()"),
    (
        lambda fleet, since, runs: changes_of(fleet, runs),
        f"UPDATE sync_runs SET stages = jsonb_set(stages, '{{0,updated}}', '1') WHERE {A_RUN}",
    ),
    (lambda fleet, since, runs: changes_of(fleet, runs), f"UPDATE sync_runs SET status = 'partial' WHERE {A_RUN}"),
]


@pytest.mark.parametrize(("look", "planted"), CHANGES)
async def test_a_run_that_finds_what_an_earlier_one_missed_is_noticed(fleet: Fleet, look: Any, planted: str):
    database = fleet.installation.database
    [[since]] = await database.rows("SELECT now()")
    [[second]] = await database.rows(f"SELECT id FROM sync_runs WHERE {A_RUN}")
    before = await look(fleet, since, [second])

    await database.rows(planted)

    assert before == []
    assert await look(fleet, since, [second]) != []
