"""What a seller hears of a run beside how it went: once, with its end, however often its worker died."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from app.cache import close_cache, open_cache
from app.database import system_scope, tenant_scope
from app.ids import new_id
from app.marketplaces.contract import FetchedStock, Marketplace, OrderStatus
from app.marketplaces.errors import CredentialsRejected, RateLimited
from app.orders.store import write_orders
from app.products.store import write_products
from app.runs.lease import MOST_NOTED
from app.runs.schemas import Notice, RunOut
from app.runs.service import add_run, get_run
from app.runs.sweep import requeue_expired
from app.runs.tables import RunStatus, Trigger
from app.settings import get_settings
from app.sync import runner
from app.sync.notices import record_notices
from app.sync.runner import Runner
from tests.application import Shop as RealShop
from tests.factories import create_tenant_with_key, expire_lease, product
from tests.scripted_client import ScriptedClient, line, ordered, shelf

pytestmark = pytest.mark.anyio

OUT, LOW, REPLENISHED, ORDERS = "stock.out", "stock.low", "stock.replenished", "orders.created"


FULL = [shelf(name, 50) for name in "1234"]


class Killed(BaseException):
    """The worker is gone from one moment to the next."""


class Shop:
    """A tenant whose marketplace says at each sync what the test says. Its products' threshold is 5."""

    def __init__(self, tenant_id: UUID) -> None:
        self.tenant_id = tenant_id
        self.client = ScriptedClient()
        self.run_id = UUID(int=0)
        self._heard = 0

    async def sync(self, stocks: Sequence[Any] | None = None, orders: Sequence[Any] = (), products: Sequence[str] = ()) -> RunOut:
        """A new run, in which the marketplace has these shelves, or else those of `known_shop`, and tells of these orders and products; a page that is an exception is raised."""
        self.client = ScriptedClient(
            products=[[product(name) for name in products]], stocks=pages(FULL if stocks is None else stocks), orders=pages(orders)
        )
        async with tenant_scope(self.tenant_id) as connection:
            # Each client has pages of its own, so it begins at the first one.
            await connection.execute("UPDATE checkpoints SET cursor = '' WHERE stage IN ('products', 'orders')")
            run, _ = await add_run(connection, self.tenant_id, Marketplace.WILDBERRIES, Trigger.MANUAL)
        self.run_id = run.id
        return await self.go_on()

    async def go_on(self) -> RunOut:
        """Let a worker take the run as soon as it is due, which is now."""
        async with system_scope() as connection:
            await connection.execute("UPDATE sync_runs SET not_before = now() WHERE id = $1 AND status = 'queued'", self.run_id)
        assert await Runner("test").carry_out_run(self.run_id)
        return await get_run(self.tenant_id, self.run_id)

    async def heard(self) -> list[dict[str, Any]]:
        """The events since the last look, in their order."""
        async with tenant_scope(self.tenant_id) as connection:
            rows = await connection.fetch("SELECT body FROM events ORDER BY sequence")
        events = [msgspec.json.decode(row[0]) for row in rows[self._heard :]]
        self._heard = len(rows)
        return events

    async def heard_types(self) -> list[str]:
        return [event["type"] for event in await self.heard()]


def pages(said: Sequence[Any]) -> list[Any]:
    """One page of all items up to each exception, which is a page of its own."""
    found: list[Any] = [[]]
    for item in said:
        if isinstance(item, BaseException):
            found += [item, []]
        else:
            found[-1].append(item)
    return found


def shelves(**units: int) -> list[FetchedStock]:
    return [shelf(name.removeprefix("p"), number) for name, number in units.items()]


@pytest.fixture
async def new_shop(clean_database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    """Nothing of it was copied yet."""
    shop = Shop(await create_tenant_with_key())

    async def make_client(*_: object) -> ScriptedClient:
        return shop.client

    monkeypatch.setattr(runner, "create_marketplace_client", make_client)
    open_cache(get_settings())
    yield shop
    await close_cache()


@pytest.fixture
async def known_shop(new_shop: Shop) -> Shop:
    """Four products of 50 units were copied, and an order; what was heard of it was heard."""
    await new_shop.sync(FULL, [ordered("old")], ["1", "2", "3", "4"])
    await new_shop.heard()
    return new_shop


async def test_a_first_sync_is_silent_but_for_its_summary(new_shop: Shop):
    await new_shop.sync(shelves(p1=0, p2=3, p3=50), [ordered("a"), ordered("b")], ["1", "2", "3"])

    [completed] = await new_shop.heard()
    assert completed["type"] == "sync.completed"
    assert (completed["data"]["counts"]["orders"]["new"], completed["data"]["low_stock_total"]) == (2, 2)


async def test_a_product_that_comes_later_is_not_told_of_when_it_is_first_counted(known_shop: Shop):
    await known_shop.sync(shelves(p1=50, p2=50, p3=50, p4=50, p5=1), products=["1", "2", "3", "4", "5"])

    assert await known_shop.heard_types() == ["sync.completed"]


async def test_what_happened_is_told_before_how_the_sync_went(known_shop: Shop):
    await known_shop.sync(shelves(p1=0, p2=5, p3=2, p4=50))
    first = await known_shop.heard()
    await known_shop.sync(shelves(p1=0, p2=90, p3=4, p4=50), [ordered("new")])
    second = await known_shop.heard()

    assert [event["type"] for event in first] == [OUT, LOW, "sync.completed"]
    assert [event["type"] for event in second] == [REPLENISHED, ORDERS, "sync.completed"]
    assert {event["data"]["sync_id"] for event in second} == {str(known_shop.run_id)}
    out, low = first[0]["data"], first[1]["data"]
    told = [{name: value for name, value in item.items() if name != "product_id"} for item in low["products"]]
    assert told == [
        {"article": "ART-3", "title": "Mug", "stock": 2, "threshold": 5},
        {"article": "ART-2", "title": "Mug", "stock": 5, "threshold": 5},
    ]
    assert (out["total"], low["total"]) == (1, 2)
    assert out["message"] == "Wildberries: закончились: «Mug»."
    assert low["message"] == "Wildberries: заканчиваются: «Mug» (остаток: 2), «Mug» (остаток: 5)."
    assert second[0]["data"]["message"] == "Wildberries: запас пополнен: «Mug» (остаток: 90)."


async def test_an_order_is_told_with_its_units_and_what_they_cost(known_shop: Shop):
    new = ordered("A-1", line("1", quantity=2, amount="1290.00"), line("2", amount="90.50"))
    half_priced = ordered("A-2", line("77", "THEIR-77", amount=None), line("1", amount="1290.00"), minutes_ago=90)
    await known_shop.sync(orders=[new, half_priced])

    [told, _] = await known_shop.heard()
    first, second = told["data"]["orders"]
    assert {name: value for name, value in first.items() if name != "order_id"} == {
        "number": "N-A-1",
        "ordered_at": f"{new.ordered_at:%Y-%m-%dT%H:%M:%SZ}",
        "fulfilment": "marketplace_warehouse",
        "units": 3,
        "amount": "2670.50",
        "currency": "RUB",
        "article": "ART-1",
        "title": "Mug",
    }
    assert (second["article"], second["title"], second["units"], second["amount"]) == ("THEIR-77", "", 2, None)
    assert told["data"]["message"] == "Wildberries: новых заказов: 2. «Mug», 3 шт., 2\u00a0670,50\u00a0₽; «THEIR-77», 2 шт."


async def test_the_messages_are_in_the_tenants_language(known_shop: Shop):
    async with tenant_scope(known_shop.tenant_id) as connection:
        await connection.execute("UPDATE tenants SET language = 'en'")

    await known_shop.sync(shelves(p1=0, p2=0, p3=0, p4=0), [ordered("a", line("1", amount="1290.00"))])

    assert [event["data"]["message"] for event in await known_shop.heard()][:2] == [
        "Wildberries: out of stock: «Mug», «Mug», «Mug». Products in all: 4.",
        "Wildberries: new orders: 1. «Mug», 1 pcs, 1,290\u00a0₽",
    ]


async def test_five_thousand_products_that_are_emptied_at_once_are_one_event(new_shop: Shop):
    names = [f"{number}" for number in range(5000)]
    await new_shop.sync([shelf(name, 50) for name in names], products=names)
    await new_shop.heard()

    await new_shop.sync([shelf(name, 0) for name in names])

    [out, completed] = await new_shop.heard()
    assert (out["type"], completed["type"]) == (OUT, "sync.completed")
    assert (len(out["data"]["products"]), out["data"]["total"]) == (10, 5000)
    assert out["data"]["message"].endswith("Всего товаров: 5\u00a0000.")


async def test_many_orders_are_one_event_that_lists_fifty(known_shop: Shop):
    await known_shop.sync(orders=[ordered(f"{number}") for number in range(120)])

    [told, _] = await known_shop.heard()
    assert (len(told["data"]["orders"]), told["data"]["total"]) == (MOST_NOTED, 120)


async def test_what_a_killed_worker_noted_is_told_by_the_next_one_and_only_once(known_shop: Shop):
    orders = [ordered("a"), Killed(), ordered("b"), Killed()]
    kills = 0
    try:
        run = await known_shop.sync([*shelves(p1=0, p2=3, p3=50, p4=50), Killed()], orders)
    except Killed:
        run, kills = await get_run(known_shop.tenant_id, known_shop.run_id), 1
    before_the_end = await known_shop.heard()

    while run.status in (RunStatus.QUEUED, RunStatus.RUNNING):
        await expire_lease(known_shop.run_id)
        await requeue_expired()
        async with system_scope() as connection:
            # Three crashes would end the run.
            await connection.execute("UPDATE sync_runs SET crashes = 0 WHERE id = $1", known_shop.run_id)
        try:
            run = await known_shop.go_on()
        except Killed:
            kills += 1
            before_the_end += await known_shop.heard()

    told = await known_shop.heard()
    assert (kills, before_the_end) == (3, [])
    assert [(event["type"], event["data"].get("total")) for event in told] == [(OUT, 1), (LOW, 1), (ORDERS, 2), ("sync.completed", None)]


async def test_a_run_that_crashed_too_often_tells_what_it_stored(known_shop: Shop):
    with pytest.raises(Killed):
        await known_shop.sync(shelves(p1=0, p2=50, p3=50, p4=50), [Killed()])
    await expire_lease(known_shop.run_id)
    await requeue_expired()
    async with system_scope() as connection:
        await connection.execute("UPDATE sync_runs SET crashes = 3 WHERE id = $1", known_shop.run_id)

    await known_shop.go_on()

    assert await known_shop.heard_types() == [OUT, "sync.failed"]


async def test_a_run_whose_key_is_taken_back_tells_what_it_stored(known_shop: Shop):
    run = await known_shop.sync(shelves(p1=0, p2=50, p3=50, p4=50), [CredentialsRejected("Revoked.")])

    assert run.status is RunStatus.FAILED
    assert (await known_shop.heard_types())[-2:] == [OUT, "sync.failed"]


async def test_a_run_that_waits_tells_when_it_is_done(known_shop: Shop):
    waiting = await known_shop.sync(shelves(p1=0, p2=50, p3=50, p4=50), [RateLimited(timedelta(hours=1))])
    meanwhile = await known_shop.heard()
    async with tenant_scope(known_shop.tenant_id) as connection:
        stages = [msgspec.structs.replace(stage, not_before=None) for stage in waiting.stages]
        await connection.execute("UPDATE sync_runs SET stages = $2 WHERE id = $1", known_shop.run_id, msgspec.json.encode(stages).decode())

    await known_shop.go_on()

    assert (waiting.status, meanwhile) == (RunStatus.QUEUED, [])
    assert await known_shop.heard_types() == [OUT, "sync.completed"]


async def test_what_is_no_longer_so_when_the_run_ends_is_not_told(clean_database):
    shop = Shop(await create_tenant_with_key())
    async with tenant_scope(shop.tenant_id) as connection:
        await write_products(connection, shop.tenant_id, Marketplace.WILDBERRIES, [product(name) for name in "1234"])
        given_up = [ordered("b", status=OrderStatus.CANCELLED), ordered("c", status=OrderStatus.RETURNED)]
        await write_orders(connection, shop.tenant_id, Marketplace.WILDBERRIES, [ordered("a"), *given_up])
        await connection.execute(
            "UPDATE products SET stock_level = CASE external_id WHEN '1' THEN 'ok' ELSE 'out' END, stock_total = (external_id = '4')::int"
        )
        await connection.execute("UPDATE products SET archived_at = now() WHERE external_id = '2'")
        products = tuple(row[0] for row in await connection.fetch("SELECT id FROM products"))
        orders = tuple(row[0] for row in await connection.fetch("SELECT id FROM orders"))
        notices = {OUT: Notice(4, products), LOW: Notice(4, products), ORDERS: Notice(70, orders)}

        await record_notices(connection, shop.tenant_id, new_id(), Marketplace.WILDBERRIES, "ru", notices)

    assert [(event["type"], event["data"]["total"]) for event in await shop.heard()] == [(OUT, 1), (ORDERS, 68)]


async def test_a_shop_that_sells_out_is_told_of_through_the_whole_service(shop: RealShop, sandbox: httpx.AsyncClient):
    await sandbox.post("/clock", json={"freeze_at": (datetime.now(UTC) - timedelta(hours=2)).isoformat()})
    await shop.give_key(shop.key(products=20))
    await shop.sync()
    [[product_id, size_id]] = await shop.rows(
        "SELECT product_id, min(size_id) FROM stocks WHERE tenant_id = $1 GROUP BY product_id "
        "HAVING count(*) = 1 AND min(fulfilment) = 'marketplace_warehouse' ORDER BY product_id LIMIT 1"
    )

    for quantity in (300, 0, 200):
        counted = await sandbox.put(f"/shops/{shop.seller_id}/stocks", json={"chrt_id": int(size_id), "quantity": quantity})
        assert counted.is_success, counted.text
        await sandbox.post("/clock", json={"advance_s": 3600})
        await shop.sync()

    bodies = await shop.rows("SELECT body FROM events WHERE tenant_id = $1 ORDER BY sequence")
    events = [msgspec.json.decode(row[0]) for row in bodies]
    told = [event["type"] for event in events for item in event["data"].get("products", []) if item["product_id"] == str(product_id)]
    assert events[0]["type"] == "sync.completed"
    assert told[-2:] == [OUT, REPLENISHED]
    history = await shop.expect(200, "GET", f"/products/{product_id}/stock-history")
    assert [point["quantity"] for point in history["points"]][-3:] == [300, 0, 200]
