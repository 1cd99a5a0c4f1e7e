"""What must hold when all faults are over, whatever they were. Each gives what differs, as lines for people; nothing where it holds."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from app.jobs import MAX_WAITING
from app.marketplaces.contract import Marketplace
from tests.faults.fleet import RECENT, Account, Figures, Fleet, Seller

DUE_FOR_LONG_S = 30
KEYS_PER_TENANT = 20
# Whatever happens to a marketplace, it can be told in these words.
EXPLAINED = ("marketplace_", "unexpected_response", "empty_report", "too_many_missing", "unreadable_products")

FIGURES = """
    SELECT (SELECT count(*) FROM products WHERE tenant_id = $1 AND marketplace = $2 AND archived_at IS NULL),
           (SELECT coalesce(sum(price), 0) FROM products WHERE tenant_id = $1 AND marketplace = $2 AND archived_at IS NULL),
           (SELECT coalesce(sum(discounted_price), 0) FROM products WHERE tenant_id = $1 AND marketplace = $2 AND archived_at IS NULL),
           (SELECT coalesce(sum(quantity), 0) FROM stocks JOIN products ON products.id = product_id
             WHERE products.tenant_id = $1 AND marketplace = $2 AND fulfilment = 'marketplace_warehouse'),
           (SELECT coalesce(sum(quantity), 0) FROM stocks JOIN products ON products.id = product_id
             WHERE products.tenant_id = $1 AND marketplace = $2 AND fulfilment = 'seller_warehouse')
"""
ORDERS = "SELECT status, count(*) FROM orders WHERE tenant_id = $1 AND marketplace = $2 AND ordered_at >= $3 GROUP BY status"

Invariant = Callable[[Fleet], Awaitable[list[str]]]
INVARIANTS: list[Invariant] = []


def invariant(holds: Invariant) -> Invariant:
    INVARIANTS.append(holds)
    return holds


def sentence(holds: Invariant) -> str:
    return holds.__name__.replace("_", " ")


# Runs


@invariant
async def every_run_that_was_promised_is_there_and_has_ended(fleet: Fleet) -> list[str]:
    rows = await fleet.installation.database.rows("SELECT id, status FROM sync_runs")
    status = {row["id"]: row["status"] for row in rows}
    return [
        f"run {run_id} of tenant {seller.tenant_id} is {status.get(run_id, 'not there')}"
        for seller in fleet.sellers
        for run_id in seller.asked
        if status.get(run_id, "queued") in ("queued", "running")
    ]


@invariant
async def a_run_that_was_called_off_stays_so(fleet: Fleet) -> list[str]:
    called_off = [run_id for seller in fleet.sellers for run_id in seller.cancelled]
    return await _each(fleet, "SELECT id, status, attempt FROM sync_runs WHERE id = ANY($1) AND status <> 'cancelled'", called_off)


@invariant
async def no_run_is_running_without_a_live_lease(fleet: Fleet) -> list[str]:
    return await _each(
        fleet,
        "SELECT id, worker, lease_until, now() FROM sync_runs WHERE status = 'running' AND (lease_until IS NULL OR lease_until < now())",
    )


@invariant
async def no_run_waits_that_is_due_for_long(fleet: Fleet) -> list[str]:
    return await _each(
        fleet,
        f"SELECT id, not_before, rung_at, now() FROM sync_runs WHERE status = 'queued' AND not_before < now() - interval '{DUE_FOR_LONG_S} s'",
    )


@invariant
async def no_account_has_two_active_runs(fleet: Fleet) -> list[str]:
    return await _each(
        fleet,
        "SELECT tenant_id, marketplace, count(*) FROM sync_runs WHERE status IN ('queued', 'running') GROUP BY 1, 2 HAVING count(*) > 1",
    )


@invariant
async def a_run_that_ended_says_so_and_has_let_go(fleet: Fleet) -> list[str]:
    return await _each(
        fleet,
        "SELECT id, status, finished_at, lease_until, error_code FROM sync_runs WHERE status NOT IN ('queued', 'running') "
        "AND (finished_at IS NULL OR lease_until IS NOT NULL OR (status = 'failed') <> (error_code IS NOT NULL))",
    )


@invariant
async def no_run_and_no_stage_ended_for_a_reason_of_our_own(fleet: Fleet) -> list[str]:
    """Only what the marketplaces did may stand there, and a worker that was lost three times with the run."""
    allowed = "".join(f" AND code NOT LIKE '{prefix}%'" for prefix in EXPLAINED)
    return await _each(
        fleet,
        f"""
        SELECT id, crashes, code, detail FROM (
            SELECT id, crashes, error_code AS code, error_detail AS detail FROM sync_runs WHERE error_code IS NOT NULL
             UNION ALL
            SELECT id, crashes, report -> 'error' ->> 'code', report -> 'error' ->> 'detail'
              FROM sync_runs, jsonb_array_elements(stages) AS report WHERE status NOT IN ('queued', 'running')) AS reason
         WHERE code IS NOT NULL AND NOT (code = 'crashed' AND crashes >= 3){allowed}
        """,
    )


# Events


@invariant
async def every_run_that_ended_has_one_event_and_cancelled_ones_have_none(fleet: Fleet) -> list[str]:
    return await _each(
        fleet,
        """
        SELECT run.id, run.status, array_agg(event.type) FILTER (WHERE event.id IS NOT NULL)
          FROM sync_runs AS run LEFT JOIN events AS event
            ON event.tenant_id = run.tenant_id AND event.type IN ('sync.completed', 'sync.failed')
           AND event.body::json -> 'data' ->> 'sync_id' = run.id::text
         GROUP BY run.id
        HAVING CASE run.status WHEN 'succeeded' THEN ARRAY['sync.completed'] WHEN 'partial' THEN ARRAY['sync.completed']
                               WHEN 'failed' THEN ARRAY['sync.failed'] ELSE ARRAY[]::text[] END
               <> coalesce(array_agg(event.type::text) FILTER (WHERE event.id IS NOT NULL), ARRAY[]::text[])
        """,
    )


@invariant
async def the_events_of_a_tenant_are_numbered_without_gaps(fleet: Fleet) -> list[str]:
    return await _each(
        fleet,
        """
        SELECT tenant.id, event_sequence, count(event.id), min(sequence), max(sequence)
          FROM tenants AS tenant LEFT JOIN events AS event ON event.tenant_id = tenant.id
         GROUP BY tenant.id
        HAVING count(event.id) <> event_sequence OR (event_sequence > 0 AND (min(sequence), max(sequence)) <> (1, event_sequence))
        """,
    )


@invariant
async def every_event_was_heard_by_its_receiver(fleet: Fleet) -> list[str]:
    rows = await fleet.installation.database.rows("SELECT tenant_id, id, type, occurred_at FROM events ORDER BY id")
    return [
        f"{row['type']} {row['id']} of tenant {row['tenant_id']}, {row['occurred_at']}"
        for row in rows
        if not fleet.receiver.heard[str(row["tenant_id"]), f"msg_{row['id'].hex}"]
    ]


@invariant
async def every_webhook_was_signed_for_its_receiver(fleet: Fleet) -> list[str]:
    return fleet.receiver.refused


# Rows


@invariant
async def no_product_is_there_twice(fleet: Fleet) -> list[str]:
    return await _each(fleet, "SELECT tenant_id, marketplace, external_id, count(*) FROM products GROUP BY 1, 2, 3 HAVING count(*) > 1")


@invariant
async def no_shelf_is_there_twice(fleet: Fleet) -> list[str]:
    return await _each(
        fleet, "SELECT product_id, fulfilment, warehouse_id, size_id, count(*) FROM stocks GROUP BY 1, 2, 3, 4 HAVING count(*) > 1"
    )


@invariant
async def no_order_is_there_twice(fleet: Fleet) -> list[str]:
    return await _each(fleet, "SELECT tenant_id, marketplace, external_id, count(*) FROM orders GROUP BY 1, 2, 3 HAVING count(*) > 1")


@invariant
async def a_product_has_as_much_stock_as_its_shelves(fleet: Fleet) -> list[str]:
    return await _each(
        fleet,
        "SELECT id, stock_total, (SELECT coalesce(sum(quantity), 0) FROM stocks WHERE product_id = products.id) AS shelves FROM products "
        "WHERE stock_total <> (SELECT coalesce(sum(quantity), 0) FROM stocks WHERE product_id = products.id)",
    )


@invariant
async def the_history_of_stock_has_a_row_for_each_change_and_ends_at_the_stock(fleet: Fleet) -> list[str]:
    return await _each(
        fleet,
        """
        WITH history AS (
            SELECT product_id, changed_at, marketplace_quantity, seller_quantity,
                   lag((marketplace_quantity, seller_quantity)) OVER chronicle AS before,
                   row_number() OVER (PARTITION BY product_id ORDER BY changed_at DESC) AS age
              FROM stock_history WINDOW chronicle AS (PARTITION BY product_id ORDER BY changed_at))
        SELECT product_id, changed_at, marketplace_quantity, seller_quantity, before, stock_total
          FROM history JOIN products AS product ON product.id = product_id
         WHERE before = (marketplace_quantity, seller_quantity) OR (age = 1 AND marketplace_quantity + seller_quantity <> stock_total)
        """,
    )


@invariant
async def no_full_pass_is_left_half_open(fleet: Fleet) -> list[str]:
    return await _each(
        fleet, "SELECT tenant_id, marketplace, stage, full_pass_run FROM checkpoints WHERE full_pass_run IS NOT NULL"
    ) + await _each(fleet, "SELECT tenant_id, marketplace, count(*) AS sightings FROM sightings GROUP BY 1, 2")


@invariant
async def what_is_stored_is_what_the_marketplaces_have(fleet: Fleet) -> list[str]:
    differs: list[str] = []
    for seller in fleet.sellers:
        for account in seller.accounts:
            true, stored = asdict(await fleet.truth(account)), asdict(await _stored(fleet, seller, account))
            wrong = {name: f"{stored[name]} instead of {true[name]}" for name in true if stored[name] != true[name]}
            if wrong:
                differs.append(f"{account.marketplace} of tenant {seller.tenant_id}, {account.products} products at first: {wrong}")
    return differs


# Redis and the processes


@invariant
async def redis_holds_nothing_that_grows(fleet: Fleet) -> list[str]:
    with fleet.installation.redis.client() as redis:
        keys = [key.decode() for key in redis.scan_iter(count=1000)]
        for_ever = [key for key in keys if redis.ttl(key) == -1 and key != "jobs"]
        waiting = redis.xlen("jobs")
    bound = KEYS_PER_TENANT * len(fleet.sellers)
    return [
        *(
            [f"{len(keys)} keys of {len(fleet.sellers)} tenants: {Counter(key.partition(':')[0] for key in keys)}"]
            if len(keys) > bound
            else []
        ),
        *(f"{key} is kept for ever" for key in for_ever),
        *([f"{waiting} messages wait"] if waiting > MAX_WAITING else []),
    ]


@invariant
async def no_process_ended_by_itself(fleet: Fleet) -> list[str]:
    """But for those that were started while their servers were away, which were started again."""
    return [name for name, process in fleet.installation.processes.items() if process.ended]


@invariant
async def no_fault_of_our_own_stands_in_the_logs(fleet: Fleet) -> list[str]:
    """Neither a traceback nor an error, but for runs that lost three workers."""
    return [
        f"{process.name}: {entry.get('line') or entry}"
        for process in fleet.installation.processes.values()
        if process.name != "sandbox"
        for entry in process.logged()
        if entry.get("level") in ("error", "critical") or entry.get("line", "").startswith("Traceback")
        if entry.get("event") != "run.crashed"
    ]


async def changes_of(fleet: Fleet, runs: list[UUID]) -> list[str]:
    """What these runs, which succeeded, have changed."""
    return await _each(
        fleet,
        "SELECT id, tenant_id, marketplace, status, stages FROM sync_runs WHERE id = ANY($1) AND (status <> 'succeeded' OR EXISTS ("
        "SELECT FROM jsonb_array_elements(stages) AS report WHERE (report -> 'created')::int + (report -> 'updated')::int + (report -> 'archived')::int > 0))",
        runs,
    )


async def recent_changes(fleet: Fleet, since: datetime) -> list[str]:
    """The rows that were written since then. Ozon's older orders can't be asked for what changed, and are all read again once a day and in a full run."""
    products = "SELECT tenant_id, marketplace, external_id, created_at, updated_at FROM products WHERE updated_at >= $1"
    stocks = "SELECT tenant_id, product_id, fulfilment, warehouse_id, quantity, changed_at FROM stocks WHERE changed_at >= $1"
    orders = "SELECT tenant_id, marketplace, external_id, status, ordered_at, created_at, updated_at FROM orders WHERE updated_at >= $1 AND ordered_at >= $2"
    recent = fleet.stopped_at - RECENT
    return [*await _each(fleet, products, since), *await _each(fleet, stocks, since), *await _each(fleet, orders, since, recent)]


async def crashes(fleet: Fleet) -> dict[UUID, int]:
    """How often each run lost its worker."""
    rows = await fleet.installation.database.rows("SELECT id, crashes FROM sync_runs WHERE crashes > 0")
    return {row["id"]: row["crashes"] for row in rows}


async def _stored(fleet: Fleet, seller: Seller, account: Account) -> Figures:
    database, tenant = fleet.installation.database, UUID(seller.tenant_id)
    [figures] = await database.rows(FIGURES, tenant, account.marketplace)
    orders: dict[str, int] = {
        row["status"]: row["count"] for row in await database.rows(ORDERS, tenant, account.marketplace, fleet.stopped_at - RECENT)
    }
    assert isinstance(account.marketplace, Marketplace)
    return Figures(*figures, orders)


async def _each(fleet: Fleet, statement: str, *arguments: Any) -> list[str]:
    """A line for each row of the statement."""
    return [
        ", ".join(f"{name} {value}" for name, value in row.items()) for row in await fleet.installation.database.rows(statement, *arguments)
    ]
