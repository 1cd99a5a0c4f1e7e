"""A run goes through its stages: what stops one of them stops no other, and who has to wait occupies nobody."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from app.api.structs import SecretText
from app.cache import get_cache
from app.credentials import messages
from app.credentials.schemas import CredentialsPatch
from app.credentials.service import update_credentials
from app.database import system_scope, tenant_scope
from app.errors import Unavailable
from app.marketplaces.contract import FetchedPrice, Marketplace, Page, Rejected
from app.marketplaces.errors import (
    CircuitOpen,
    CredentialsRejected,
    MarketplaceDown,
    MethodGone,
    RateLimited,
    ReportNotReady,
    ScopeMissing,
    UnexpectedResponse,
)
from app.products.service import MOST_MISSING
from app.runs.lease import Lease, claim
from app.runs.pauses import pause_syncs, resume_syncs
from app.runs.schemas import RunOut
from app.runs.service import add_run, get_run
from app.runs.sweep import requeue_expired
from app.runs.tables import RunStatus, Trigger
from app.sandbox.tokens import issue_token
from app.sync import runner
from app.sync.runner import Runner
from tests.ages import grow_older
from tests.factories import create_run, create_tenant, expire_lease, product
from tests.scripted_client import line, order, price, shelf
from tests.scripted_shop import Killed, PlayShop, play_shop, stages, statuses

__all__ = ["play_shop"]

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)

STORED = """
    SELECT 'product', external_id, price::text, stock_total FROM products
     UNION ALL SELECT 'shelf', size_id, warehouse_id, quantity FROM stocks
     UNION ALL SELECT 'order', external_id, status, NULL FROM orders
     UNION ALL SELECT 'line', orders.external_id, product.external_id, quantity FROM order_lines AS line
                 JOIN orders ON orders.id = line.order_id LEFT JOIN products AS product ON product.id = line.product_id
     ORDER BY 1, 2, 3
"""


async def test_a_run_copies_products_prices_stocks_and_orders(play_shop: PlayShop):
    shop = await play_shop(
        prices=[[price("1"), price("2")]], stocks=[[shelf("1"), shelf("2")]], orders=[[order("A"), order("B")], [order("C", line("2"))]]
    )

    run = await shop.start()

    assert (run.status, statuses(run)) == (RunStatus.SUCCEEDED, ["succeeded"] * 4)
    assert [(stage.fetched, stage.created, stage.updated) for stage in run.stages] == [(2, 2, 0), (2, 0, 2), (2, 2, 0), (3, 3, 0)]
    assert await shop.rows("SELECT operation, status, fetched FROM sync_logs ORDER BY id") == [
        ("products", "succeeded", 2), ("prices", "succeeded", 2), ("stocks", "succeeded", 2), ("orders", "succeeded", 3)]  # fmt: skip
    event = await shop.event()
    assert event["counts"]["orders"] == {"new": 3}
    assert "Новых заказов: 3." in event["message"]


@pytest.mark.parametrize("trigger", Trigger)
async def test_the_event_tells_why_there_was_a_run(play_shop: PlayShop, trigger: Trigger):
    shop = await play_shop()
    run_id = await create_run(shop.tenant_id, trigger)

    assert await Runner("test").carry_out_run(run_id)

    assert (await shop.event())["trigger"] == trigger


async def test_a_stage_that_has_to_wait_holds_up_no_other_and_goes_on_where_it_was(play_shop: PlayShop):
    shop = await play_shop(orders=[[order("A")], RateLimited(3 * HOUR), [order("B")]], prices=[[price("1")]])

    waiting = await shop.start()

    assert (waiting.status, statuses(waiting)) == (RunStatus.QUEUED, ["succeeded", "succeeded", "succeeded", "pending"])
    orders = stages(waiting)["orders"]
    assert (orders.fetched, orders.error and orders.error.code) == (1, "marketplace_rate_limited")
    assert orders.error is not None
    assert "подождать" in orders.error.detail
    assert orders.not_before is not None
    assert waiting.not_before is not None
    assert abs(waiting.not_before - orders.not_before) < timedelta(seconds=1)
    assert waiting.not_before >= orders.not_before
    assert waiting.not_before - waiting.queued_at > 2.9 * HOUR
    assert await shop.rows("SELECT 1 FROM events") == []
    await shop.let_time_pass(3 * HOUR)
    done = await shop.go_on()
    assert (done.status, statuses(done), stages(done)["orders"].fetched) == (RunStatus.SUCCEEDED, ["succeeded"] * 4, 2)
    assert (stages(done)["orders"].error, stages(done)["orders"].not_before, done.not_before) == (None, None, None)
    assert [asked for asked in shop.client.asked if asked[0] in ("prices", "orders")] == [
        ("prices", b""),
        ("orders", b""),
        ("orders", b"1"),
    ]
    assert (await shop.event())["counts"]["orders"] == {"new": 2}


async def test_a_run_is_due_when_its_first_stage_is_and_the_others_wait_on(play_shop: PlayShop):
    shop = await play_shop(prices=[RateLimited(2 * HOUR), [price("1")]], orders=[ReportNotReady(HOUR / 6), [order("A")]])

    first = await shop.start()

    assert statuses(first) == ["succeeded", "pending", "succeeded", "pending"]
    assert first.not_before is not None
    assert first.not_before - first.queued_at < HOUR / 5
    await shop.let_time_pass(HOUR / 6)
    second = await shop.go_on()
    assert (second.status, statuses(second)) == (RunStatus.QUEUED, ["succeeded", "pending", "succeeded", "succeeded"])
    assert second.not_before is not None
    assert second.not_before == pytest.approx(stages(second)["prices"].not_before, abs=timedelta(seconds=1))
    assert [asked for asked, _ in shop.client.asked] == ["products", "prices", "stocks", "orders", "orders"]
    await shop.let_time_pass(2 * HOUR)
    assert (await shop.go_on()).status is RunStatus.SUCCEEDED


async def test_a_run_that_a_worker_takes_before_a_stage_may_go_on_asks_nobody(play_shop: PlayShop):
    shop = await play_shop(orders=[RateLimited(HOUR), [order("A")]])
    await shop.start()
    asked = len(shop.client.asked)

    run = await shop.go_on()

    assert (run.status, len(shop.client.asked)) == (RunStatus.QUEUED, asked)
    assert run.not_before is not None
    assert run.not_before - run.queued_at > 0.9 * HOUR


async def test_prices_and_shelves_of_a_shop_that_was_never_copied_wait_for_its_products(play_shop: PlayShop):
    shop = await play_shop(
        products=[[product("1")], RateLimited(HOUR), [product("2")]],
        prices=[[price("1"), price("2")]], stocks=[[shelf("1"), shelf("2")]], orders=[[order("A", line("2"))]],
    )  # fmt: skip

    first = await shop.start()

    assert statuses(first) == ["pending", "pending", "pending", "succeeded"]
    await shop.let_time_pass(HOUR)
    done = await shop.go_on()
    assert (done.status, stages(done)["prices"].updated, stages(done)["stocks"].created) == (RunStatus.SUCCEEDED, 2, 2)
    assert [stage.rejected for stage in done.stages] == [0, 0, 0, 0]


async def test_of_a_shop_that_was_copied_prices_and_shelves_do_not_wait_for_its_products(play_shop: PlayShop):
    shop = await play_shop(prices=[[price("1")]])
    await shop.start()
    shop.client.pages["products"].append(RateLimited(HOUR))

    run = await shop.start()

    assert statuses(run) == ["pending", "succeeded", "succeeded", "succeeded"]


async def test_a_run_that_is_kept_waiting_for_a_day_ends_and_says_why(play_shop: PlayShop):
    shop = await play_shop(orders=[RateLimited(10 * HOUR), RateLimited(10 * HOUR), RateLimited(10 * HOUR)])
    await shop.start()

    for _ in range(2):
        await shop.let_time_pass(10 * HOUR)
        run = await shop.go_on()

    assert (run.status, statuses(run)) == (RunStatus.PARTIAL, ["succeeded", "succeeded", "succeeded", "failed"])
    error = stages(run)["orders"].error
    assert error is not None
    assert error.code == "marketplace_rate_limited"


async def test_the_time_of_a_pause_is_none_that_a_marketplace_kept_a_run_waiting(play_shop: PlayShop):
    shop = await play_shop(orders=[RateLimited(HOUR), RateLimited(HOUR), [order("A")]])
    await shop.start()
    await pause_syncs(shop.tenant_id, None)
    await shop.let_time_pass(48 * HOUR)
    await grow_older("UPDATE sync_pauses SET paused_at = paused_at - interval '48 hours'")

    await resume_syncs(shop.tenant_id, None)

    waiting = await shop.go_on()
    assert (waiting.status, stages(waiting)["orders"].status) == (RunStatus.QUEUED, "pending")
    assert waiting.started_at
    assert waiting.started_at < datetime.now(UTC)


async def test_an_open_circuit_around_one_host_holds_up_no_other_stage(play_shop: PlayShop):
    shop = await play_shop(prices=[CircuitOpen(timedelta(minutes=5)), [price("1")]])

    run = await shop.start()

    assert (run.status, statuses(run)) == (RunStatus.QUEUED, ["succeeded", "pending", "succeeded", "succeeded"])
    error = stages(run)["prices"].error
    assert error is not None
    assert error.code == "marketplace_circuit_open"
    await shop.let_time_pass(timedelta(minutes=5))
    assert (await shop.go_on()).status is RunStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("language", "words"), [("ru", "Отметьте категорию «Цены и скидки»."), ("en", "Tick the category Prices and discounts.")]
)
async def test_a_stage_that_the_key_is_not_allowed_is_skipped_in_the_sellers_words(play_shop: PlayShop, language: str, words: str):
    missing = ScopeMissing(
        "Tick the category Prices and discounts.", scope="Prices and discounts", detail_ru="Отметьте категорию «Цены и скидки»."
    )
    shop = await play_shop(language=language, prices=[missing], orders=[[order("A")]])

    run = await shop.start()

    assert (run.status, statuses(run)) == (RunStatus.PARTIAL, ["succeeded", "skipped", "succeeded", "succeeded"])
    error = stages(run)["prices"].error
    assert error is not None
    assert (error.code, error.detail) == ("scope_missing", words)
    assert words in (await shop.event())["message"]
    assert await shop.rows("SELECT error_detail FROM sync_logs WHERE operation = 'prices'") == [(words,)]


@pytest.mark.parametrize(
    ("error", "word"),
    [(MarketplaceDown("It does not answer."), "не отвечает"), (MethodGone("It was removed."), "отключил"),
     (UnexpectedResponse("Not as documented."), "непонятно"), (RuntimeError("a fault of ours"), "на нашей стороне")],
)  # fmt: skip
async def test_a_stage_that_fails_keeps_what_was_written_says_why_and_the_next_run_recovers(
    play_shop: PlayShop, error: Exception, word: str
):
    shop = await play_shop(orders=[[order("A")], error, [order("B")]], prices=[[price("1")]])

    run = await shop.start()

    assert (run.status, statuses(run)) == (RunStatus.PARTIAL, ["succeeded", "succeeded", "succeeded", "failed"])
    told = stages(run)["orders"].error
    assert told is not None
    assert word in told.detail
    assert await shop.rows("SELECT external_id FROM orders") == [("A",)]
    again = await shop.start()
    assert (again.status, stages(again)["orders"].created) == (RunStatus.SUCCEEDED, 1)
    assert shop.client.asked[-1] == ("orders", b"1")


async def test_a_catalogue_that_shrinks_too_much_at_once_is_not_believed_and_the_seller_is_told(play_shop: PlayShop):
    shop = await play_shop(products=[[product(str(n)) for n in range(100)]], prices=[[price("1")]])
    await shop.start()
    shop.client.pages["products"] = [[product(str(n)) for n in range(99 - MOST_MISSING)]]

    run = await shop.start(full=True)

    told = stages(run)["products"].error
    assert (run.status, statuses(run)) == (RunStatus.PARTIAL, ["partial", "succeeded", "succeeded", "succeeded"])
    assert told is not None
    assert (told.code, stages(run)["products"].archived) == ("too_many_missing", 0)
    assert told.detail in (await shop.event())["message"]
    assert await shop.rows("SELECT count(*) FROM products WHERE archived_at IS NULL") == [(100,)]


async def test_a_rejected_key_ends_the_run_in_the_sellers_words_and_asks_no_further(play_shop: PlayShop):
    shop = await play_shop(prices=[CredentialsRejected("The key was revoked.", detail_ru="Ключ отозван.")])

    run = await shop.start()

    assert (run.status, statuses(run)) == (RunStatus.FAILED, ["succeeded", "failed", "pending", "pending"])
    assert run.error is not None
    assert (run.error.code, run.error.detail) == ("credentials_rejected", "Ключ отозван.")
    assert [asked for asked, _ in shop.client.asked] == ["products", "prices"]
    assert "Ключ отозван." in (await shop.event())["message"]


@pytest.mark.parametrize("language", ["ru", "en"])
async def test_the_reason_of_a_rejection_is_english_as_wherever_a_key_is_checked_and_the_message_the_sellers(
    play_shop: PlayShop, language: str
):
    shop = await play_shop(language=language, prices=[CredentialsRejected("The key was revoked.", detail_ru="Ключ отозван.")])
    key = CredentialsPatch(wildberries_api_key=SecretText(issue_token(UUID(int=1))))
    await update_credentials(shop.tenant_id, "test", key, verify=False)

    await shop.start()

    [[body]] = await shop.rows("SELECT body FROM events WHERE type = 'credentials.invalid'")
    told = msgspec.json.decode(body)["data"]
    assert told["detail"] == "The key was revoked."
    assert told["message"] == messages.rejected(language, Marketplace.WILDBERRIES)


async def test_a_run_whose_key_was_replaced_meanwhile_goes_on_with_the_new_one(play_shop: PlayShop):
    shop = await play_shop(prices=[[price("1")]])
    keys = [CredentialsPatch(wildberries_api_key=SecretText(issue_token(UUID(int=1)))) for _ in range(2)]
    await update_credentials(shop.tenant_id, "test", keys[0], verify=False)

    async def replaced_and_revoked(after: bytes) -> AsyncIterator[Page[FetchedPrice]]:
        await update_credentials(shop.tenant_id, "test", keys[1], verify=False)
        del shop.client.price_pages
        raise CredentialsRejected("The key was revoked.")
        yield

    shop.client.price_pages = replaced_and_revoked
    waiting = await shop.start()
    done = await shop.go_on()

    assert (waiting.status, statuses(waiting)) == (RunStatus.QUEUED, ["succeeded", "pending", "pending", "pending"])
    assert (done.status, stages(done)["prices"].error) == (RunStatus.SUCCEEDED, None)
    assert await shop.rows("SELECT status FROM credentials") == [("valid",)]
    assert await shop.rows("SELECT type FROM events") == [("sync.completed",)]


async def test_malformed_items_are_counted_and_the_first_three_are_told(play_shop: PlayShop):
    rejected = [Rejected(f"R{n}", "status: expected one of the documented words") for n in range(5)]
    shop = await play_shop(orders=[[order("A"), *rejected], [Rejected(None, "x" * 500)]])

    run = await shop.start()

    orders = stages(run)["orders"]
    assert (run.status, orders.fetched, orders.created, orders.rejected) == (RunStatus.SUCCEEDED, 7, 1, 6)
    assert orders.rejections == [f"R{n}: status: expected one of the documented words" for n in range(3)]


async def test_lists_of_products_are_forgotten_when_prices_change_and_kept_when_only_orders_do(play_shop: PlayShop):
    shop = await play_shop(prices=[[price("1")]], orders=[[order("A")]])
    await shop.start()
    cache = get_cache()
    await cache.set(shop.tenant_id, "products:list:x", "kept")

    shop.client.pages["orders"].append([order("B")])
    run = await shop.start()
    kept = await cache.get(shop.tenant_id, "products:list:x")
    shop.client.pages["prices"] = [[price("1", "5")]]
    await shop.start()

    assert (stages(run)["orders"].created, kept) == (1, "kept")
    assert await cache.get(shop.tenant_id, "products:list:x") is None


async def test_lists_of_products_are_forgotten_when_a_run_ends_that_killed_its_workers(play_shop: PlayShop):
    shop = await play_shop()
    run_id = await create_run(shop.tenant_id)
    for _ in range(3):
        await grow_older("UPDATE sync_runs SET not_before = now()")
        assert await claim("a worker that is killed behind a page", run_id)
        await expire_lease(run_id)
        await requeue_expired()
    await get_cache().set(shop.tenant_id, "products:list:x", "of before")

    shop.run_id = run_id
    run = await shop.go_on()

    assert run.status is RunStatus.FAILED
    assert await get_cache().get(shop.tenant_id, "products:list:x") is None


async def test_a_full_run_walks_orders_again_and_another_goes_on_behind_the_last(play_shop: PlayShop):
    shop = await play_shop(orders=[[order("A")], [order("B")]])
    await shop.start()

    full = await shop.start(full=True)
    shop.client.pages["orders"].append([order("C")])
    then = await shop.start()

    assert [after for stage, after in shop.client.asked if stage == "orders"] == [b"", b"", b"2"]
    assert (stages(full)["orders"].unchanged, stages(then)["orders"].created, stages(then)["orders"].unchanged) == (2, 1, 0)


async def test_an_order_whose_product_is_copied_later_finds_it_in_the_next_run(play_shop: PlayShop):
    shop = await play_shop(orders=[[order("A", line("7")), order("B", line(None, "ART-7"))]])
    await shop.start()
    shop.client.pages["products"].append([product("7")])

    await shop.start()

    assert await shop.rows(
        "SELECT orders.external_id, product.external_id FROM orders JOIN order_lines AS line ON line.order_id = orders.id "
        "LEFT JOIN products AS product ON product.id = line.product_id ORDER BY 1"
    ) == [("A", "7"), ("B", "7")]
    assert (await shop.event())["counts"]["orders"] == {"new": 0}


async def test_a_run_whose_workers_are_killed_at_each_page_ends_as_one_that_nobody_killed(play_shop: PlayShop):
    pages: dict[str, list[Any]] = {
        "products": [[product("1")], [product("2"), product("3")], [product("4")]],
        "prices": [[price("1"), price("2")], [price("3")], [price("4", None, None)]],
        "stocks": [[shelf("1"), shelf("2")], [shelf("3")], [shelf("4", 0)]],
        "orders": [[order("A"), order("B", line("2"))], [order("C"), order("E")], [order("D", line("9"))]],
    }
    never = await play_shop(**pages)
    whole = await never.start()
    shop = await play_shop(**{stage: [part for page in said for part in (Killed(), page)] + [Killed()] for stage, said in pages.items()})
    async with tenant_scope(shop.tenant_id) as connection:
        run, _ = await add_run(connection, shop.tenant_id, Marketplace.WILDBERRIES, Trigger.MANUAL)
    shop.run_id, kills = run.id, 0

    while run.status in (RunStatus.QUEUED, RunStatus.RUNNING):
        try:
            run = await shop.go_on()
        except Killed:
            kills += 1
            await expire_lease(shop.run_id)
            await requeue_expired()
            async with system_scope() as connection:
                # Three crashes would end the run.
                await connection.execute("UPDATE sync_runs SET crashes = 0 WHERE id = $1", shop.run_id)

    assert (run.status, kills) == (RunStatus.SUCCEEDED, 16)
    assert await shop.rows(STORED) == await never.rows(STORED)
    counted = ("fetched", "created", "updated", "unchanged", "archived", "rejected")
    for stage, of_whole in zip(run.stages, whole.stages, strict=True):
        assert [getattr(stage, name) for name in counted] == [getattr(of_whole, name) for name in counted], stage.name
    assert len(await shop.rows("SELECT 1 FROM events")) == 1


async def test_a_run_whose_database_went_away_goes_on_at_once_and_did_not_crash(play_shop: PlayShop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "UNAVAILABLE_PAUSE_S", 0.01)
    shop = await play_shop(products=[[product("1")], Unavailable("The database went away."), [product("2")]])
    tries = 0

    async def give_back(lease: Lease) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise Unavailable("It is still away.")
        await really(lease)

    really = Lease.give_back
    monkeypatch.setattr(Lease, "give_back", give_back)

    given_back = await shop.start()
    done = await shop.go_on()

    assert (given_back.status, given_back.stages[0].fetched) == (RunStatus.QUEUED, 1)
    assert (done.status, done.stages[0].created, tries) == (RunStatus.SUCCEEDED, 2, 3)
    assert await shop.rows("SELECT attempt, crashes FROM sync_runs") == [(2, 0)]


async def test_a_run_that_another_worker_has_meanwhile_is_not_given_back(play_shop: PlayShop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "UNAVAILABLE_PAUSE_S", 0.01)
    shop = await play_shop(products=[[product("1")], Unavailable("The database went away.")])

    async def give_back(lease: Lease) -> None:
        await expire_lease(lease.run_id)
        await requeue_expired()
        assert await claim("another", lease.run_id)
        await really(lease)

    really = Lease.give_back
    monkeypatch.setattr(Lease, "give_back", give_back)

    await shop.start()

    assert await shop.rows("SELECT status, worker, attempt FROM sync_runs") == [("running", "another", 2)]


async def test_who_presses_a_button_finds_a_place_however_many_large_shops_are_under_way(
    play_shop: PlayShop, monkeypatch: pytest.MonkeyPatch
):
    await play_shop()
    many = Runner("test", concurrency=8)
    at_work: list[Lease] = []
    enough = asyncio.Event()

    async def go_on_for_hours(lease: Lease) -> None:
        at_work.append(lease)
        await enough.wait()

    monkeypatch.setattr(runner, "_carry_out", go_on_for_hours)
    for _ in range(12):
        await create_run(await create_tenant(), Trigger.SCHEDULE)
    for _ in range(12):
        many.wake()
    async with asyncio.timeout(10):
        while len(at_work) < 7 or len(many._drains) > 7:
            await asyncio.sleep(0.01)

    pressed = await create_run(await create_tenant(), Trigger.MANUAL)
    many.wake()
    async with asyncio.timeout(10):
        while len(at_work) < 8:
            await asyncio.sleep(0.01)

    assert [lease.trigger for lease in at_work] == [Trigger.SCHEDULE] * 7 + [Trigger.MANUAL]
    assert at_work[-1].run_id == pressed
    enough.set()
    async with asyncio.timeout(10):
        while len(at_work) < 13 or many._drains:
            await asyncio.sleep(0.01)
    assert many._patient == 0


async def test_who_asks_while_a_stage_waits_for_hours_gets_the_others_fresh_at_once(play_shop: PlayShop):
    shop = await play_shop(orders=[RateLimited(3 * HOUR), [order("A")]])
    waiting = await shop.start()
    shop.client.pages["products"].append([product("3")])

    async def ask(trigger: Trigger) -> RunOut:
        async with tenant_scope(shop.tenant_id) as connection:
            run, _ = await add_run(connection, shop.tenant_id, Marketplace.WILDBERRIES, trigger)
        return run

    by_schedule = await ask(Trigger.SCHEDULE)
    by_hand = await ask(Trigger.MANUAL)
    assert await Runner("test").carry_out_run(shop.run_id)
    fresh = await get_run(shop.tenant_id, shop.run_id)

    assert (waiting.status, stages(waiting)["products"].created) == (RunStatus.QUEUED, 2)
    assert (by_schedule.not_before, by_schedule.stages) == (waiting.not_before, waiting.stages)
    assert by_hand.id == waiting.id
    assert (stages(fresh)["products"].status, stages(fresh)["products"].created) == ("succeeded", 1)
    assert (stages(fresh)["orders"].status, stages(fresh)["orders"].not_before) == ("pending", stages(waiting)["orders"].not_before)
    assert fresh.status is RunStatus.QUEUED
    assert fresh.not_before is not None
    assert [stage for stage, _ in shop.client.asked].count("orders") == 1


@pytest.mark.parametrize("stopped", [False, True], ids=["at_once", "stopped_between"])
async def test_what_is_done_again_for_who_asks_is_asked_of_the_marketplace_again(play_shop: PlayShop, stopped: bool):
    shop = await play_shop(prices=[[price("1", "100.00")]], stocks=[[shelf("1", 50)]], orders=[RateLimited(3 * HOUR)])
    await shop.start()
    shop.says(prices=[[price("1", "200.00")]], stocks=[[shelf("1", 7)]])

    async with tenant_scope(shop.tenant_id) as connection:
        await add_run(connection, shop.tenant_id, Marketplace.WILDBERRIES, Trigger.MANUAL)
    if stopped:
        # Its first page is stored, and with it the reports of all stages; then its worker stops.
        lease = await claim("stopped", shop.run_id)
        assert lease is not None
        async with lease.writing(lease.stages[0]) as connection:
            await connection.execute("UPDATE products SET updated_at = now() WHERE external_id = '2'")
        await lease.give_back()
    assert await Runner("test").carry_out_run(shop.run_id)

    assert await shop.rows("SELECT price::text, stock_total FROM products WHERE external_id = '1'") == [("200.00", 7)]
    fresh = stages(await get_run(shop.tenant_id, shop.run_id))
    assert [(fresh[name].fetched, fresh[name].updated) for name in ("prices", "stocks")] == [(1, 1), (1, 1)]


async def test_the_event_of_a_run_counts_all_that_it_did_also_where_stages_were_done_again(play_shop: PlayShop):
    shop = await play_shop(prices=[RateLimited(3 * HOUR), [price("1")]], stocks=[[shelf("1", 50)]], orders=[[order("A"), order("B")]])
    await shop.start()
    shop.says(products=[[product("3")]], stocks=[[shelf("1", 7)]], orders=[[order("C")]])

    await shop.start()
    await shop.let_time_pass(3 * HOUR)
    await shop.go_on()

    counts = (await shop.event())["counts"]
    assert (counts["products"]["created"], counts["products"]["total"]) == (3, 3)
    assert (counts["stocks"], counts["orders"]) == ({"changed": 2, "total_units": 7}, {"new": 3})


async def test_a_claim_whose_answer_got_lost_is_given_back_and_nothing_else_is(clean_database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "UNAVAILABLE_PAUSE_S", 0.01)
    lost, of_another, kept = [await create_run(await create_tenant()) for _ in range(3)]
    worker = Runner("test")
    # The first one was carried out by the database, and the runner never heard of it.
    assert await claim("test", lost)
    assert await claim("another", of_another)
    assert await worker._claim(kept)

    worker._return_strays_when_possible()
    assert worker._returning is not None
    await worker._returning

    async with system_scope() as connection:
        rows = {row["id"]: tuple(row)[1:] for row in await connection.fetch("SELECT id, status, worker, crashes FROM sync_runs")}
    assert rows == {lost: ("queued", None, 0), of_another: ("running", "another", 0), kept: ("running", "test", 0)}
